import FoundationEssentials

/// Text of a provider with places for what differs from customer to customer, as `{tenant}`.
public struct Template: Codable, Equatable, Sendable, CustomStringConvertible {
    public var text: String
    public var description: String { text }

    public init(from decoder: any Decoder) throws {
        text = try decoder.singleValueContainer().decode(String.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    func filled(_ values: [String: String]) -> String {
        values.reduce(text) { $0.replacing("{\($1.key)}", with: $1.value) }
    }
}

/// What a person has to say of themselves before a provider's addresses are whole.
public struct ProviderVariable: Codable, Equatable, Sendable {
    public var name: String
    /// What it is, in the words that a person is asked with.
    public var title: String
    public var fallback: String?

    enum CodingKeys: String, CodingKey {
        case name, title
        case fallback = "default"
    }

    /// Whether a value can stand in an address without leading elsewhere: a host with or without a port, or one segment
    /// of a path.
    public static func allows(_ value: String) -> Bool {
        let parts = value.split(separator: ":", omittingEmptySubsequences: false)
        let word = parts[0]
        guard parts.count <= 2, word.first.map({ $0 != "." && $0 != "-" }) ?? false else { return false }
        let isWord = word.utf8.allSatisfy { byte in
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || [UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_")].contains(byte)
        }
        return isWord && (parts.count == 1 || UInt16(parts[1]) != nil)
    }
}

/// What is known about a service: data, not code.
public struct Provider: Codable, Equatable, Sendable {
    /// What `--provider` is given.
    public var name: String
    public var title: String
    /// The page of the service's own documentation that says so.
    public var documentation: String?
    /// Where a person makes and regenerates the key pair.
    public var keysPage: String?
    /// What its addresses leave open.
    public var variables: [ProviderVariable]?
    public var tokenURL: Template
    public var revocationURL: Template?
    public var introspectionURL: Template?
    public var apiURL: Template?
    public var grants: [GrantType]
    public var clientAuthentication: ClientAuthentication?
    public var scopes: [String]?
    public var parameters: [Parameter]?
    public var headers: [Parameter]?
    public var placement: ParameterPlacement?
    /// Seconds.
    public var tokenLifetime: Int?
    /// Whether a new key pair kills the old one the moment it is made.
    public var newSecretRevokesOld: Bool?
    public var notes: [String]?
    public var authorizationURL: Template?
    public var authorizationParameters: [Parameter]?
    /// The address that must be registered with the client; nil for any loopback port.
    public var redirectURI: String?
    public var deviceAuthorizationURL: Template?
    public var omitsGrantType: Bool?
    /// What stands between two scopes, where it is no space.
    public var scopeSeparator: String?
    /// Whether a login may end with its token, since there is no refresh token.
    public var noRefreshToken: Bool?
    /// Whether a refresh token is replaced when it is used; nil where that is not known.
    public var refreshTokenRotates: Bool?
    /// How long a replaced refresh token is still accepted.
    public var refreshTokenGrace: RefreshTokenGrace?
    /// Whether a login's access tokens stay valid when another is acquired.
    public var olderTokensLive: Bool?
    /// Where a person ends what was granted, so that the next consent returns a refresh token again.
    public var permissionsPage: String?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case name, title, documentation, variables, grants, scopes, parameters, headers, placement, notes
        case keysPage = "keys_page"
        case tokenURL = "token_url"
        case revocationURL = "revocation_url"
        case introspectionURL = "introspection_url"
        case apiURL = "api_url"
        case clientAuthentication = "client_authentication"
        case tokenLifetime = "token_lifetime"
        case newSecretRevokesOld = "old_pair_dies_at_once"
        case authorizationURL = "authorization_url"
        case authorizationParameters = "authorization_parameters"
        case redirectURI = "redirect_uri"
        case deviceAuthorizationURL = "device_authorization_url"
        case omitsGrantType = "omits_grant_type"
        case permissionsPage = "permissions_page"
        case scopeSeparator = "scope_separator"
        case noRefreshToken = "no_refresh_token"
        case refreshTokenRotates = "refresh_token_rotates"
        case refreshTokenGrace = "refresh_token_grace"
        case olderTokensLive = "older_tokens_live"
    }

    /// The settings of a new credential of this provider.
    /// - Parameter values: of the variables, by name; the fallback stands in for what is missing.
    /// - Throws: `CatalogueError` if one is missing or could lead elsewhere, or an address is none that may see a secret.
    public func settings(_ values: [String: String] = [:]) throws(CatalogueError) -> ClientSettings {
        let values = try complete(values)
        func address(_ member: CodingKeys, _ template: Template?) throws(CatalogueError) -> EndpointURL? {
            guard let template else { return nil }
            do throws(EndpointURL.Refusal) {
                return try EndpointURL(template.filled(values))
            } catch {
                throw CatalogueError(reason: "the member \"\(member.rawValue)\" is refused as an address: \(error)")
            }
        }
        guard let tokenURL = try address(.tokenURL, tokenURL) else { throw CatalogueError(reason: "it has no token endpoint") }
        var settings = ClientSettings(
            grant: grants.first ?? .clientCredentials, clientAuthentication: clientAuthentication ?? .basic,
            tokenURL: tokenURL)
        settings.revocationURL = try address(.revocationURL, revocationURL)
        settings.introspectionURL = try address(.introspectionURL, introspectionURL)
        settings.apiURL = try address(.apiURL, apiURL)
        settings.scopes = scopes ?? []
        settings.parameters = (parameters ?? []).map { Parameter($0.name, Template(text: $0.value).filled(values)) }
        settings.headers = headers ?? []
        settings.placement = placement ?? .body
        settings.tokenLifetime = tokenLifetime
        settings.authorizationURL = try address(.authorizationURL, authorizationURL)
        settings.authorizationParameters = authorizationParameters
        settings.redirectURI = redirectURI
        settings.deviceAuthorizationURL = try address(.deviceAuthorizationURL, deviceAuthorizationURL)
        settings.omitsGrantType = omitsGrantType
        settings.scopeSeparator = scopeSeparator
        settings.noRefreshToken = noRefreshToken
        settings.refreshTokenRotates = refreshTokenRotates
        settings.refreshTokenGrace = refreshTokenGrace
        settings.olderTokensLive = olderTokensLive
        return settings
    }

    private func complete(_ values: [String: String]) throws(CatalogueError) -> [String: String] {
        let known = (variables ?? []).map(\.name)
        if let unknown = values.keys.filter({ !known.contains($0) }).min() {
            let there = known.isEmpty ? "there is none" : "there is \(known.joined(separator: ", "))"
            throw CatalogueError(reason: "it has no variable \(unknown.debugDescription); \(there)")
        }
        var all = values
        for variable in variables ?? [] {
            guard let value = values[variable.name] ?? variable.fallback else {
                throw CatalogueError(reason: "\(variable.name) is missing: \(variable.title)")
            }
            guard ProviderVariable.allows(value) else {
                throw CatalogueError(reason: "\(variable.name) must be one word or a host: \(variable.title)")
            }
            all[variable.name] = value
        }
        return all
    }
}

extension Template {
    init(text: String) { self.text = text }
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
        } catch {
            throw CatalogueError(reason: "it can't be read")
        }
        guard !provider.name.isEmpty, !provider.grants.isEmpty else {
            throw CatalogueError(reason: "a name and at least one grant are needed")
        }
        // Any word shows whether the addresses are whole once their variables are filled in.
        let filled = Dictionary((provider.variables ?? []).map { ($0.name, $0.fallback ?? "example") }) { $1 }
        _ = try provider.settings(filled)
        providers.removeAll { $0.name == provider.name }
        providers.append(provider)
        providers.sort { $0.name < $1.name }
    }

    private static func words(for error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "the member \"\(key.stringValue)\" is missing"
        case .dataCorrupted(let context) where context.codingPath.map(\.stringValue) == ["refresh_token_grace"]:
            "the member \"refresh_token_grace\" must be \(context.debugDescription)"
        case .typeMismatch(let type, let context) where type == Bool.self:
            "the member \"\(context.codingPath.map(\.stringValue).joined(separator: "."))\" must be true or false"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            "the member \"\(context.codingPath.map(\.stringValue).joined(separator: "."))\" is not what it should be"
        @unknown default: "it can't be read"
        }
    }
}
