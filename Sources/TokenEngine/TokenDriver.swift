import FoundationEssentials
public import OAuth
public import Sodium

/// Acquires tokens: performs what `Acquisition` decides, under a claim where something is stored. Serving, proving, logging in
/// and exchanging all use it.
public final class TokenDriver: Sendable {
    private let store: any TokenStateStore
    private let clock: any WallClock
    private let host: Host
    private let jitter: @Sendable () -> Double
    private let transport: any HTTPTransport
    private let clocks: ServerClocks
    private let nonces = DPoPNonces()
    private let flights: SingleFlight<Flight, CachedToken>
    private let executor: (any TaskExecutor)?
    private let mayBegin: @Sendable () throws -> Void

    private struct Flight: Hashable {
        let name: String
        let ask: TokenQuery
        var isForCheck = false
    }

    /// How long another process may hold a credential's claim before we give up, in seconds: longer than a server has for an
    /// answer.
    static let claimLimit = 200.0

    /// - Parameters:
    ///   - executor: where acquisitions run; nil for wherever Swift runs tasks.
    ///   - mayBegin: throws when nothing new is to be begun any more. It is asked while a claim is waited for, and before a
    ///     refresh token or a code is sent; what has been sent is finished.
    public init(
        store: any TokenStateStore, transport: any HTTPTransport, clock: any WallClock = SystemClock(), host: Host,
        jitter: @escaping @Sendable () -> Double = { Random.unit() }, clocks: ServerClocks = ServerClocks(),
        executor: (any TaskExecutor)? = nil, mayBegin: @escaping @Sendable () throws -> Void = {}
    ) {
        self.store = store
        self.transport = transport
        self.clock = clock
        self.host = host
        self.jitter = jitter
        self.clocks = clocks
        self.executor = executor
        self.mayBegin = mayBegin
        flights = SingleFlight(executor: executor)
    }

    private var requests: TokenRequests {
        TokenRequests(
            transport: transport, clock: clock, clocks: clocks, nonces: nonces,
            subject: { name, rejected in
                var ask = TokenQuery(mode: rejected == nil ? .cached : .rejected)
                ask.rejectedToken = rejected
                return try await self.token(name, ask)
            }, store: store)
    }

    // MARK: Serving

    /// A valid access token, cached or new.
    /// - Throws: `TokenError`, what the store throws, or `CancellationError`, which ends this caller's wait and
    ///   nobody else's.
    public func token(_ name: String, _ ask: TokenQuery) async throws -> CachedToken {
        let stored = try await store.credential(name)
        try stored.refuseIfBlocked()
        let decision = CacheDecision(ask: ask, seen: stored.state.token(for: ask.access))
        if let token = try served(decision, stored) { return token }
        return try await flights.run(Flight(name: name, ask: ask)) {
            let token = try await self.acquire(name, decision)
            // It may have been blocked meanwhile. What was acquired is stored, and handed out to nobody.
            try await self.store.credential(name).refuseIfBlocked()
            return token
        }
    }

    /// The same, also for a blocked credential: for the proof that a login works, whose token nobody is given.
    public func tokenForCheck(_ name: String, _ ask: TokenQuery) async throws -> CachedToken {
        let stored = try await store.credential(name)
        let decision = CacheDecision(ask: ask, seen: stored.state.token(for: ask.access))
        if let token = try served(decision, stored) { return token }
        return try await flights.run(Flight(name: name, ask: ask, isForCheck: true)) { try await self.acquire(name, decision) }
    }

    /// - Returns: nil where a token must be acquired.
    private func served(_ decision: CacheDecision, _ credential: Credential) throws(TokenError) -> CachedToken? {
        switch decision.verdict(credential, at: clock.now()) {
        case .serve(let token): return token
        case .fail(let failure) where !decision.ask.resends: throw failure
        case .acquire, .reject, .fail: return nil
        }
    }

