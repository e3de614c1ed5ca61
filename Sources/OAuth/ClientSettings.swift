/// How a token is granted (RFC 6749 section 1.3).
public enum GrantType: String, Codable, Sendable, CaseIterable {
    case clientCredentials = "client_credentials"
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

    public var needsSecret: Bool { self != .none }
}

/// Where the parameters of a token request go.
public enum ParameterPlacement: String, Codable, Sendable, CaseIterable {
    case body, query, json
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
    public var scopes: [String]
    public var audiences: [String]
    public var resources: [String]
    public var parameters: [Parameter]
    public var headers: [Parameter]
    public var placement: ParameterPlacement
    /// The certificates to trust instead of the system's, in PEM.
    public var certificateAuthority: String?
    /// How long tokens live where the server does not say, in seconds.
    public var tokenLifetime: Int?

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

    enum CodingKeys: String, CodingKey {
        case grant, scopes, audiences, resources, parameters, headers, placement
        case clientAuthentication = "client_authentication"
        case tokenURL = "token_url"
        case revocationURL = "revocation_url"
        case introspectionURL = "introspection_url"
        case certificateAuthority = "certificate_authority"
        case tokenLifetime = "token_lifetime"
    }
}
