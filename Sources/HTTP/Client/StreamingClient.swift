public import AsyncHTTPClient
import Glibc
public import HTTPTypes
public import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
public import OAuth
public import TokenEngine

/// A request that is passed on piece by piece.
public struct StreamedRequest: Sendable {
    public enum Body: Sendable {
        /// It can be sent again.
        case whole(ByteBuffer)
        /// - Parameter length: in bytes, where it is known.
        case pieces(any AsyncSequence<ByteBuffer, any Error> & Sendable, length: Int?)
    }

    public var method: HTTPRequest.Method
    public var url: EndpointURL
    /// Without those that are about the connection.
    public var headerFields: HTTPFields
    public var body: Body
    /// The certificates to trust instead of the system's, in PEM.
    public var certificateAuthority: String?

    public init(
        method: HTTPRequest.Method, url: EndpointURL, headerFields: HTTPFields, body: Body, certificateAuthority: String?
    ) {
        self.method = method
        self.url = url
        self.headerFields = headerFields
        self.body = body
        self.certificateAuthority = certificateAuthority
    }
}

/// An answer whose body is still coming.
public struct StreamedAnswer: Sendable {
    public var status: Int
    public var headerFields: HTTPFields
    public var body: HTTPClientResponse.Body
}

/// Passes requests on body by body, for proxies: an API may take as long as it likes with either.
public final class StreamingClient: Sendable {
    /// Between two pieces of an answer.
    private static let read = Duration.seconds(3600)
    private static let total = Duration.seconds(30 * 86_400)

    private let clients: ClientPool

    public init(proxies: ProxySettings) {
        clients = ClientPool(.init(connect: .seconds(10), read: Self.read, idle: .seconds(30)), proxies: proxies)
    }

    /// Ends all connections. Must be called before the last reference goes.
    public func close() async { await clients.close() }

    /// Sends a request and returns with the head of its answer. No redirect is followed.
    /// - Throws: `noConnection`, `certificate`, `configuration` or `answerLost`. Unlike the engine's transport, this one
    ///   can't always tell the first from the last: an error that could be either counts as a lost answer.
    public func stream(_ request: StreamedRequest) async throws(TransportFailure) -> StreamedAnswer {
        let client = try clients.client(for: request.url)
        var prepared = HTTPClientRequest(url: RequestTarget.address(request.url))
        prepared.method = HTTPMethod(rawValue: request.method.rawValue)
        prepared.headers = HTTPHeaders(request.headerFields)
        switch request.body {
        case .whole(let buffer): if buffer.readableBytes > 0 { prepared.body = .bytes(buffer) }
        case .pieces(let pieces, let length): prepared.body = Self.body(pieces, length)
        }
        prepared.tlsConfiguration = try ClientTLS.configuration(authority: request.certificateAuthority, clientCertificate: nil)
        do {
            let response = try await client.execute(prepared, deadline: .now() + Self.total.amount)
            return StreamedAnswer(
                status: Int(response.status.code), headerFields: HTTPFields(response.headers), body: response.body)
        } catch {
            let failure = TransportFailure(error, host: request.url.host, hasBegun: !Self.isOfConnecting(error))
            throw await CertificateDiagnosis.explain(failure, of: request.url, through: try? clients.proxy(for: request.url))
        }
    }

    /// Whether an error can only come from making the connection.
    private static func isOfConnecting(_ error: any Error) -> Bool {
        switch error {
        case is NIOConnectionError, is NIOSSLExtraError, NIOSSLError.handshakeFailed: true
        case let error as HTTPClientError:
            [
                .connectTimeout, .tlsHandshakeTimeout, .httpProxyHandshakeTimeout, .proxyAuthenticationRequired,
                .invalidProxyResponse, .getConnectionFromPoolTimeout,
            ].contains(error)
        case let error as IOError: cannotHaveConnected.contains(error.errnoCode)
        default: false
        }
    }

    /// What connect(2) and socket(2) say, and no connection that was made: after any other, a request may have arrived.
    private static let cannotHaveConnected: Set<CInt> = [
        ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL, EACCES, EPERM, EMFILE, ENFILE,
    ]

    private static func body(
        _ pieces: some AsyncSequence<ByteBuffer, any Error> & Sendable, _ length: Int?
    ) -> HTTPClientRequest.Body {
        .stream(pieces, length: length.map { .known(Int64($0)) } ?? .unknown)
    }
}
