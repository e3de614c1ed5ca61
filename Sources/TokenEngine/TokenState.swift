public import FoundationEssentials
public import OAuth
public import Sodium

/// What the engine has acquired for a credential, and what it has learned. People change none of it directly.
public struct TokenState: Sendable {
    /// That the server has refused, so that it is not asked again on every call: accounts get locked by that.
    public struct Refusal: Codable, Equatable, Sendable {
        public enum Cause: Codable, Equatable, Sendable {
            /// `invalid_client`, or a wrong user name or password.
            case client
            /// A refresh was refused without a word that says why.
            case refresh(status: Int)
        }

        public var cause: Cause
        public var since: Date
        /// When the server was asked last.
        public var asked: Date
        /// How often it has refused.
        public var times: Int

        public init(cause: Cause, since: Date, asked: Date, times: Int) {
            self.cause = cause
            self.since = since
            self.asked = asked
            self.times = times
        }

        /// When it may be asked again: after a minute, then two, up to fifteen; at once if something has changed since.
        public var nextAsk: Date {
            times == 0 ? asked : asked.addingTimeInterval(min(60 * Double(1 << min(times - 1, 4)), 900))
        }
    }

    /// What keeps the grants that need a person alive.
    public var login: Login?
    /// The newest token for each request.
    public var tokens: [CachedToken]
    /// Tokens that were replaced before they ended: a revocation must reach them, too.
    public var replaced: [CachedToken] = []
    public var refusal: Refusal?
    /// When callers had a new token acquired although the stored one was good.
    public var forcedRenewals: [Date] = []

    public init(login: Login? = nil, tokens: [CachedToken] = []) {
        self.login = login
        self.tokens = tokens
    }

    /// More cached tokens than this are of no use to anybody: the oldest goes.
    public static let maximumTokens = 32
    /// Replaced tokens that are kept for a revocation.
    public static let maximumReplaced = 8
    /// Bytes of all tokens and of what came with them: a refresh token must always find room beside them in the record.
    public static let maximumTokenBytes = 256 << 10

    public func token(for access: RequestedAccess) -> CachedToken? {
        tokens.first { $0.access == access }
    }

    // MARK: Storing what was acquired

    /// Puts a token in the place of the one for the same request. The client that acquired it works.
    public mutating func keep(_ token: CachedToken, now: Date) {
        for old in tokens where old.access == token.access && !old.token.equals(token.token) { replace(old) }
        tokens.removeAll { $0.access == token.access || $0.hasExpired(at: now) }
        replaced.removeAll { $0.hasExpired(at: now) || $0.token.equals(token.token) }
        tokens.append(token)
        if tokens.count > Self.maximumTokens { dropOldest() }
        if replaced.count > Self.maximumReplaced { replaced.removeFirst(replaced.count - Self.maximumReplaced) }
        while (tokens + replaced).reduce(0, { $0 + $1.size }) > Self.maximumTokenBytes {
            guard replaced.isEmpty else {
                replaced.removeFirst()
                continue
            }
            dropOldest()
        }
        refusal = nil
    }

    /// The token for the credential's own request goes last: whoever asks for ever new scopes takes it from nobody.
    private mutating func dropOldest() {
        let special = tokens.dropLast().firstIndex { $0.access != RequestedAccess() }
        tokens.remove(at: special ?? tokens.startIndex)
    }

    private mutating func replace(_ token: CachedToken) {
        if !replaced.contains(where: { $0.token.equals(token.token) }) { replaced.append(token) }
    }

    /// Stores an answer by lineage: it is accepted if the refresh token that was spent for it is the one that is stored.
    /// - Parameter spent: nil for an answer that no stored refresh token was spent for.
    /// - Returns: false if another refresh token has taken the place of the spent one; nothing has changed then.
    public mutating func store(_ acquired: AcquiredTokens, spent: Secret?) -> Bool {
        if let spent {
            guard let login, login.refreshToken.equals(spent) else { return false }
            self.login = login.renewed(by: acquired.refreshToken, at: acquired.received, owner: acquired.owner)
            self.login?.note(acquired.life, isNew: acquired.refreshToken != nil, at: acquired.received)
        }
        guard let token = acquired.token else { return true }
        if acquired.endsOlderTokens {
            // Most servers end them; a revocation tries them all the same.
            for old in tokens where old.access != token.access { replace(old) }
            tokens.removeAll { $0.access != token.access }
        }
        keep(token, now: acquired.received)
        if acquired.isForced {
            forcedRenewals.removeAll { acquired.received.timeIntervalSince($0) >= 60 }
            forcedRenewals.append(acquired.received)
        }
        return true
    }

