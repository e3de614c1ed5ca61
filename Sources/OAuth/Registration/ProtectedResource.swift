import HTTPTypes

/// What an API says of itself (RFC 9728): which servers give tokens for it, and for which scopes.
public struct ProtectedResource: Sendable, Equatable {
    /// The API's name for itself, which tokens are asked for (RFC 8707).
    public var resource: String
    /// The issuers, as the API names them.
    public var issuers: [String]
    public var scopes: [String]
    /// Whether the API takes tokens only that are bound to a key (RFC 9449).
    public var wantsDPoP: Bool

    /// Where the description of an API is, if the API itself names no place (section 3.1), the most exact one first.
    public static func addresses(of api: EndpointURL) -> [String] {
        let origin = "\(api.scheme)://\(api.authority)"
        let place = origin + "/.well-known/oauth-protected-resource"
        let path = api.path.hasSuffix("/") ? String(api.path.dropLast()) : api.path
        return path.isEmpty ? [place] : [place + path, place]
    }

    /// - Parameter api: the address that a person gave. The description must be about it, or about an address above it:
    ///   whoever could name another API would be given tokens for that one (section 7.3).
    public init(parsing body: [UInt8], api: EndpointURL) throws(ServerMetadata.Refusal) {
        guard let json = JSONValue(answer: body), json.object != nil else {
            throw .init(reason: "it is no JSON object", isMetadata: false)
        }
        guard let resource = json.member("resource")?.string else {
            throw .init(reason: "it does not say which resource it is about", isMetadata: false)
        }
        guard let url = try? EndpointURL(resource), Self.covers(url, api) else {
            throw .init(reason: "it is about another resource than the one that was asked for")
        }
        func texts(_ name: String) -> [String] {
            guard case .array(let values) = json.member(name) else { return [] }
            return values.compactMap(\.string).filter { !$0.isEmpty }
        }
        self.resource = resource
        issuers = texts("authorization_servers")
        guard !issuers.isEmpty else { throw .init(reason: "it names no authorization server") }
        scopes = texts("scopes_supported").filter(ScopeNames.isName)
        wantsDPoP = json.member("dpop_bound_access_tokens_required") == .bool(true)
    }

    /// Whether `api` is the resource, or lies below it at the same origin.
    private static func covers(_ resource: EndpointURL, _ api: EndpointURL) -> Bool {
        guard resource.scheme == api.scheme, resource.authority == api.authority else { return false }
        let base = resource.path.hasSuffix("/") ? String(resource.path.dropLast()) : resource.path
        return api.path == resource.path || api.path == base || api.path.hasPrefix(base + "/")
    }

    /// What an API's refusal says of where to get a token: the members of a `Bearer` or `DPoP` challenge.
    public struct Challenge: Sendable, Equatable {
        /// Where the description is (section 5.1).
        public var metadata: String?
        /// What the refused request needs (RFC 6750 section 3).
        public var scopes: [String] = []

        /// - Parameter fields: the values of `WWW-Authenticate`.
        public init(_ fields: [String]) {
            for field in fields {
                for (name, value) in Self.parameters(field) {
                    switch name.lowercased() {
                    case "resource_metadata": metadata = metadata ?? value
                    case "scope" where scopes.isEmpty:
                        scopes = value.split(separator: " ").map(String.init).filter(ScopeNames.isName)
                    default: break
                    }
                }
            }
        }

        /// The parameters of all challenges in a field (RFC 9110 section 11.2): a name, "=", and a token or a quoted string.
        private static func parameters(_ field: String) -> [(String, String)] {
            field.matches(of: #/([A-Za-z0-9_\-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/#).map { match in
                let quoted = match.2.map { String($0.replacing(#/\\(.)/#) { $0.1 }) }
                return (String(match.1), quoted ?? String(match.3 ?? ""))
            }
        }
    }
}