    /// Whether a caller gets the stored token, or is refused, without anything being sent.
    public func serves(_ credential: Credential, _ ask: TokenQuery) -> Bool {
        if credential.configuration.block != nil { return true }
        let decision = CacheDecision(ask: ask, seen: credential.state.token(for: ask.access))
        switch decision.verdict(credential, at: clock.now()) {
        case .serve: return true
        case .fail: return !ask.resends
        case .acquire, .reject: return false
        }
    }

    private func acquire(_ name: String, _ decision: CacheDecision) async throws -> CachedToken {
        guard let claim = try await waitForClaim(name) else {
            switch decision.lastLook(try await store.credential(name), at: clock.now()) {
            case .serve(let token): return token
            case .fail(let failure): throw failure
            case .acquire, .reject: throw TokenError.lockTimeout
            }
        }
        defer { withExtendedLifetime(claim) {} }
        let machine = Acquisition(.serve(decision), ask: decision.ask, host: host)
        return try await drive(machine, claim.credential, claim)
    }

    /// A token with the proof of possession for one request to an API (RFC 9449 section 7.1).
    /// - Throws: `TokenError.notBound` if it is bound to no key of this credential.
    public func prove(
        _ request: ProofRequest, with token: CachedToken, of configuration: CredentialConfiguration
    ) async throws(TokenError) -> CachedToken {
        guard let key = configuration.dpopKey, token.isBound else { throw .notBound }
        var token = token
        let dated = clock.now().addingTimeInterval(clocks.offset(configuration.settings.tokenURL.host))
        token.proof = try await DPoPKey.proof(key, of: request, token: token.token, now: dated)
        return token
    }

    // MARK: Proving

    /// Acquires a token for a client that need not be stored: the proof that it works.
    /// - Throws: `TokenError`; `loginNeeded` for a grant that needs a login.
    public func prove(_ configuration: CredentialConfiguration) async throws -> CachedToken {
        let machine = Acquisition(.prove, ask: TokenQuery(), host: host)
        return try await drive(machine, Credential(configuration), nil)
    }

    /// Acquires a token for a changed configuration of a claimed credential. Where that spends the stored refresh token, the
    /// new one is stored at once; the access token is not.
    /// - Parameter retriesEnded: whether a login that has ended is tried again: it ended with another client.
    /// - Throws: `TokenError`, or what the store throws.
    public func prove(
        _ candidate: CredentialConfiguration, under claim: any TokenClaim, retriesEnded: Bool = false
    ) async throws -> CachedToken {
        var ask = TokenQuery()
        ask.resends = retriesEnded
        let machine = Acquisition(.prove, ask: ask, host: host)
        let state = try await claim.reread().state
        return try await finishing { try await self.drive(machine, Credential(candidate, state), claim) }
    }

    /// Begins nothing for a caller who is cancelled already, and finishes what was begun for one who is cancelled later: what
    /// a server has given is stored.
    private func finishing<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async throws -> R {
        try Task.checkCancellation()
        return try await Task(executorPreference: executor, operation: body).value
    }

    // MARK: Logging in

    /// Exchanges what a person's login has brought, a code, for tokens (RFC 6749 section 4.1.3, RFC 8628 section 3.4), and
    /// stores them in the place of an earlier login.
    /// - Throws: `TokenError`; `noRefreshToken` where the server gave nothing to keep the login alive with.
    public func logIn(with grant: AuthorizationGrant, under claim: any TokenClaim) async throws {
        try await finishing { try await self.spend(grant, under: claim) }
    }

    private func spend(_ grant: AuthorizationGrant, under claim: any TokenClaim) async throws {
        let configuration = claim.credential.configuration
        try mayBegin()
        let permit = try await claim.beginSending(nil)
        let (answer, sent) = try await exchange(grant, configuration)
        let refreshToken = answer.refreshToken ?? grant.refreshToken
        var login = refreshToken.map { Login(refreshToken: $0, since: sent, renewed: sent, owner: host.id) }
        login?.note(answer.life.completed(by: configuration.settings), isNew: true, at: sent)
        switch answer.result {
        case .success(let granted):
            if let nonce = grant.nonce { try await IDToken.check(granted, nonce: nonce) }
            let token = CachedToken(
                granted, access: RequestedAccess(), sent: sent, settings: configuration.settings)
            // A token that never ends needs nothing to renew it; and some servers give nothing.
            guard refreshToken != nil || token.expires == nil || configuration.settings.noRefreshToken == true else {
                throw TokenError.noRefreshToken
            }
            try await keep { try await claim.store(login, with: token, permit) }
        case .failure(let refusal):
            try await keep { try await claim.store(login, with: nil, permit) }
            throw Acquisition.onlyRefreshToken(refusal)
        }
    }

