public import FoundationEssentials
public import OAuth
public import Sodium

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
    /// When a caller said that an API had answered 401 to it.
    public var rejected: Date?
    /// How it goes to the API: what the credential's settings say at the moment, and no part of what is stored.
    public var presentation = TokenPresentation.bearer
    /// The proof of possession for one request; never stored.
    public var proof: Secret?

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

    /// - Parameter settings: say what the server does not.
    public init(_ granted: TokenSet, access: RequestedAccess, sent: Date, settings: ClientSettings?) {
        let lifetime = granted.expiresIn ?? settings?.tokenLifetime
        self.init(
            access: access, token: granted.accessToken, type: granted.tokenType, scopes: granted.scopes, sent: sent,
            expires: lifetime.map { sent.addingTimeInterval(Double($0)) }, extras: granted.extras)
        presentation = settings?.presentation(ofType: type) ?? .bearer
    }

    /// Whether it is bound to a key, so that an API takes it only with a proof (RFC 9449).
    public var isBound: Bool { type == TokenPresentation.dpopType }

    /// Seconds, or nil for one that never says.
    public var lifetime: Double? { expires.map { $0.timeIntervalSince(sent) } }

    public func hasExpired(at now: Date) -> Bool {
        expires.map { $0 <= now } ?? false
    }

    /// The token with nothing of what came with it but this.
    /// - Throws: `TokenError.notShown`, or `SodiumError`.
    public func only(_ field: TokenField, format: AnswerFormat?) throws -> CachedToken {
        var token = self
        do {
            token.extras = try field.alone(in: extras, format: format)
        } catch let refusal as FieldRefusal {
            throw TokenError.notShown(refusal)
        }
        return token
    }

    /// Whether this is the very acquisition that `other` is, not merely the same text handed out again.
    public func isSame(as other: CachedToken) -> Bool {
        access == other.access && sent == other.sent && token.equals(other.token)
    }
}

/// What names a token without being one: the first 16 bytes of its SHA-256.
///
/// A caller sends it with the news that an API has rejected its token, so that a caller with an old token does not cost a new
/// one. A token has far too many possible values for its hash to be searched.
public struct TokenHash: Codable, Hashable, Sendable {
    private static let length = 16
    private let bytes: [UInt8]

    public init(of token: Secret) {
        bytes = Array(token.withBytes { SHA256.hash($0.array()) }.prefix(Self.length))
    }

    /// - Parameter hex: 32 hexadecimal digits in lower or upper case; nil for anything else.
    public init?(hex: String) {
        let digits = Array(hex.utf8)
        guard digits.count == 2 * Self.length else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let byte = UInt8(String(decoding: digits[index...(index + 1)], as: UTF8.self), radix: 16),
                digits[index] != UInt8(ascii: "+"), digits[index] != UInt8(ascii: "-")
            else { return nil }
            bytes.append(byte)
        }
        self.bytes = bytes
    }

    public var hex: String { unsafe Hex.encode(bytes.span.bytes) }

    func matches(_ token: CachedToken) -> Bool { self == TokenHash(of: token.token) }
}
