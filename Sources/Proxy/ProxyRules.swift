import FoundationEssentials
import HTTPTypes
import OAuth

/// What may pass, and how it is written on the other side.
enum ProxyRules {
    static let link = HTTPField.Name("Link")!

    /// The API's address without the slash at its end.
    private static func prefix(_ api: EndpointURL) -> String {
        let path = api.path.hasSuffix("/") ? String(api.path.dropLast()) : api.path
        return "\(api.scheme)://\(api.authority)\(path)"
    }

    /// Where a request goes.
    /// - Parameter rest: what stands behind the secret path: nothing, or something that begins with `/` or `?`.
    /// - Returns: nil if that is not below the API's address for every reader of addresses.
    static func upstream(_ rest: String, below api: EndpointURL) -> EndpointURL? {
        guard rest.isEmpty || rest.hasPrefix("/") || rest.hasPrefix("?") else { return nil }
        let path = rest.prefix { $0 != "?" }
        let segments = path.split(separator: "/", omittingEmptySubsequences: false)
        guard !path.contains("\\"), segments.allSatisfy({ !isDots($0) }) else { return nil }
        let whole = rest.isEmpty && api.path == "/" ? "/" : rest
        guard let url = try? EndpointURL(prefix(api) + whole), url.scheme == api.scheme, url.host == api.host,
            url.port == api.port
        else { return nil }
        return url
    }

    /// `.` and `..`, however they are encoded.
    private static func isDots(_ segment: Substring) -> Bool {
        let plain = segment.lowercased().replacing("%2e", with: ".").replacing("%5c", with: "\\").replacing("%2f", with: "/")
        return plain.split(separator: "/", omittingEmptySubsequences: false).contains { $0 == "." || $0 == ".." }
            || plain.contains("\\")
    }

    /// A redirect below the API's address leads back here; nil for every other.
    static func location(_ location: String, from url: EndpointURL, below api: EndpointURL, as base: String) -> String? {
        guard let from = URL(string: url.description), let absolute = URL(string: location, relativeTo: from)?.absoluteURL,
            let target = try? EndpointURL(absolute.absoluteString.prefix { $0 != "#" }.description),
            target.scheme == api.scheme, target.host == api.host, target.port == api.port
        else { return nil }
        let rest = target.path + (target.query.map { "?" + $0 } ?? "")
        let path = api.path.hasSuffix("/") ? api.path : api.path + "/"
        guard rest.hasPrefix(path), upstream("/" + rest.dropFirst(path.count), below: api) != nil else { return nil }
        return base + "/" + rest.dropFirst(path.count)
    }

    /// The addresses in a `Link` (RFC 8288), such as the next page's.
    static func links(_ links: String, below api: EndpointURL, as base: String) -> String {
        links.replacing("<\(prefix(api))/", with: "<\(base)/").replacing("<\(prefix(api))?", with: "<\(base)?")
    }

    /// Fields that are about one connection (RFC 9110 section 7.6.1), or that are ours to write.
    private static let held: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "host", "authorization", "expect",
    ]

    /// - Parameter droppingLength: whether the length is written anew from the body.
    static func passedOn(_ fields: HTTPFields, droppingLength: Bool) -> HTTPFields {
        let named = (fields[.connection] ?? "").split(separator: ",").map { $0.lowercased().filter { $0 != " " } }
        let dropped = held.union(named).union(droppingLength ? ["content-length"] : [])
        return HTTPFields(fields.filter { !dropped.contains($0.name.canonicalName) })
    }
}
