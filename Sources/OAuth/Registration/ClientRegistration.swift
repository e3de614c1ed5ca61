public import FoundationEssentials
public import Sodium

/// Where a client that registered itself is managed (RFC 7592 section 3): its address, and the token that changes it.
public struct ClientRegistration: Sendable {
    /// `registration_client_uri`.
    public var url: EndpointURL
    /// `registration_access_token`. It can replace the client's secret, and is kept as one.
    public var token: Secret

    public init(url: EndpointURL, token: Secret) { (self.url, self.token) = (url, token) }
}

/// What a server says of a client that is registered there (RFC 7591 section 3.2.1, RFC 7592 section 3).
public struct RegisteredClient: Sendable {
    public var client: ClientCredentials
    /// When the secret ends; nil for never.
    public var secretExpires: Date?
    /// Nil where the server lets nobody manage the client.
    public var registration: ClientRegistration?
    /// Nil where the server does not say.
    public var authentication: ClientAuthentication?
    public var redirectURIs: [String]
    /// Nil where the server does not say.
    public var scopes: [String]?
    /// Everything else, as it is sent again in an update.
    public var metadata: [String: JSONValue]

    /// Members that belong to the server, and the secret: an update must not contain them (RFC 7592 section 2.2).
    private static let own: Set<String> = [
        "client_secret", "client_secret_expires_at", "client_id_issued_at", "registration_access_token",
        "registration_client_uri",
    ]

    /// - Parameter known: the address and token in use; an answer may leave them out if they stay.
    /// - Throws: `TokenRefusal.unusable`, or `.memory`.
    public init(parsing body: [UInt8], known: ClientRegistration? = nil) throws(TokenRefusal) {
        guard let members = JSONValue(answer: body)?.object else { throw .unusable(reason: "something that is no JSON object") }
        func text(_ name: String) -> String? { members[name]?.string.flatMap { $0.isEmpty ? nil : $0 } }
        func secret(_ name: String) throws(TokenRefusal) -> Secret? {
            guard let text = text(name) else { return nil }
            do throws(SodiumError) { return try Secret(utf8: text) } catch { throw .memory }
        }
        guard let id = text("client_id"), Self.isID(id) else { throw .unusable(reason: "no client id") }
        client = ClientCredentials(id: id, secret: try secret("client_secret"))
        if case .integer(let seconds) = members["client_secret_expires_at"], seconds > 0 {
            secretExpires = Date(timeIntervalSince1970: Double(seconds))
        }
        let url = text("registration_client_uri").flatMap { try? EndpointURL($0) } ?? known?.url
        if let url, let token = try secret("registration_access_token") ?? known?.token {
            registration = ClientRegistration(url: url, token: token)
        }
        authentication = text("token_endpoint_auth_method").flatMap(ClientAuthentication.init(registered:))
        redirectURIs = Self.texts(members["redirect_uris"])
        scopes = text("scope")?.split(separator: " ").map(String.init)
        metadata = members.filter { !Self.own.contains($0.key) && $0.value != .null }
    }

    /// RFC 6749 section A.1.
    private static func isID(_ text: String) -> Bool { text.utf8.allSatisfy { (0x20...0x7E).contains($0) } }

    private static func texts(_ value: JSONValue?) -> [String] {
        guard case .array(let values) = value else { return [] }
        return values.compactMap(\.string)
    }
}

extension ClientAuthentication {
    /// The names of RFC 7591 section 2 and RFC 8705 section 2.
    private static let registeredNames: [(String, ClientAuthentication)] = [
        ("client_secret_basic", .basic), ("client_secret_post", .post), ("private_key_jwt", .privateKeyJWT),
        ("client_secret_jwt", .clientSecretJWT), ("tls_client_auth", .tls), ("self_signed_tls_client_auth", .tls),
        ("none", .none),
    ]

    /// - Returns: nil for a way that claviger does not know.
    public init?(registered name: String) {
        guard let known = Self.registeredNames.first(where: { $0.0 == name }) else { return nil }
        self = known.1
    }

    /// The first of these that a server has, in claviger's order.
    static func best(of names: Set<String>) -> ClientAuthentication? {
        registeredNames.first { names.contains($0.0) }?.1
    }

    /// The name that a client registers with; nil for ways that no client is registered for.
    var registeredName: String? {
        self == .basicRaw ? "client_secret_basic" : Self.registeredNames.first { $0.1 == self }?.0
    }
}
