public import FoundationEssentials
public import OAuth

/// What a caller wants.
public struct TokenAsk: Hashable, Sendable {
    public enum Mode: Hashable, Sendable {
        /// A cached token if it is good enough.
        case cached
        /// A new one in any case.
        case fresh
        /// The API answered 401 to the cached one: it is dropped first.
        case rejected
    }

    public var access: RequestedAccess
    public var mode: Mode
    /// For `rejected`: what the caller's token is called, which is the first 16 bytes of its SHA-256 in hexadecimal digits.
    public var rejectedToken: String?
    /// The least remaining lifetime in seconds.
    public var minimumLifetime: Int?
    /// Use a rotating refresh token although it belongs to another machine, which loses the login by it.
    public var takesOver = false

    public init(access: RequestedAccess = RequestedAccess(), mode: Mode = .cached, minimumLifetime: Int? = nil) {
        self.access = access
        self.mode = mode
        self.minimumLifetime = minimumLifetime
    }
}

/// When a cached token will do.
public enum Freshness {
    /// A token from further in the future than this was bought under a wrong clock: its expiry can't be believed.
    static let toleratedSkew = 60.0

    /// How long before its end a token is renewed: a minute, less for tokens that live less than ten.
    static func margin(lifetime: Double) -> Double {
        min(60, lifetime / 10)
    }

    /// Good enough to be handed out without asking the server.
    static func isGood(_ token: CachedToken, for ask: TokenAsk, at now: Date) -> Bool {
        isGood(sent: token.sent, expires: token.expires, for: ask, at: now)
    }

    /// As above, for whoever keeps no more of a token than these.
    public static func isGood(sent: Date, expires: Date?, for ask: TokenAsk, at now: Date) -> Bool {
        guard sent.timeIntervalSince(now) <= toleratedSkew else { return false }
        guard let expires else { return true }
        let lifetime = expires.timeIntervalSince(sent)
        let wanted = ask.minimumLifetime.map(Double.init) ?? 0
        return expires.timeIntervalSince(now) > max(margin(lifetime: lifetime), wanted)
    }

    /// Still valid, and better than nothing when the server can't be asked.
    static func isTolerable(_ token: CachedToken, for ask: TokenAsk, at now: Date) -> Bool {
        guard token.sent.timeIntervalSince(now) <= toleratedSkew else { return false }
        guard let expires = token.expires else { return true }
        return expires.timeIntervalSince(now) > Double(ask.minimumLifetime ?? 0)
    }
}
