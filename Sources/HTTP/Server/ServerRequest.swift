import NIOCore
import NIOHTTP1

/// A request that has come whole, to a server of short requests.
public struct ServerRequest: Sendable {
    public let method: String
    /// Path and query, as they were sent.
    public let target: String
    public internal(set) var body: [UInt8]
    public let peer: ConnectionPeer
    /// Whether the client can read an interim reply: HTTP/1.0 has none (RFC 9110 section 15.2).
    let takesInterimReplies: Bool
    private let headers: HTTPHeaders

    init(_ head: HTTPRequestHead, bodyLength: Int, peer: ConnectionPeer) {
        method = head.method.rawValue
        target = head.uri
        headers = head.headers
        takesInterimReplies = (head.version.major, head.version.minor) >= (1, 1)
        self.peer = peer
        body = []
        // All of it at once: a body may hold a passphrase, and an array that grows leaves copies behind.
        body.reserveCapacity(bodyLength)
    }

    /// A request that came over no connection.
    public init(
        method: String, target: String, headers: [(String, String)] = [], body: [UInt8] = [], peer: ConnectionPeer
    ) {
        self.method = method
        self.target = target
        self.headers = HTTPHeaders(headers)
        self.body = body
        self.peer = peer
        takesInterimReplies = true
    }

    /// The first value of a header field, by its name in any case.
    public func header(_ name: String) -> String? { headers.first(name: name) }
}

/// The answer to a `ServerRequest`. All of it is there before its first byte goes out.
public struct ServerResponse: Sendable {
    public var status: Int
    /// Without `Content-Length` and `Connection`, which the server writes.
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]

    public init(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// The answer to a request, or the work that leads to one.
public enum ServerReply: Sendable {
    case now(ServerResponse)
    /// - Parameter reports: whether the client is told at once, and every two seconds, that it is being worked on
    ///   (`102 Processing`, RFC 2518 section 10.1). Some clients take every interim reply but 100 for the reply.
    case later(reports: Bool = false, @Sendable () async -> ServerResponse)
}

extension ServerResponse {
    static func refused<Request>(_ refusal: ConnectionState<Request>.Refusal) -> ServerResponse {
        switch refusal {
        case .malformed: problem(400, #"{"code":"invalid_request","title":"this is no HTTP request","status":400,"exit":64}"#)
        case .tooLong: problem(413, #"{"code":"invalid_request","title":"the request is too long","status":413,"exit":64}"#)
        case .forbidden:
            problem(
                403,
                #"{"code":"owner_only","title":"only the agent's own user and root may do this","status":403,"exit":77}"#)
        }
    }

    private static func problem(_ status: Int, _ body: String) -> ServerResponse {
        ServerResponse(status: status, headers: [("Content-Type", "application/problem+json")], body: Array(body.utf8))
    }
}
