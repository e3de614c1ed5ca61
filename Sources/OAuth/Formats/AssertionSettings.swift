/// What a client's signed assertions say, where that is not the usual (RFC 7523 section 3). Nil is the usual; an empty
/// text leaves a claim out.
public struct AssertionSettings: Codable, Hashable, Sendable {
    /// `aud`. Nil for the token endpoint, which is what credentials had before the audience was a setting, or for no audience
    /// with `bearer_jwt`. `toEndpoint` stands for the address of each request.
    public var audience: String?
    /// `sub`. Nil for the user or the client id, or for no subject with `bearer_jwt`.
    public var subject: String?
    /// `iss`. Nil for the client id.
    public var issuer: String?
    /// From issue to expiry, in seconds; nil for 300.
    public var lifetime: Int?
    /// The header `typ`; nil for `JWT`.
    public var type: String?
    /// Nil for what suits the key.
    public var algorithm: AssertionAlgorithm?
    /// Further claims; they take the place of ours of the same name.
    public var claims: [String: JSONValue]?

    public init() {}

    /// The audience of assertions that are for the endpoint they are sent to, be that for tokens or revocation. Some servers
    /// accept no other: idpyoidc, and Okta ("the full URL of the resource that you're using the JWT to authenticate to").
    public static let toEndpoint = "{endpoint}"

    public var isEmpty: Bool { self == AssertionSettings() }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case audience, subject, issuer, lifetime, type, algorithm, claims
    }
}

/// How an assertion is signed with a private key (RFC 7518 section 3.1, RFC 8037 section 3.1).
public enum AssertionAlgorithm: String, Codable, Sendable, CaseIterable {
    case rs256 = "RS256"
    case ps256 = "PS256"
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case eddsa = "EdDSA"
}