    /// A code is spent by its first use: it is sent again only where the server has certainly not used it.
    /// - Returns: an answer with a token, or at least with a refresh token that is new to us.
    private func exchange(
        _ grant: AuthorizationGrant, _ configuration: CredentialConfiguration
    ) async throws -> (answer: TokenAnswer, sent: Date) {
        var policy = RetryPolicy()
        var redated = false
        while true {
            let sent = clock.now()
            let reply = await requests.send(configuration, login: grant, now: sent)
            policy.took(clock.now().timeIntervalSince(sent))
            var wait: Double?
            switch reply {
            case .answer(let answer, let status, _):
                switch answer.result {
                case .success: return (answer, sent)
                // An ID token that is asked for proves whose login it is; without it, nothing does.
                case .failure where grant.nonce == nil && grant.isReplaced(by: answer): return (answer, sent)
                case .failure(.transient(_, let retryAfter)) where [408, 429, 503].contains(status):
                    wait = policy.again(after: retryAfter.map(Double.init), jitter: jitter())
                case .failure: break
                }
            case .misdated where !redated:
                (redated, wait) = (true, 0)
            case .failed(let failure) where failure.isTransient && !failure.isUncertain:
                wait = policy.again(jitter: jitter())
            case .misdated, .failed, .unsendable: break
            }
            guard let wait else { throw reply.failure }
            if wait > 0 { try await clock.sleep(seconds: wait) }
        }
    }

    // MARK: Performing

    /// Performs the actions of a machine until it has a token or none.
    private func drive(
        _ begun: Acquisition, _ first: Credential, _ claim: (any TokenClaim)?
    ) async throws -> CachedToken {
        var permit: SendPermit?
        let token: CachedToken
        do {
            token = try await perform(begun, first, claim, &permit)
        } catch {
            // Why there is no token is said even where that can't be written down.
            if permit != nil { try? await claim?.conclude(error) }
            throw error
        }
        if permit != nil { try await claim?.conclude(nil) }
        return token
    }

    private func perform(
        _ begun: Acquisition, _ first: Credential, _ claim: (any TokenClaim)?, _ permit: inout SendPermit?
    ) async throws -> CachedToken {
        var machine = begun
        let (configuration, access) = (first.configuration, begun.ask.access)
        var event = Acquisition.Event.credential(first)
        while true {
            let action = machine.handle(event, now: clock.now(), jitter: jitter())
            switch action {
            case .serve(let token): return token
            case .fail(let failure): throw failure
            case .begin(let sending):
                try mayBegin()
                permit = try await claimed(claim).beginSending(sending)
                event = .begun
            case .send:
                let sent = clock.now()
                event = .answered(await requests.send(configuration, access, permit, now: sent), sent: sent)
            case .wait(let seconds):
                try await clock.sleep(seconds: seconds)
                event = .waited
            case .store(let acquired):
                event = try await store(acquired, permit, in: claimed(claim))
            case .note(let note):
                if let claim { try await claim.write(note, at: clock.now()) }
                event = .written
            case .reread:
                // The configuration stays the one that was begun with: it may be a candidate.
                let state = try await claimed(claim).reread().state
                event = .credential(Credential(configuration, state))
            }
        }
    }

    private func claimed(_ claim: (any TokenClaim)?) throws -> any TokenClaim {
        guard let claim else { throw TokenError.loginNeeded(.never) }
        return claim
    }

