import FoundationEssentials
public import HTTPTypes
public import Sodium

/// A request to one of a server's endpoints, ready to be sent. It carries secrets in ordinary memory: write it as late,
/// and let it go as early, as possible.
public struct EndpointRequest: Sendable {
    public var head: HTTPRequest
    public var body: [UInt8]
    /// The certificates to trust instead of the system's, in PEM.
    public var certificateAuthority: String?
    /// The client's own certificate and its key, in PEM (RFC 8705).
    public var clientCertificate: Secret?
}

/// A client id, and the secret that belongs to it; for the password grant also a user.
public struct ClientCredentials: Sendable {
    public var id: String
    public var secret: Secret?
    public var username: String?
    public var password: Secret?

    public init(id: String, secret: Secret?, username: String? = nil, password: Secret? = nil) {
        self.id = id
        self.secret = secret
        self.username = username
        self.password = password
    }

    /// Whether id and secret look the same to a server that decodes them in HTTP Basic and to one that does not.
    public var needsNoEncoding: Bool {
        [id, secret?.revealed() ?? ""].allSatisfy { FormEncoding.encode($0) == $0 }
    }
}

/// What a token request brings to be given a token for.
public enum AuthorizationGrant: Sendable {
    /// RFC 6749 section 4.4.2.
    case clientCredentials
    /// Section 4.3.2, with the user of the client identity.
    case password
    /// Section 6.
    case refreshToken(Secret)
    /// Section 4.1.3, and the verifier of RFC 7636 section 4.5. An ID token that comes with the answer must carry the
    /// nonce (OpenID Connect Core 1.0 section 3.1.3.7).
    case authorizationCode(Secret, redirectURI: String, verifier: Secret, nonce: String?)
    /// RFC 8628 section 3.4.
    case deviceCode(Secret)
    /// RFC 7523 section 2.1: the signed assertion.
    case jwtBearer(Secret)
    /// RFC 8693 section 2.1: the tokens that the settings' subject and actor name.
    case tokenExchange(subject: Secret, actor: Secret?)

    /// Whether the request is sent again and again, until a person has logged in elsewhere (RFC 8628 section 3.5).
    public var isPolling: Bool {
        if case .deviceCode = self { true } else { false }
    }

    /// Whether it spends a refresh token.
    public var isRefresh: Bool {
        if case .refreshToken = self { true } else { false }
    }

    /// Whether the token request says which scopes are wanted, and not a request before it.
    var sendsScopes: Bool {
        switch self {
        case .clientCredentials, .password, .jwtBearer, .tokenExchange, .refreshToken: true
        case .authorizationCode, .deviceCode: false
        }
    }
}

/// What one request may ask for instead of what the settings say.
public struct RequestedAccess: Hashable, Sendable {
    /// Sorted, each once: their order means nothing (RFC 6749 section 3.3), and a token serves every spelling of a request.
    /// Empty: the scopes of the settings.
    public var scopes: [String] {
        didSet { scopes = Self.canonical(scopes) }
    }
    /// Sorted, each once. Empty: the audiences of the settings.
    public var audiences: [String] {
        didSet { audiences = Self.canonical(audiences) }
    }

    public init(scopes: [String] = [], audiences: [String] = []) {
        self.scopes = Self.canonical(scopes)
        self.audiences = Self.canonical(audiences)
    }

    private static func canonical(_ words: [String]) -> [String] {
        words.count < 2 ? words : Array(Set(words)).sorted()
    }
}

extension RequestedAccess: Codable {
    private enum CodingKeys: String, CodingKey { case scopes, audiences }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            scopes: try members.decode([String].self, forKey: .scopes),
            audiences: try members.decode([String].self, forKey: .audiences))
    }
}

