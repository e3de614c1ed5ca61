/// A token that is exchanged for another (RFC 8693 section 2.1): where it comes from each time, and what it is.
public struct ExchangedToken: Codable, Equatable, Sendable {
    public enum Source: Codable, Equatable, Sendable {
        /// The access token of another credential in the vault.
        case credential(name: String)
        /// What stands in a file at that moment, such as one that a platform keeps fresh.
        case file(path: String)
    }

    public var source: Source
    /// A URI of RFC 8693 section 3.
    public var type: String

    public init(source: Source, type: String) {
        self.source = source
        self.type = type
    }

    /// The URI of a type that is registered by a short name, such as `access_token` or `jwt`.
    public static func registeredType(_ name: String) -> String {
        "urn:ietf:params:oauth:token-type:" + name
    }
}

/// Everything about an OAuth client that is no secret: enough to write its requests.
///
/// A credential carries a copy of these from the day it was added. A change in a catalogue file can therefore never
/// send a stored secret to another address.
public struct ClientSettings: Codable, Equatable, Sendable {
    public var grant: GrantType
    public var clientAuthentication: ClientAuthentication
    public var tokenURL: EndpointURL
    public var revocationURL: EndpointURL?
    public var introspectionURL: EndpointURL?
    /// The address below which the service's own API lies: the only place where a token may be sent for somebody.
    public var apiURL: EndpointURL?
    public var scopes: [String]
    public var audiences: [String]
    public var resources: [String]
    public var parameters: [Parameter]
    public var headers: [Parameter]
    /// The names of further parameters, whose values are secrets (`SecretFields`); nil for none.
    public var secretParameters: [String]?
    /// The names of further headers, whose values are secrets (`SecretFields`); nil for none.
    public var secretHeaders: [String]?
    public var placement: ParameterPlacement
    /// Nil for POST.
    public var method: RequestMethod?
    /// The server's own names of parameters, by their standard ones, in every request; an empty one leaves a parameter out. In
    /// JSON, a name that begins with a slash is a pointer (RFC 6901).
    public var parameterNames: [String: String]?
    /// What is different in the request that spends a refresh token.
    public var refresh: RefreshFormat?
    /// Where things stand in the answer, and what its words mean.
    public var answer: AnswerFormat?
    /// How a token goes into a request to the service's API; nil for `Authorization: Bearer`.
    public var presentation: TokenPresentation?
    /// The certificates to trust instead of the system's, in PEM.
    public var certificateAuthority: String?
    /// How long tokens live where the server does not say, in seconds.
    public var tokenLifetime: Int?
    /// How long a refresh token may be held without being used, where the server does not say, in seconds.
    public var loginIdle: Int?
    /// How long a login lives, whatever is done, where the server does not say, in seconds.
    public var loginLifetime: Int?
    /// Where a person logs in (RFC 6749 section 3.1).
    public var authorizationURL: EndpointURL?
    /// Where an authorization request is handed in before the browser goes to the server (RFC 9126).
    public var pushedAuthorizationURL: EndpointURL?
    /// What else an authorization request says.
    public var authorizationParameters: [Parameter]?
    /// The registered redirect address; nil for any loopback port (RFC 8252 section 7.3).
    public var redirectURI: String?
    /// Where a device asks for a code (RFC 8628 section 3.1).
    public var deviceAuthorizationURL: EndpointURL?
    /// Whether `grant_type` is left out, for servers that know one grant and not its name.
    public var omitsGrantType: Bool?
    /// False where the server refuses a code verifier (RFC 7636), which is sent otherwise.
    public var pkce: Bool?
    /// False where the server never puts the nonce into an ID token, which must be there otherwise.
    public var nonce: Bool?
    /// The server's name for itself (RFC 8414).
    public var issuer: String?
    /// The `kid` of the private key that assertions are signed with.
    public var keyID: String?
    /// Whether tokens are bound to a key of the credential's (RFC 9449).
    public var dpop: Bool?
    /// What assertions say, where that is not the usual.
    public var assertion: AssertionSettings?

    /// What stands between two scopes in a request; nil for a space (RFC 6749 section 3.3).
    public var scopeSeparator: String?
    /// Whether a login without a refresh token is taken as it is: it ends with its token.
    public var noRefreshToken: Bool?
    /// Whether the server replaces a refresh token when it is used (RFC 6749 section 6); nil where that is not known.
    public var refreshTokenRotates: Bool?
    /// How long a replaced refresh token is still accepted; nil for not at all.
    public var refreshTokenGrace: RefreshTokenGrace?
    /// Whether access tokens of a login stay valid when another is acquired with its refresh token; nil for no.
    public var olderTokensLive: Bool?
    /// What to do with a refresh token whose answer was lost; nil for `once`.
    public var resend: ResendPolicy?
    /// Whose token is exchanged, for the grant that does that.
    public var subject: ExchangedToken?
    /// Who acts for the subject, where somebody does (RFC 8693 section 1.1).
    public var actor: ExchangedToken?

    /// Whether the client's secret is a private key in PEM.
    public var hasPrivateKey: Bool {
        [.privateKeyJWT, .bearerJWT, .tls].contains(clientAuthentication) || grant == .jwtBearer
    }
    /// How a token goes into a request to the service's API.
    /// - Parameter type: the token's.
    public func presentation(ofType type: String) -> TokenPresentation {
        presentation ?? (type == TokenPresentation.dpopType ? .dpop : .bearer)
    }

    /// Scopes as one parameter.
    public func joined(_ scopes: [String]) -> String { scopes.joined(separator: scopeSeparator ?? " ") }
    /// Whether there is a secret that belongs to the client id.
    public var needsSecret: Bool { clientAuthentication.needsSecret || grant == .jwtBearer }

    public init(
        grant: GrantType = .clientCredentials, clientAuthentication: ClientAuthentication = .basic, tokenURL: EndpointURL
    ) {
        self.grant = grant
        self.clientAuthentication = clientAuthentication
        self.tokenURL = tokenURL
        scopes = []
        audiences = []
        resources = []
        parameters = []
        headers = []
        placement = .body
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case grant, scopes, audiences, resources, parameters, headers, placement, method, refresh, answer, presentation, pkce,
            nonce
        case parameterNames = "parameter_names"
        case secretParameters = "secret_parameters"
        case secretHeaders = "secret_headers"
        case clientAuthentication = "client_authentication"
        case tokenURL = "token_url"
        case revocationURL = "revocation_url"
        case introspectionURL = "introspection_url"
        case apiURL = "api_url"
        case certificateAuthority = "certificate_authority"
        case tokenLifetime = "token_lifetime"
        case loginIdle = "login_idle"
        case loginLifetime = "login_lifetime"
        case authorizationURL = "authorization_url"
        case pushedAuthorizationURL = "pushed_authorization_url"
        case authorizationParameters = "authorization_parameters"
        case redirectURI = "redirect_uri"
        case deviceAuthorizationURL = "device_authorization_url"
        case omitsGrantType = "omits_grant_type"
        case issuer, subject, actor, assertion, dpop
        case keyID = "key_id"
        case scopeSeparator = "scope_separator"
        case noRefreshToken = "no_refresh_token"
        case resend
        case refreshTokenRotates = "refresh_token_rotates"
        case refreshTokenGrace = "refresh_token_grace"
        case olderTokensLive = "older_tokens_live"
    }
}
