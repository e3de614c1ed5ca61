import FoundationEssentials

/// What is known about a service: data, not code.
public struct Provider: Codable, Equatable, Sendable {
    /// What `--provider` is given.
    public var name: String
    public var title: String
    /// The page of the service's own documentation that says so.
    public var documentation: String?
    /// Where a person makes and regenerates the key pair.
    public var keysPage: String?
    public var tokenURL: EndpointURL
    public var revocationURL: EndpointURL?
    public var introspectionURL: EndpointURL?
    public var grants: [GrantType]
    public var clientAuthentication: ClientAuthentication?
    public var scopes: [String]?
    public var parameters: [Parameter]?
    public var headers: [Parameter]?
    public var placement: ParameterPlacement?
    /// Seconds.
    public var tokenLifetime: Int?
    /// Whether a new key pair kills the old one the moment it is made.
    public var oldPairDiesAtOnce: Bool?
    public var notes: [String]?
    public var authorizationURL: EndpointURL?
    public var authorizationParameters: [Parameter]?
    /// The address that must be registered with the client; nil for any loopback port.
    public var redirectURI: String?
    public var deviceAuthorizationURL: EndpointURL?
    public var omitsGrantType: Bool?
    /// Where a person ends what was granted, so that the next consent returns a refresh token again.
    public var permissionsPage: String?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case name, title, documentation, grants, scopes, parameters, headers, placement, notes
        case keysPage = "keys_page"
        case tokenURL = "token_url"
        case revocationURL = "revocation_url"
        case introspectionURL = "introspection_url"
        case clientAuthentication = "client_authentication"
        case tokenLifetime = "token_lifetime"
        case oldPairDiesAtOnce = "old_pair_dies_at_once"
        case authorizationURL = "authorization_url"
        case authorizationParameters = "authorization_parameters"
        case redirectURI = "redirect_uri"
        case deviceAuthorizationURL = "device_authorization_url"
        case omitsGrantType = "omits_grant_type"
        case permissionsPage = "permissions_page"
    }

    /// The settings of a new credential of this provider.
    public var settings: ClientSettings {
        var settings = ClientSettings(
            grant: grants.first ?? .clientCredentials, clientAuthentication: clientAuthentication ?? .basic,
            tokenURL: tokenURL)
        settings.revocationURL = revocationURL
        settings.introspectionURL = introspectionURL
        settings.scopes = scopes ?? []
        settings.parameters = parameters ?? []
        settings.headers = headers ?? []
        settings.placement = placement ?? .body
        settings.tokenLifetime = tokenLifetime
        settings.authorizationURL = authorizationURL
        settings.authorizationParameters = authorizationParameters
        settings.redirectURI = redirectURI
        settings.deviceAuthorizationURL = deviceAuthorizationURL
        settings.omitsGrantType = omitsGrantType
        return settings
    }
}

/// Why a catalogue file can't be used, in words that name the member.
public struct CatalogueError: Error, Equatable, Sendable {
    public var reason: String
}

/// The providers that claviger knows by name.
public struct Catalogue: Sendable {
    public private(set) var providers: [Provider]

    /// The built-in ones, as they stand in `providers.json`.
    public static let builtIn = Catalogue(
        // The file is part of the program, and a test reads it.
        providers: (try? JSONDecoder().decode([Provider].self, from: Data(PackageResources.providers_json))) ?? [])

    private init(providers: [Provider]) {
        self.providers = providers
    }

    public subscript(name: String) -> Provider? {
        providers.first { $0.name == name }
    }

    /// Adds a provider of the user's, in place of one of the same name.
    /// - Throws: `CatalogueError` if `json` is no provider.
    public mutating func add(json: [UInt8]) throws(CatalogueError) {
        guard let object = JSONValue(parsing: json)?.object else { throw CatalogueError(reason: "it is no JSON object") }
        let known = Set(Provider.CodingKeys.allCases.map(\.rawValue))
        if let unknown = object.keys.filter({ !known.contains($0) }).min() {
            throw CatalogueError(reason: "the member \(unknown.debugDescription) is unknown")
        }
        let provider: Provider
        do {
            provider = try JSONDecoder().decode(Provider.self, from: Data(json))
        } catch let error as DecodingError {
            throw CatalogueError(reason: Self.words(for: error))
        } catch let refusal as EndpointURL.Refusal {
            throw CatalogueError(reason: "an address is refused: \(refusal)")
        } catch {
            throw CatalogueError(reason: "it can't be read")
        }
        guard !provider.name.isEmpty, !provider.grants.isEmpty else {
            throw CatalogueError(reason: "a name and at least one grant are needed")
        }
        providers.removeAll { $0.name == provider.name }
        providers.append(provider)
        providers.sort { $0.name < $1.name }
    }

    private static func words(for error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "the member \"\(key.stringValue)\" is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            "the member \"\(context.codingPath.map(\.stringValue).joined(separator: "."))\" is not what it should be"
        @unknown default: "it can't be read"
        }
    }
}
