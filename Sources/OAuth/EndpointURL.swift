/// An address that may be sent a secret: `https`, or `http` to this machine; no user name in it, no fragment.
public struct EndpointURL: Hashable, Sendable, CustomStringConvertible {
    /// Why an address is refused.
    public enum Refusal: Error, Equatable, Sendable {
        case notAnAddress
        case scheme(String)
        case plainHTTP(host: String)
        case credentials
        case fragment

        /// What is wrong with the address; `it` or the like stands before it.
        public var words: String {
            switch self {
            case .notAnAddress: "is not an address"
            case .scheme(let scheme): "has the scheme \(scheme), not https"
            case .plainHTTP(let host): "would send the secret to \(host) in the clear"
            case .credentials: "has a user name or password in it"
            case .fragment: "has a fragment (#) in it"
            }
        }
    }

    /// `https` or `http`.
    public let scheme: String
    /// In lower case; an IPv6 address without brackets.
    public let host: String
    /// Nil for the scheme's own.
    public let port: Int?
    /// As it was given, byte for byte; at least `/`.
    public let path: String
    /// As it was given, without the question mark.
    public let query: String?
    public let description: String

    /// Takes the text apart and changes nothing of it. Foundation's parser decodes and encodes: a path with a byte that is no
    /// UTF-8 (`/%ff`) comes out of it as none at all.
    /// - Throws: `Refusal`.
    public init(_ text: String) throws(Refusal) {
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), let scheme = Self.scheme(of: text) else {
            throw .notAnAddress
        }
        guard scheme == "https" || scheme == "http" else { throw .scheme(scheme) }
        let rest = text.dropFirst(scheme.count + 1)
        guard rest.hasPrefix("//") else { throw .notAnAddress }
        let authority = rest.dropFirst(2).prefix { !"/?#".contains($0) }
        let target = rest[authority.endIndex...]
        guard !authority.contains("@") else { throw .credentials }
        guard !target.contains("#") else { throw .fragment }
        (host, port) = try Self.takeApart(authority)
        if scheme == "http", !Self.isLoopback(host) { throw .plainHTTP(host: host) }
        self.scheme = scheme
        let path = target.prefix { $0 != "?" }
        self.path = path.isEmpty ? "/" : String(path)
        query = path.endIndex < target.endIndex ? String(target[path.endIndex...].dropFirst()) : nil
        description = text
    }

    /// The scheme in lower case (RFC 3986 section 3.1), or nil if none stands at the beginning of a text.
    public static func scheme(of text: some StringProtocol) -> String? {
        let scheme = text.prefix { $0 != ":" }
        guard scheme.endIndex < text.endIndex, let first = scheme.first, first.isASCII, first.isLetter,
            scheme.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) })
        else { return nil }
        return scheme.lowercased()
    }

    /// Host and port (RFC 3986 section 3.2). A colon without a number behind it is the scheme's own port.
    private static func takeApart(_ authority: Substring) throws(Refusal) -> (host: String, port: Int?) {
        let isAddress = authority.hasPrefix("[")
        let end = isAddress ? authority.firstIndex(of: "]").map(authority.index(after:)) : authority.firstIndex(of: ":")
        guard let end = end ?? (isAddress ? nil : authority.endIndex) else { throw .notAnAddress }
        let (host, colon) = (authority[..<end].lowercased(), authority[end...])
        guard isHost(host), colon.isEmpty || colon.hasPrefix(":") else { throw .notAnAddress }
        let digits = colon.dropFirst()
        let name = isAddress ? String(host.dropFirst().dropLast()) : host
        if digits.isEmpty { return (name, nil) }
        guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let port = Int(digits),
            (1...65535).contains(port)
        else { throw .notAnAddress }
        return (name, port)
    }

    /// A name or an address, in characters that every parser of addresses takes for the same host.
    private static func isHost(_ text: String) -> Bool {
        let isAddress = text.hasPrefix("[") && text.hasSuffix("]")
        let name = isAddress ? text.dropFirst().dropLast() : text[...]
        guard !isAddress || name.contains(":") else { return false }
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

    /// Path and query as they stand in an HTTP request (RFC 9112 section 3.2.1).
    public var requestTarget: String { path + (query.map { "?" + $0 } ?? "") }

    /// The same address with another query, which is percent-encoded.
    public func with(query: String) -> EndpointURL {
        // What was an address is one with any query of these characters.
        (try? EndpointURL("\(scheme)://\(authority)\(path)?\(query)")) ?? self
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
        let text = try decoder.singleValueContainer().decode(String.self)
        do throws(Refusal) {
            try self.init(text)
        } catch {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "no address for a secret", underlyingError: error))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
