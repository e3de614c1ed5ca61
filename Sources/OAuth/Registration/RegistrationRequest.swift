import FoundationEssentials
import HTTPTypes
public import Sodium

/// The requests that register a client and manage it.
extension ClientSettings {
    /// What a new client is registered for (RFC 7591 section 2).
    /// - Parameters:
    ///   - clientName: what people read at the server's consent page.
    ///   - publicKey: the client's own, as a JWK, where it signs.
    ///   - more: written over the members that follow from the settings; null leaves one out.
    public func registrationMetadata(
        clientName: String, publicKey: JSONValue? = nil, more: [String: JSONValue] = [:]
    ) -> [String: JSONValue] {
        let isLogin = grant == .authorizationCode
        let grants = [grant.registeredName] + (grant.needsLogin && grant != .refreshToken ? ["refresh_token"] : [])
        var members: [String: JSONValue] = [
            "client_name": .string(clientName), "grant_types": .array(grants.map(JSONValue.string)),
            "response_types": .array(isLogin ? [.string("code")] : []),
        ]
        if let name = clientAuthentication.registeredName { members["token_endpoint_auth_method"] = .string(name) }
        if isLogin, let redirectURI {
            members["redirect_uris"] = .array([.string(redirectURI)])
            // OpenID Connect Dynamic Client Registration section 2 knows loopback addresses for native clients alone.
            members["application_type"] = .string(redirectURI.hasPrefix("https:") ? "web" : "native")
        }
        if !scopes.isEmpty { members["scope"] = .string(scopes.joined(separator: " ")) }
        if dpop == true { members["dpop_bound_access_tokens"] = .bool(true) }
        if let publicKey {
            members["jwks"] = .object(["keys": .array([publicKey])])
            members["token_endpoint_auth_signing_alg"] = .string("ES256")
        }
        for (name, value) in more { members[name] = value == .null ? nil : value }
        return members
    }
}

extension ClientRegistration {
    /// Registers a client (RFC 7591 section 3.1).
    /// - Parameter initialToken: what the server's keeper hands out to those who may register; nil where everybody may.
    public static func request(
        _ metadata: [String: JSONValue], to url: EndpointURL, initialToken: Secret?, certificateAuthority: String?
    ) -> EndpointRequest {
        request(.post, url, token: initialToken, metadata, certificateAuthority)
    }

    /// Reads what is registered (RFC 7592 section 2.1).
    public func readRequest(certificateAuthority: String?) -> EndpointRequest {
        Self.request(.get, url, token: token, nil, certificateAuthority)
    }

    /// Replaces what is registered (section 2.2).
    public func updateRequest(_ metadata: [String: JSONValue], certificateAuthority: String?) -> EndpointRequest {
        Self.request(.put, url, token: token, metadata, certificateAuthority)
    }

    /// Ends the client, and all that it was given (section 2.3).
    public func deleteRequest(certificateAuthority: String?) -> EndpointRequest {
        Self.request(.delete, url, token: token, nil, certificateAuthority)
    }

    private static func request(
        _ method: HTTPRequest.Method, _ url: EndpointURL, token: Secret?, _ metadata: [String: JSONValue]?,
        _ certificateAuthority: String?
    ) -> EndpointRequest {
        let target = url.path + (url.query.map { "?" + $0 } ?? "")
        var head = HTTPRequest(method: method, scheme: url.scheme, authority: url.authority, path: target)
        head.headerFields[.accept] = "application/json"
        head.headerFields[.userAgent] = "claviger"
        if let token { head.headerFields[.authorization] = "Bearer " + token.revealed() }
        var body: [UInt8] = []
        if let metadata {
            head.headerFields[.contentType] = "application/json"
            body = Array(JSONValue.object(metadata).encoded().utf8)
        }
        return EndpointRequest(head: head, body: body, certificateAuthority: certificateAuthority)
    }
}
