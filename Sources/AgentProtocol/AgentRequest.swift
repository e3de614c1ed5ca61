/// A request to an agent: method, path, query and headers. No other code writes these; `api/agent.yaml` describes them.
public struct AgentRequest: Sendable {
    public var method: String
    /// Path and query, percent-encoded.
    public var target: String
    /// Whole lines, without their ends.
    public var headers: [String]
    public var body: [UInt8]

    init(_ method: String, _ target: String, body: [UInt8] = []) {
        self.method = method
        self.target = target
        self.body = body
        headers = []
    }

    /// What a caller wants of a token.
    public struct TokenParameters: Sendable {
        /// Scopes and audiences instead of the credential's own.
        public var scopes: [String] = []
        public var audiences: [String] = []
        /// Seconds.
        public var minimumLifetime: Int?
        public var isFresh = false
        public var rejected: RejectedToken?
        /// Use a login that belongs to another machine.
        public var takesOver = false
        /// Whether a person has decided to send a refresh token whose answer was lost.
        public var resends = false
        /// What is wanted besides the token.
        public var field: String?
        /// The request to an API that a proof of possession is wanted for: method and address, and the nonce that the API's server
        /// has given, with a space between them.
        public var proof: String?
        /// What the answer looks like, if it is in plain text.
        public var format = TokenFormat.raw

        public init() {}

        fileprivate var query: String {
            var parts: [String] = []
            if let minimumLifetime { parts.append("min_ttl=\(minimumLifetime)") }
            if isFresh { parts.append("fresh=1") }
            if let rejected { parts.append("rejected=" + rejected.word) }
            if takesOver { parts.append("take_over=1") }
            if resends { parts.append("resend=1") }
            for scope in scopes { parts.append("scope=" + AgentRequest.encoded(scope)) }
            for audience in audiences { parts.append("audience=" + AgentRequest.encoded(audience)) }
            if let field { parts.append("field=" + AgentRequest.encoded(field)) }
            if let proof { parts.append("proof=" + AgentRequest.encoded(proof)) }
            if format != .raw { parts.append("format=" + format.word) }
            var query = ""
            for part in parts { query += (query.isEmpty ? "?" : "&") + part }
            return query
        }
    }

    // MARK: The requests

    public static func token(_ name: String, _ parameters: TokenParameters = TokenParameters()) -> AgentRequest {
        AgentRequest("GET", "/v1/tokens/" + encoded(name) + parameters.query)
    }

    public static func list() -> AgentRequest { AgentRequest("GET", "/v1/credentials") }
    public static func show(_ name: String) -> AgentRequest { AgentRequest("GET", "/v1/credentials/" + encoded(name)) }
    public static func rotation(_ name: String) -> AgentRequest { AgentRequest("POST", "/v1/rotations/" + encoded(name)) }
    public static func status() -> AgentRequest { AgentRequest("GET", "/v1/status") }
    /// - Parameter body: an `UnlockRequest` in JSON.
    public static func unlock(_ body: [UInt8]) -> AgentRequest { AgentRequest("POST", "/v1/unlock", body: body) }
    public static func lock() -> AgentRequest { AgentRequest("POST", "/v1/lock") }
    public static func shutDown() -> AgentRequest { AgentRequest("POST", "/v1/shutdown") }

    // MARK: Headers

    public enum MediaType: Sendable { case json, plainText }

    /// The same request.
    /// - Parameters:
    ///   - vault: the absolute path of the vault that is meant, or nil for whichever the agent serves.
    ///   - reason: what the log says that it was for.
    public func with(vault: String? = nil, reason: String? = nil, accept type: MediaType) -> AgentRequest {
        var request = self
        request.headers.append(type == .json ? "Accept: application/json" : "Accept: text/plain")
        if let vault { request.headers.append("Claviger-Vault: " + Self.encoded(vault)) }
        if let reason { request.headers.append("Claviger-Reason: " + Self.encoded(reason)) }
        return request
    }

    /// All of it, as HTTP/1.1 has it (RFC 9112), but for the body.
    var head: [UInt8] {
        // While it works on a request, the agent says so at least every two seconds to clients that can read it
        // (RFC 2518 section 10.1); some take every 1xx but 100 for the answer.
        var head = method + " " + target + " HTTP/1.1\r\nHost: agent\r\nConnection: close\r\nClaviger-Interim: 102\r\n"
        for header in headers { head += header + "\r\n" }
        if !method.utf8.elementsEqual("GET".utf8) { head += "Content-Length: \(body.count)\r\n" }
        return Array((head + "\r\n").utf8)
    }

    /// Text as one segment of a path, or one value of a query (RFC 3986 section 2.3).
    static func encoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
            default: bytes += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The token that an API has answered 401 to.
public enum RejectedToken: Sendable, Equatable {
    /// Whichever is stored: the caller does not say which one it used.
    case stored
    /// The token with this name: the first 16 bytes of its SHA-256, in hexadecimal digits of lower case. A token has far more
    /// than 128 bits of randomness where it is opaque, and a signature where it is not, so its name gives nothing away.
    case named(TokenName)

    /// As it stands in a request.
    public var word: String {
        switch self {
        case .stored: "1"
        case .named(let name): name.text
        }
    }
}
