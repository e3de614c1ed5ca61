import FoundationEssentials
public import OAuth
public import TokenEngine

/// The proxy variables: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in lower case (which wins) or upper case.
///
/// This machine itself is never reached through a proxy. Plain `http` goes nowhere else, so `HTTP_PROXY`, which would
/// show a secret to the proxy, has nothing left to apply to.
public struct ProxySettings: Sendable, Equatable {
    public struct Proxy: Sendable, Hashable {
        public var host: String
        public var port: Int
        /// For `Proxy-Authorization: Basic`.
        public var user: String?
        public var password: String?
    }

    private var https: String?
    private var exceptions: [String]

    public init(environment: [String: String]) {
        func value(_ name: String) -> String? {
            [name.lowercased(), name].lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
        }
        https = value("HTTPS_PROXY")
        exceptions = (value("NO_PROXY") ?? "").split(separator: ",")
            .map { $0.trimmingSpaces().lowercased() }.filter { !$0.isEmpty }
    }

    /// The proxy to reach `url` through, or nil to go straight.
    /// - Throws: `configuration` if the variable holds no proxy that can be used.
    public func proxy(for url: EndpointURL) throws(TransportFailure) -> Proxy? {
        guard url.scheme == "https", !url.isLoopback, let https, !isExcepted(url) else { return nil }
        let refusal = TransportFailure.configuration(reason: "HTTPS_PROXY is not the address of an http proxy")
        let text = https.contains("://") ? https : "http://" + https
        guard let parts = URLComponents(string: text), parts.scheme?.lowercased() == "http",
            let host = parts.host, !host.isEmpty, ["", "/"].contains(parts.percentEncodedPath)
        else { throw refusal }
        return Proxy(
            host: host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host, port: parts.port ?? 80,
            user: parts.user, password: parts.password)
    }

    /// `*`, a name (which covers the names below it), an address or a range of them (`10.0.0.0/8`, `[fd00::]/8`); a port may
    /// follow.
    private func isExcepted(_ url: EndpointURL) -> Bool {
        exceptions.contains { exception in
            if exception == "*" || exception == url.host { return true }
            if let range = AddressRange(exception) { return range.contains(url.host, port: url.port ?? 443) }
            var name = exception
            if let colon = exception.lastIndex(of: ":"), let port = Int(exception[exception.index(after: colon)...]) {
                guard port == url.port ?? 443 else { return false }
                name = String(exception[..<colon])
            }
            if name.hasPrefix("*.") { name.removeFirst(2) }
            if name.hasPrefix(".") { name.removeFirst() }
            return !name.isEmpty && (url.host == name || url.host.hasSuffix("." + name))
        }
    }
}

extension Substring {
    fileprivate func trimmingSpaces() -> String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
