import HTTPTypes
import OAuth

/// What may pass, and how it is written on the other side.
enum ProxyRules {
    static let link = HTTPField.Name("Link")!

    /// The API's path without the slash at its end.
    private static func prefix(_ api: EndpointURL) -> String {
        api.path.hasSuffix("/") ? String(api.path.dropLast()) : api.path
    }

    /// Whether a request's target has only characters that one may have (RFC 9112 section 3.2, RFC 3986 section 2). The parser
    /// has lost any other byte already.
    static func isTarget(_ target: String) -> Bool {
        target.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }
    }

    /// Where a request goes. Its path and query are passed on byte for byte.
    /// - Parameter rest: what stands behind the secret path: nothing, or something that begins with `/` or `?`.
    /// - Returns: nil if that is not below the API's address for every reader of addresses.
    static func upstream(_ rest: String, below api: EndpointURL) -> EndpointURL? {
        guard rest.isEmpty || rest.hasPrefix("/") || rest.hasPrefix("?"), isTarget(rest) else { return nil }
        let path = rest.utf8.prefix { $0 != UInt8(ascii: "?") }
        // A backslash is a slash for some, and nothing that a path may have (RFC 3986 section 3.3).
        guard !path.contains(UInt8(ascii: "\\")), !LenientPath(path).hasDotSegment else { return nil }
        let whole = rest.isEmpty && api.path == "/" ? "/" : rest
        guard let url = try? EndpointURL("\(api.scheme)://\(api.authority)" + prefix(api) + whole), isOrigin(of: url, api) else {
            return nil
        }
        return url
    }

    private static func isOrigin(of url: EndpointURL, _ api: EndpointURL) -> Bool {
        url.scheme == api.scheme && url.host == api.host && url.port == api.port
    }

    /// A redirect below the API's address leads back here; nil for every other.
    static func location(_ location: String, from url: EndpointURL, below api: EndpointURL, as base: String) -> String? {
        guard let target = url.resolving(location), isOrigin(of: target, api) else { return nil }
        let prefix = prefix(api)
        guard target.requestTarget.hasPrefix(prefix) else { return nil }
        let rest = String(target.requestTarget.dropFirst(prefix.count))
        return upstream(rest, below: api).map { _ in base + rest }
    }

    /// The addresses in a `Link` (RFC 8288 section 3), such as the next page's. Those that lead out of the API stay as they are.
    static func links(_ links: String, from url: EndpointURL, below api: EndpointURL, as base: String) -> String {
        var result = ""
        var rest = links[...]
        while let mark = rest.first(where: { $0 == "<" || $0 == "\"" }) {
            result += rest.prefix { $0 != mark } + String(mark)
            rest = rest.drop { $0 != mark }.dropFirst()
            guard mark == "<" else {
                // In a quoted string nothing is an address.
                let quoted = quotedString(rest)
                result += quoted
                rest = rest[quoted.endIndex...]
                continue
            }
            let target = rest.prefix { $0 != ">" }
            result += location(String(target), from: url, below: api, as: base) ?? String(target)
            rest = rest[target.endIndex...]
        }
        return result + rest
    }

    /// What follows a quotation mark up to its counterpart, with that (RFC 9110 section 5.6.4).
    private static func quotedString(_ text: Substring) -> Substring {
        var isEscaped = false
        for index in text.indices {
            if text[index] == "\"", !isEscaped { return text[...index] }
            isEscaped = text[index] == "\\" && !isEscaped
        }
        return text
    }

    /// The protocols that a request wants to change its connection to (RFC 9110 section 7.8), but for HTTP/2 without TLS: that
    /// may be ignored, and some clients ask for it with every request (RFC 7540 section 3.2).
    static func upgrades(_ fields: HTTPFields) -> [String] {
        list(fields, .upgrade).filter { $0 != "h2c" }
    }

    /// The members of a list, in lower case (RFC 9110 section 5.6.1).
    private static func list(_ fields: HTTPFields, _ name: HTTPField.Name) -> [String] {
        (fields[name] ?? "").split(separator: ",").map { $0.lowercased().filter { $0 != " " && $0 != "\t" } }.filter {
            !$0.isEmpty
        }
    }

    /// Fields that are about one connection (RFC 9110 section 7.6.1), or that are ours to write.
    private static let held: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "host", "authorization", "expect",
    ]

    /// - Parameter droppingLength: whether the length is written anew from the body.
    static func passedOn(_ fields: HTTPFields, droppingLength: Bool) -> HTTPFields {
        let named = list(fields, .connection)
        let dropped = held.union(named).union(droppingLength ? ["content-length"] : [])
        return HTTPFields(fields.filter { !dropped.contains($0.name.canonicalName) })
    }
}