extension ClientSettings {
    /// A token request.
    /// - Parameter fields: the values of the settings' secret parameters and headers.
    public func tokenRequest(
        _ client: ClientCredentials, fields: SecretFields = SecretFields(), grant: AuthorizationGrant = .clientCredentials,
        access: RequestedAccess, clientAssertion: Secret? = nil
    ) -> EndpointRequest {
        var parameters: [Parameter]
        var scopes = access.scopes
        switch grant {
        case .clientCredentials:
            parameters = [Parameter("grant_type", "client_credentials")]
        case .password:
            parameters = [
                Parameter("grant_type", "password"), Parameter("username", client.username ?? ""),
                Parameter("password", client.password?.revealed() ?? ""),
            ]
        case .refreshToken(let token):
            parameters = [Parameter("grant_type", "refresh_token"), Parameter("refresh_token", token.revealed())]
        case .authorizationCode(let code, let redirectURI, let verifier, _):
            parameters = [
                Parameter("grant_type", "authorization_code"), Parameter("code", code.revealed()),
                Parameter("redirect_uri", redirectURI),
            ]
            if pkce != false { parameters.append(Parameter("code_verifier", verifier.revealed())) }
        case .deviceCode(let code):
            parameters = [
                Parameter("grant_type", GrantType.deviceCode.registeredName),
                Parameter("device_code", code.revealed()),
            ]
        case .jwtBearer(let assertion):
            parameters = [
                Parameter("grant_type", GrantType.jwtBearer.registeredName),
                Parameter("assertion", assertion.revealed()),
            ]
        case .tokenExchange(let subject, let actor):
            parameters = [
                Parameter("grant_type", GrantType.tokenExchange.registeredName),
                Parameter("subject_token", subject.revealed()),
                Parameter("subject_token_type", self.subject?.type ?? ExchangedToken.registeredType("access_token")),
            ]
            if let actor {
                parameters.append(Parameter("actor_token", actor.revealed()))
                parameters.append(
                    Parameter("actor_token_type", self.actor?.type ?? ExchangedToken.registeredType("access_token")))
            }
        }
        if omitsGrantType == true { parameters.removeFirst() }
        let format = format(refreshing: grant.isRefresh)
        if scopes.isEmpty, format.sendsScopes, grant.sendsScopes { scopes = self.scopes }
        if !scopes.isEmpty { parameters.append(Parameter("scope", joined(scopes))) }
        parameters += (access.audiences.isEmpty ? audiences : access.audiences).map { Parameter("audience", $0) }
        parameters += resources.map { Parameter("resource", $0) }
        return request(format, parameters, client, fields, further: fields.parameters, clientAssertion: clientAssertion)
    }

    /// A request to revoke one token (RFC 7009 section 2.1), or nil where the server has no endpoint for that.
    /// - Parameter fields: the values of the settings' secret headers; this request has no further parameters.
    public func revocationRequest(
        _ client: ClientCredentials, fields: SecretFields = SecretFields(), token: Secret, hint: String,
        clientAssertion: Secret? = nil
    ) -> EndpointRequest? {
        revocationURL.map {
            let parameters = [Parameter("token", token.revealed()), Parameter("token_type_hint", hint)]
            return request(format(to: $0), parameters, client, fields, clientAssertion: clientAssertion)
        }
    }

    /// The first request of the device flow (RFC 8628 section 3.1), or nil where there is no endpoint for it.
    /// - Parameter fields: the values of the settings' secret headers; this request has no further parameters.
    public func deviceAuthorizationRequest(
        _ client: ClientCredentials, fields: SecretFields = SecretFields(), clientAssertion: Secret? = nil
    ) -> EndpointRequest? {
        deviceAuthorizationURL.map {
            var parameters: [Parameter] = []
            if clientAuthentication == .basic || clientAuthentication == .basicRaw {
                parameters.append(Parameter("client_id", client.id))
            }
            if !scopes.isEmpty { parameters.append(Parameter("scope", joined(scopes))) }
            parameters += audiences.map { Parameter("audience", $0) } + resources.map { Parameter("resource", $0) }
            return request(format(to: $0), parameters, client, fields, clientAssertion: clientAssertion)
        }
    }

    /// Asks whether a token is active (RFC 7662 section 2.1), or nil where the server has no endpoint for that.
    /// - Parameter fields: the values of the settings' secret headers; this request has no further parameters.
    public func introspectionRequest(
        _ client: ClientCredentials, fields: SecretFields = SecretFields(), token: Secret, clientAssertion: Secret? = nil
    ) -> EndpointRequest? {
        introspectionURL.map {
            request(
                format(to: $0), [Parameter("token", token.revealed())], client, fields, clientAssertion: clientAssertion)
        }
    }

