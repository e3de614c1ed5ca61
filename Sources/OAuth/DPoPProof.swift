public import Sodium

/// The request to an API that a proof of possession is for (RFC 9449 section 4.2).
public struct ProofRequest: Codable, Hashable, Sendable {
    /// An HTTP method, as it is sent.
    public var method: String
    public var url: EndpointURL
    /// The server's own word for the moment (section 9), where it has given one.
    public var nonce: String?

    public init(method: String, url: EndpointURL, nonce: String? = nil) {
        self.method = method
        self.url = url
        self.nonce = nonce
    }

    /// Method, address and nonce with a space between them: none of them has one.
    public var text: String { ([method, url.description] + [nonce].compactMap { $0 }).joined(separator: " ") }

    /// - Returns: nil if that is no method, address and, where there is one, nonce.
    public init?(text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(words.count), Self.isMethod(words[0]), let url = try? EndpointURL(words[1]),
            words.count == 2 || Self.isNonce(words[2])
        else { return nil }
        self.init(method: words[0], url: url, nonce: words.count == 3 ? words[2] : nil)
    }

    /// In bytes.
    public static let longestNonce = 1024

    /// Whether a text can be a nonce (section 8.1), and goes into a header.
    public static func isNonce(_ text: String) -> Bool {
        (1...longestNonce).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    }

    /// Whether a text can be a method (RFC 9110 section 9.1).
    public static func isMethod(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !Array("\"(),/:;<=>?@[\\]{}".utf8).contains($0) }
    }
}

/// What a DPoP proof says (RFC 9449 section 4.2).
public enum DPoPProof {
    /// The header `typ`.
    public static let type = "dpop+jwt"

    /// - Parameters:
    ///   - id: `jti`: used once.
    ///   - issued: seconds since 1970, by the server's clock.
    ///   - token: the access token that goes with it; nil at the token endpoint.
    public static func claims(
        _ request: ProofRequest, id: String, issued: Int, token: Secret?
    ) -> [String: JSONValue] {
        // Section 4.2: without query and fragment.
        let url = "\(request.url.scheme)://\(request.url.authority)\(request.url.path)"
        var claims: [String: JSONValue] = [
            "jti": .string(id), "htm": .string(request.method), "htu": .string(url), "iat": .integer(issued),
        ]
        if let nonce = request.nonce { claims["nonce"] = .string(nonce) }
        if let token { claims["ath"] = .string(Base64URL.encode(token.withBytes { SHA256.hash($0.array()) })) }
        return claims
    }
}
