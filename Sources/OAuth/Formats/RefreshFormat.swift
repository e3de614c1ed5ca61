/// How a token request is sent.
public enum RequestMethod: String, Codable, Sendable, CaseIterable {
    case post = "POST"
    /// For servers that know nothing else: all parameters stand in the query.
    case get = "GET"
}

/// Where the parameters of a token request go.
public enum ParameterPlacement: String, Codable, Sendable, CaseIterable {
    case body, query, json
}

/// What is different in the request that spends a refresh token; nil means as in all others.
public struct RefreshFormat: Codable, Hashable, Sendable {
    /// The refresh endpoint, where that is not the token endpoint.
    public var url: EndpointURL?
    public var method: RequestMethod?
    public var placement: ParameterPlacement?
    public var clientAuthentication: ClientAuthentication?
    /// In the place of the settings' parameters.
    public var parameters: [Parameter]?
    /// In the place of the settings' names.
    public var parameterNames: [String: String]?
    /// Whether the credential's scopes are sent. Some servers refuse even those that were granted (RFC 6749 section 6).
    public var scopes: Bool?

    public init() {}

    enum CodingKeys: String, CodingKey, CaseIterable {
        case url, method, placement, parameters, scopes
        case clientAuthentication = "client_authentication"
        case parameterNames = "parameter_names"
    }
}