    /// The one place in which a secret is written into a request.
    /// - Parameter further: parameters whose values are secrets, under names of their own.
    func request(
        _ format: RequestFormat, _ standard: [Parameter], _ client: ClientCredentials, _ fields: SecretFields,
        further: [SecretField] = [], clientAssertion: Secret?
    ) -> EndpointRequest {
        var head = HTTPRequest(
            method: format.method == .get ? .get : .post, scheme: format.url.scheme, authority: format.url.authority,
            path: format.url.path)
        head.headerFields[.accept] = "application/json"
        head.headerFields[.userAgent] = "claviger"
        let proof = proof(of: client, format, assertion: clientAssertion, head: &head)
        for header in headers + fields.headers.map({ $0.revealed() }) {
            if let name = HTTPField.Name(header.name) { head.headerFields[name] = header.value }
        }
        let own = format.parameters + further.map { $0.revealed() }
        let replaced = Set(own.map(\.name))
        let isFree = { (parameter: Parameter) in !replaced.contains(parameter.name) }
        let parameters = format.named(standard).filter(isFree) + own + format.named(proof).filter(isFree)
        var query = format.url.query
        let body = Self.place(parameters, format, query: &query, head: &head)
        head.path = format.url.path + (query.map { "?" + $0 } ?? "")
        return EndpointRequest(
            head: head, body: body, certificateAuthority: certificateAuthority,
            clientCertificate: clientAuthentication == .tls ? client.secret : nil)
    }

    /// How the client proves who it is (RFC 6749 section 2.3): in a header, or by the parameters that are returned.
    private func proof(
        of client: ClientCredentials, _ format: RequestFormat, assertion: Secret?, head: inout HTTPRequest
    ) -> [Parameter] {
        let id = Parameter("client_id", client.id)
        switch format.clientAuthentication {
        case .basic:
            head.headerFields[.authorization] = basic(client, FormEncoding.encode)
            return []
        case .basicRaw:
            head.headerFields[.authorization] = basic(client) { $0 }
            return []
        case .post: return [id] + (client.secret.map { [Parameter("client_secret", $0.revealed())] } ?? [])
        case .none:
            // An assertion says itself whose it is.
            return client.id.isEmpty || grant == .jwtBearer ? [] : [id]
        case .tls:
            // RFC 8705 section 2: the id says which certificate to expect.
            return [id]
        case .bearerJWT:
            // The assertion says whose it is.
            head.headerFields[.authorization] = "Bearer " + (assertion?.revealed() ?? "")
            return []
        case .privateKeyJWT, .clientSecretJWT:
            return [
                id, Parameter("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                Parameter("client_assertion", assertion?.revealed() ?? ""),
            ]
        }
    }

    private func basic(_ client: ClientCredentials, _ encode: (String) -> String) -> String {
        let pair = encode(client.id) + ":" + encode(client.secret?.revealed() ?? "")
        return "Basic " + Data(pair.utf8).base64EncodedString()
    }

    private static func place(
        _ parameters: [Parameter], _ format: RequestFormat, query: inout String?, head: inout HTTPRequest
    ) -> [UInt8] {
        func write(_ type: String) {
            if !format.takesContentType || head.headerFields[.contentType] == nil { head.headerFields[.contentType] = type }
        }
        switch format.method == .get ? .query : format.placement {
        case .body:
            write("application/x-www-form-urlencoded")
            return Array(FormEncoding.encode(parameters).utf8)
        case .query:
            query = [query, FormEncoding.query(parameters)].compactMap { $0 }.joined(separator: "&")
            return []
        case .json:
            write("application/json")
            return Array(JSONValue.object(parameters).encoded().utf8)
        }
    }
}

extension JSONValue {
    /// Parameters as one JSON object; a name that comes more than once becomes an array, and one that is a pointer leads to
    /// a member of an object in it.
    fileprivate static func object(_ parameters: [Parameter]) -> JSONValue {
        parameters.reduce(into: .object([:])) { document, parameter in
            let pointer = JSONPointer(rawValue: parameter.name) ?? JSONPointer(member: parameter.name)
            document.put(.string(parameter.value), at: pointer)
        }
    }
}