    private func store(
        _ acquired: AcquiredTokens, _ permit: SendPermit?, in claim: any TokenClaim
    ) async throws -> Acquisition.Event {
        guard let permit else {
            // Without a refresh token nothing is lost but a token that can be acquired again.
            try await claim.update { _ = $0.store(acquired, spent: nil) }
            return .stored
        }
        do {
            return try await claim.store(acquired, permit) ? .stored : .storedByAnother
        } catch {
            return .notStored
        }
    }

    /// Stores what a server gave that it will not give again.
    private func keep(_ body: () async throws -> Void) async throws {
        for _ in 1..<Acquisition.maximumStores {
            do { return try await body() } catch { try await clock.sleep(seconds: Acquisition.storeWait) }
        }
        do { try await body() } catch { throw TokenError.notStored }
    }

    // MARK: Claims

    /// Takes a credential's claim for a change that must not meet an acquisition, such as a rotation.
    /// - Throws: `TokenError.lockTimeout`, what the store throws, and what `body` throws.
    public func withClaim<R: Sendable>(_ name: String, _ body: (any TokenClaim) async throws -> R) async throws -> R {
        guard let claim = try await waitForClaim(name) else { throw TokenError.lockTimeout }
        defer { withExtendedLifetime(claim) {} }
        return try await body(claim)
    }

    /// Takes the lock under a claim in the same way, for a change that needs no credential in hand.
    /// - Parameter tryLock: returns nil while another holds it.
    /// - Throws: `TokenError.lockTimeout`, and what `tryLock` and `body` throw.
    public func withLock<L>(_ tryLock: () throws -> L?, _ body: () throws -> Void) async throws {
        guard let lock = try await wait(for: { try tryLock() }) else { throw TokenError.lockTimeout }
        defer { withExtendedLifetime(lock) {} }
        try body()
    }

    /// Waits for the credential's claim; nil when the time is up.
    private func waitForClaim(_ name: String) async throws -> (any TokenClaim)? {
        try await wait { try await store.tryClaim(name) }
    }

    private func wait<L>(for tryLock: () async throws -> L?) async throws -> L? {
        var waited = 0.0
        var pause = 0.005
        while true {
            try mayBegin()
            if let lock = try await tryLock() { return lock }
            guard waited < Self.claimLimit else { return nil }
            try await clock.sleep(seconds: pause)
            waited += pause
            pause = min(pause * 1.5, 0.1)
        }
    }
}

extension AuthorizationGrant {
    fileprivate var nonce: String? {
        if case .authorizationCode(_, _, _, let nonce) = self { nonce } else { nil }
    }

    fileprivate var refreshToken: Secret? {
        if case .refreshToken(let token) = self { token } else { nil }
    }

    /// Whether an answer to it has a refresh token that is not the one that was sent.
    fileprivate func isReplaced(by answer: TokenAnswer) -> Bool {
        guard let new = answer.refreshToken else { return false }
        return refreshToken?.equals(new) != true
    }
}

extension TokenClaim {
    fileprivate func write(_ note: Acquisition.Note, at now: Date) async throws {
        try await update { state in
            switch note {
            case .rejected(let token): state.markRejected(token, at: now)
            case .refusal(let cause, let settling):
                state.noteRefusal(cause, at: now)
                if let settling { state.settle(settling.refreshToken, earlier: settling.earlier) }
            case .settle(let settling): state.settle(settling.refreshToken, earlier: settling.earlier)
            case .endLogin(let refreshToken): state.endLogin(keptBy: refreshToken, at: now)
            }
        }
    }
}

extension Acquisition.Reply {
    /// Why the exchange of a code has brought nothing.
    fileprivate var failure: TokenError {
        switch self {
        case .answer(let answer, _, _):
            switch answer.result {
            case .failure(let refusal): Acquisition.failure(refusal)
            case .success: .unusableAnswer(reason: "nothing of use")
            }
        case .misdated(let refusal): Acquisition.failure(refusal)
        case .failed(let failure): .unreachable(failure)
        case .unsendable(let failure): failure
        }
    }
}