    /// Stores what a person's login has brought, in the place of everything before.
    public mutating func begin(_ login: Login?, with token: CachedToken?) {
        for old in tokens { replace(old) }
        self.login = login
        tokens = []
        forcedRenewals = []
        if let token { keep(token, now: token.sent) }
    }

    // MARK: Forgetting

    /// Forgets one token, unless another has taken its place meanwhile.
    public mutating func forget(_ token: CachedToken) {
        tokens.removeAll { $0.isSame(as: token) }
        replaced.removeAll { $0.isSame(as: token) }
    }

    /// Forgets the tokens that an older configuration has acquired. What can't be acquired again without a person stays: it
    /// may be good still.
    public mutating func forgetRenewable(by settings: ClientSettings) {
        refusal?.times = 0
        guard canRenew(by: settings) else { return }
        (tokens, replaced) = ([], [])
    }

    /// Whether a token can be acquired without a person.
    public func canRenew(by settings: ClientSettings) -> Bool {
        !settings.grant.needsLogin || login.map { $0.ended == nil } ?? false
    }

    // MARK: What a change of the configuration means

    /// What follows for the state when people change a configuration. They name it; they hold none of the state themselves.
    public enum Consequence: Sendable {
        /// Older tokens are not those of the new configuration.
        case forgetRenewable
        /// Another client takes the place of the one that was refused, or had too many tokens.
        case newClient
        /// This token was acquired with it.
        case keep(CachedToken)
        /// The server does not take the refresh token from the new client.
        case endLogin
        /// The login had ended with the client that goes.
        case reviveLogin
    }

    public mutating func apply(_ consequences: [Consequence], of settings: ClientSettings, now: Date) {
        for consequence in consequences {
            switch consequence {
            case .forgetRenewable: forgetRenewable(by: settings)
            case .newClient: (refusal, forcedRenewals) = (nil, [])
            case .keep(let token): keep(token, now: now)
            case .endLogin: if login?.ended == nil { login?.ended = now }
            case .reviveLogin: login?.ended = nil
            }
        }
    }

    // MARK: What was learned

    public mutating func markRejected(_ token: CachedToken, at now: Date) {
        for index in tokens.indices where tokens[index].isSame(as: token) {
            tokens[index].rejected = tokens[index].rejected ?? now
        }
    }

    /// Takes the entry out of the journal: what was sent has been answered.
    /// - Parameter earlier: an entry of before, whose answer is still missing.
    mutating func settle(_ sent: Secret, earlier: Login.Sending?) {
        guard login?.refreshToken.equals(sent) == true else { return }
        login?.sending = earlier
    }

    /// Marks the login as ended, unless another refresh token has taken the place of this one.
    mutating func endLogin(keptBy refreshToken: Secret, at now: Date) {
        guard login?.refreshToken.equals(refreshToken) == true else { return }
        login?.ended = now
        login?.sending = nil
    }

    public mutating func noteRefusal(_ cause: Refusal.Cause, at now: Date) {
        if let known = refusal, known.cause == cause {
            refusal = Refusal(cause: cause, since: known.since, asked: now, times: known.times + 1)
        } else {
            refusal = Refusal(cause: cause, since: now, asked: now, times: 1)
        }
    }
}

/// What a server's answer has brought, ready to be stored.
public struct AcquiredTokens: Sendable {
    /// Nil where the answer was of no use but for its refresh token.
    public var token: CachedToken?
    public var refreshToken: Secret?
    public var received: Date
    /// The machine that has acquired them.
    public var owner: String
    /// How long the login goes on.
    public var life = LoginLife()
    /// Whether the server ends older access tokens of the login with this one.
    public var endsOlderTokens = false
    /// Whether a caller had this acquired although the stored token was good.
    public var isForced = false

    public init(token: CachedToken?, refreshToken: Secret?, received: Date, owner: String) {
        (self.token, self.refreshToken, self.received, self.owner) = (token, refreshToken, received, owner)
    }
}

extension CachedToken {
    /// In bytes.
    fileprivate var size: Int { token.count + (extras?.count ?? 0) }
}
