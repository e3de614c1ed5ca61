import FoundationEssentials

/// An address that may be sent a secret: `https`, or `http` to this machine; no user name in it, no fragment.
public struct EndpointURL: Hashable, Sendable, CustomStringConvertible {
    /// Why an address is refused.
    public enum Refusal: Error, Equatable, Sendable {
        case notAnAddress
        case scheme(String)
        case plainHTTP(host: String)
        case credentials
        case fragment
    }

    /// `https` or `http`.
    public let scheme: String
    /// In lower case; an IPv6 address without brackets.
    public let host: String
    /// Nil for the scheme's own.
    public let port: Int?
    /// Percent-encoded, at least `/`.
    public let path: String
    /// Percent-encoded, without the question mark.
    public let query: String?
    public let description: String

    /// - Throws: `Refusal`.
    public init(_ text: String) throws(Refusal) {
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), let parts = URLComponents(string: text) else {
            throw .notAnAddress
        }
        guard let scheme = parts.scheme?.lowercased() else { throw .notAnAddress }
        guard scheme == "https" || scheme == "http" else { throw .scheme(scheme) }
        guard parts.percentEncodedUser == nil, parts.percentEncodedPassword == nil else { throw .credentials }
        guard parts.percentEncodedFragment == nil else { throw .fragment }
        guard let rawHost = parts.percentEncodedHost?.lowercased(), Self.isHost(rawHost) else { throw .notAnAddress }
        if let port = parts.port, !(1...65535).contains(port) { throw .notAnAddress }
        // A port that is no Int is none for the parser.
        if parts.port == nil, Self.hasPort(text) { throw .notAnAddress }
        let host = rawHost.hasPrefix("[") ? String(rawHost.dropFirst().dropLast()) : rawHost
        if scheme == "http", !Self.isLoopback(host) { throw .plainHTTP(host: host) }
        self.scheme = scheme
        self.host = host
        port = parts.port
        path = parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath
        query = parts.percentEncodedQuery
        description = text
    }

    /// Whether something stands between the colon behind the host and what follows.
    private static func hasPort(_ text: String) -> Bool {
        guard let slashes = text.firstRange(of: "//") else { return false }
        let authority = text[slashes.upperBound...].prefix { !"/?#".contains($0) }
        let rest = authority.lastIndex(of: "]").map { authority[$0...] } ?? authority
        return rest.firstIndex(of: ":").map { rest.index(after: $0) < rest.endIndex } ?? false
    }

    /// A name or an address, in characters that every parser of addresses takes for the same host.
    private static func isHost(_ text: String) -> Bool {
        let isAddress = text.hasPrefix("[") && text.hasSuffix("]")
        let name = isAddress ? text.dropFirst().dropLast() : text[...]
        return !name.isEmpty
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."): true
                case UInt8(ascii: "-"), UInt8(ascii: "_"): !isAddress
                case UInt8(ascii: ":"): isAddress
                default: false
                }
            }
    }

    /// Host and port as they stand in an HTTP request.
    public var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port.map { "\(name):\($0)" } ?? name
    }

    public var isLoopback: Bool { Self.isLoopback(host) }

    /// `localhost` and the names below it (RFC 6761 section 6.3), 127.0.0.0/8, ::1.
    private static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host.hasSuffix(".localhost") || host == "::1" { return true }
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false)
        // The resolver takes a leading zero for octal: 0127.0.0.1 is 87.0.0.1, and not this machine.
        return numbers.count == 4 && numbers[0] == "127" && numbers.allSatisfy { UInt8($0).map(String.init) == String($0) }
    }
}

extension EndpointURL: Codable {
    public init(from decoder: any Decoder) throws {
        try self.init(decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
