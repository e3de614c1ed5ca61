public import FoundationEssentials
public import OAuth
public import Sodium

/// A client id and secret, and since when they are stored.
public struct KeyPair: Sendable {
    public var client: ClientIdentity
    public var since: Date

    public init(client: ClientIdentity, since: Date) {
        self.client = client
        self.since = since
    }
}

/// A named OAuth client with everything that is kept about it.
public struct Credential: Sendable {
    /// The name of the catalogue's provider that it was made from.
    public var provider: String?
    public var settings: ClientSettings
    public var keyPair: KeyPair
    /// The pair before the last rotation, for a rollback.
    public var previousKeyPair: KeyPair?
    /// A pair whose rotation was begun: typed in and safe, but not yet proven.
    public var stagedKeyPair: KeyPair?
    public var tokens: [CachedToken] = []
    /// What keeps the grants that need a person alive.
    public var login: Login?
    /// When the server refused the key pair, and it has not worked since.
    public var refusedSince: Date?

    public init(provider: String?, settings: ClientSettings, keyPair: KeyPair) {
        self.provider = provider
        self.settings = settings
        self.keyPair = keyPair
    }

    /// More cached tokens than this are of nobody's use: the oldest goes.
    static let maximumTokens = 32

    public func token(for access: RequestedAccess) -> CachedToken? {
        tokens.first { $0.access == access }
    }

    /// Puts a token in the place of the one for the same request. The key pair that bought it works.
    public mutating func keep(_ token: CachedToken, now: Date) {
        tokens.removeAll { $0.access == token.access || $0.hasExpired(at: now) }
        tokens.append(token)
        if tokens.count > Self.maximumTokens { tokens.removeFirst() }
        refusedSince = nil
    }

    /// Forgets one token, unless another has taken its place meanwhile.
    public mutating func forget(_ token: CachedToken) {
        tokens.removeAll { $0.isSame(as: token) }
    }
}

/// An access token in the vault.
public struct CachedToken: Sendable {
    /// What was asked for: a token serves only the same request again.
    public var access: RequestedAccess
    public var token: Secret
    public var type: String
    /// What the server says was granted, if it says.
    public var scopes: [String]?
    /// When the request was sent, from which the lifetime counts.
    public var sent: Date
    /// Nil where neither the server nor the provider's documentation says.
    public var expires: Date?
    /// Members of the answer beyond those of RFC 6749, as JSON.
    public var extras: Secret?

    public init(
        access: RequestedAccess, token: Secret, type: String, scopes: [String]?, sent: Date, expires: Date?, extras: Secret?
    ) {
        self.access = access
        self.token = token
        self.type = type
        self.scopes = scopes
        self.sent = sent
        self.expires = expires
        self.extras = extras
    }

    /// - Parameter fallbackLifetime: seconds, where the server does not say.
    public init(_ granted: TokenSet, access: RequestedAccess, sent: Date, fallbackLifetime: Int?) {
        let lifetime = granted.expiresIn ?? fallbackLifetime
        self.init(
            access: access, token: granted.accessToken, type: granted.tokenType, scopes: granted.scopes, sent: sent,
            expires: lifetime.map { sent.addingTimeInterval(Double($0)) }, extras: granted.extras)
    }

    /// Seconds, or nil for one that never says.
    public var lifetime: Double? { expires.map { $0.timeIntervalSince(sent) } }

    public func hasExpired(at now: Date) -> Bool {
        expires.map { $0 <= now } ?? false
    }

    /// Whether this is the very acquisition that `other` is, not merely the same text handed out again.
    public func isSame(as other: CachedToken) -> Bool {
        access == other.access && sent == other.sent && token.equals(other.token)
    }
}
