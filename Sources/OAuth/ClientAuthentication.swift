/// How a token is granted (RFC 6749 section 1.3).
public enum GrantType: String, Codable, Sendable, CaseIterable {
    case clientCredentials = "client_credentials"
    /// A person logs in with a browser (section 4.1).
    case authorizationCode = "authorization_code"
    /// A person brings a refresh token from elsewhere (section 6).
    case refreshToken = "refresh_token"
    /// User name and password (section 4.3): for servers that know nothing better.
    case password
    /// A person logs in on another device (RFC 8628).
    case deviceCode = "device_code"
    /// An assertion signed with the client's key (RFC 7523 section 2.1), as of a Google service account.
    case jwtBearer = "jwt_bearer"
    /// Another token is exchanged for one (RFC 8693).
    case tokenExchange = "token_exchange"

    /// Whether tokens come from a login, which a refresh token keeps alive.
    public var needsLogin: Bool {
        switch self {
        case .authorizationCode, .refreshToken, .deviceCode: true
        case .clientCredentials, .password, .jwtBearer, .tokenExchange: false
        }
    }

    /// The value of `grant_type`, which is also what a client registers for.
    var registeredName: String {
        switch self {
        case .clientCredentials, .authorizationCode, .refreshToken, .password: rawValue
        case .deviceCode: "urn:ietf:params:oauth:grant-type:device_code"
        case .jwtBearer: "urn:ietf:params:oauth:grant-type:jwt-bearer"
        case .tokenExchange: "urn:ietf:params:oauth:grant-type:token-exchange"
        }
    }
}

/// How the client proves who it is at the token endpoint (RFC 6749 section 2.3).
public enum ClientAuthentication: String, Codable, Sendable, CaseIterable {
    /// HTTP Basic of the form-encoded id and secret, as section 2.3.1 says.
    case basic
    /// HTTP Basic of the id and secret as they are, for servers that don't decode.
    case basicRaw = "basic_raw"
    /// `client_id` and `client_secret` among the parameters.
    case post
    /// A public client: `client_id` alone.
    case none
    /// An assertion signed with a private key (RFC 7523 section 2.2): RS256, ES256, ES384, ES512 or EdDSA, as the key is.
    case privateKeyJWT = "private_key_jwt"
    /// An assertion signed with the client secret: HS256.
    case clientSecretJWT = "client_secret_jwt"
    /// An assertion signed with a private key, as the bearer token of the request: GitHub knows its Apps so.
    case bearerJWT = "bearer_jwt"
    /// A certificate in the TLS handshake (RFC 8705 section 2); the secret is the certificate and its key in PEM.
    case tls

    public var needsSecret: Bool { self != .none }

    /// Whether each request needs an assertion of its own.
    public var signs: Bool { self == .privateKeyJWT || self == .clientSecretJWT || self == .bearerJWT }
}
