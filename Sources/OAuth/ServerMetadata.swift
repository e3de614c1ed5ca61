import HTTPTypes

/// What a server says of itself (RFC 8414 section 2, OpenID Connect Discovery 1.0 section 3).
public struct ServerMetadata: Sendable, Equatable {
    public var issuer: String
    public var tokenURL: EndpointURL
    public var authorizationURL: EndpointURL?
    public var deviceAuthorizationURL: EndpointURL?
    public var revocationURL: EndpointURL?
    public var introspectionURL: EndpointURL?
    /// Where the keys are that it signs with (`jwks_uri`).
    public var keysURL: EndpointURL?
    public var grants: Set<String>
    public var authenticationMethods: Set<String>
    /// Where an authorization request is handed in first (RFC 9126 section 5).
    public var pushedAuthorizationURL: EndpointURL?
    /// Where a client registers itself (RFC 7591 section 3).
    public var registrationURL: EndpointURL?
    /// The addresses for clients that authenticate by a certificate (RFC 8705 section 5), by the names of the others.
    public var certificateAliases: [String: EndpointURL] = [:]
    /// The names of optional addresses that may see no secret, and were left out.
    public var leftOut: [String] = []

    /// Why metadata is refused, in words.
    public struct Refusal: Error, Equatable, Sendable {
        public var reason: String
        /// Whether what was found is metadata at all.
        public var isMetadata: Bool

        public init(reason: String, isMetadata: Bool = true) {
            (self.reason, self.isMetadata) = (reason, isMetadata)
        }
    }

    /// Where the metadata of an issuer may be: RFC 8414 section 3.1 puts the well-known part before the issuer's path,
    /// OpenID Connect behind it.
    public static func addresses(of issuer: EndpointURL) -> [String] {
        let origin = "\(issuer.scheme)://\(issuer.authority)"
        let path = issuer.path == "/" ? "" : issuer.path.hasSuffix("/") ? String(issuer.path.dropLast()) : issuer.path
        return [
            origin + "/.well-known/oauth-authorization-server" + path,
            origin + path + "/.well-known/openid-configuration",
        ]
    }

    /// The request for metadata at an address.
    public static func request(_ url: EndpointURL, certificateAuthority: String?) -> EndpointRequest {
        let target = url.path + (url.query.map { "?" + $0 } ?? "")
        var head = HTTPRequest(method: .get, scheme: url.scheme, authority: url.authority, path: target)
        head.headerFields[.accept] = "application/json"
        head.headerFields[.userAgent] = "claviger"
        return EndpointRequest(head: head, body: [], certificateAuthority: certificateAuthority)
    }

    /// - Parameter issuer: as it was asked for; the answer must name the same (RFC 8414 section 3.3).
    public init(parsing body: [UInt8], issuer: EndpointURL) throws(Refusal) {
        guard let json = JSONValue(answer: body), json.object != nil else {
            throw Refusal(reason: "it is no JSON object", isMetadata: false)
        }
        guard let named = json.member("issuer")?.string else { throw Refusal(reason: "it names no issuer", isMetadata: false) }
        guard named == issuer.description else { throw Self.otherIssuer(named, than: issuer.description) }
        func address(_ name: String) throws(Refusal) -> EndpointURL? {
            guard let text = json.member(name)?.string else { return nil }
            // Plain http to this machine is for servers that are on it, and say so themselves.
            guard let url = try? EndpointURL(text), url.scheme == "https" || issuer.scheme == "http" else {
                throw Refusal(reason: "its \(name) is no address that may see a secret")
            }
            return url
        }
        var leftOut: [String] = []
        func optional(_ name: String) -> EndpointURL? {
            do throws(Refusal) {
                return try address(name)
            } catch {
                leftOut.append(name)
                return nil
            }
        }
        func words(_ name: String, missing: Set<String>) -> Set<String> {
            guard case .array(let values) = json.member(name) else { return missing }
            return Set(values.compactMap(\.string))
        }
        guard let tokenURL = try address("token_endpoint") else { throw Refusal(reason: "it names no token endpoint") }
        self.issuer = named
        self.tokenURL = tokenURL
        authorizationURL = optional("authorization_endpoint")
        deviceAuthorizationURL = optional("device_authorization_endpoint")
        revocationURL = optional("revocation_endpoint")
        introspectionURL = optional("introspection_endpoint")
        pushedAuthorizationURL = optional("pushed_authorization_request_endpoint")
        registrationURL = optional("registration_endpoint")
        keysURL = optional("jwks_uri")
        grants = words("grant_types_supported", missing: ["authorization_code", "implicit"])
        authenticationMethods = words("token_endpoint_auth_methods_supported", missing: ["client_secret_basic"])
        self.leftOut = leftOut
        for (name, value) in json.member("mtls_endpoint_aliases")?.object ?? [:] {
            guard let text = value.string, let url = try? EndpointURL(text), url.scheme == "https" || issuer.scheme == "http"
            else {
                continue
            }
            certificateAliases[name] = url
        }
    }

    /// Names both: often they differ by a slash at the end (RFC 8414 section 3.3 compares them byte by byte).
    private static func otherIssuer(_ named: String, than asked: String) -> Refusal {
        let isPrintable = named.utf8.count <= 512 && named.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        guard isPrintable else { return Refusal(reason: "it is that of another issuer") }
        func bare(_ text: String) -> Substring { text.hasSuffix("/") ? text.dropLast() : text[...] }
        guard bare(named) == bare(asked) else { return Refusal(reason: "it is that of another issuer, \(named)") }
        return Refusal(reason: "it names the issuer \(named), and not \(asked): use --issuer \(named)")
    }

    /// The ways in which a client with a secret may prove itself, best first. A server names those that it has; of one
    /// client, many take only the way that it is registered for.
    public var secretMethods: [ClientAuthentication] {
        [("client_secret_basic", ClientAuthentication.basic), ("client_secret_post", .post)]
            .filter { authenticationMethods.contains($0.0) }.map(\.1)
    }

    /// Settings for a new credential.
    /// - Parameters:
    ///   - grant: what the person asked for, or nil for the first that the server has and no person is needed for.
    ///   - authentication: the same; nil for the first that both know.
    /// - Throws: `Refusal` where the server and claviger have none in common.
    public func settings(
        grant: GrantType?, authentication: ClientAuthentication? = nil
    ) throws(Refusal) -> ClientSettings {
        let known: [GrantType] = [.clientCredentials, .authorizationCode, .deviceCode, .password]
        guard let chosen = grant ?? known.first(where: { grants.contains($0.registeredName) }) else {
            throw Refusal(reason: "it has no grant that claviger knows")
        }
        guard let method = authentication ?? ClientAuthentication.best(of: authenticationMethods) else {
            throw Refusal(reason: "it has no client authentication that claviger knows")
        }
        func address(_ name: String, _ url: EndpointURL?) -> EndpointURL? {
            method == .tls ? certificateAliases[name] ?? url : url
        }
        var settings = ClientSettings(
            grant: chosen, clientAuthentication: method, tokenURL: address("token_endpoint", tokenURL) ?? tokenURL)
        settings.issuer = issuer
        settings.authorizationURL = authorizationURL
        settings.deviceAuthorizationURL = address("device_authorization_endpoint", deviceAuthorizationURL)
        settings.revocationURL = address("revocation_endpoint", revocationURL)
        settings.introspectionURL = address("introspection_endpoint", introspectionURL)
        settings.pushedAuthorizationURL = address("pushed_authorization_request_endpoint", pushedAuthorizationURL)
        return settings
    }
}
