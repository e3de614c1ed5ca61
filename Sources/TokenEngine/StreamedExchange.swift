public import AsyncHTTPClient
public import HTTPTypes
public import NIOCore
import NIOHTTP1
public import OAuth

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

extension NetworkTransport {
    /// Sends a request and returns with the head of its answer. No redirect is followed.
    public func stream(_ request: StreamedRequest) async throws(TransportFailure) -> StreamedAnswer {
        let client = client(through: try proxies.proxy(for: request.url))
        var prepared = HTTPClientRequest(url: request.url.description)
        prepared.method = HTTPMethod(rawValue: request.method.rawValue)
        for field in request.headerFields { prepared.headers.add(name: field.name.rawName, value: field.value) }
        switch request.body {
        case .whole(let buffer): if buffer.readableBytes > 0 { prepared.body = .bytes(buffer) }
        case .pieces(let pieces, let length): prepared.body = Self.body(pieces, length)
        }
        prepared.tlsConfiguration = try Self.tls(authority: request.certificateAuthority, clientCertificate: nil)
        do {
            let response = try await client.execute(prepared, deadline: .now() + limits.total.amount)
            return StreamedAnswer(
                status: Int(response.status.code), headerFields: Self.fields(response.headers), body: response.body)
        } catch {
            throw Self.failure(error, host: request.url.host)
        }
    }

    private static func body(
        _ pieces: some AsyncSequence<ByteBuffer, any Error> & Sendable, _ length: Int?
    ) -> HTTPClientRequest.Body {
        .stream(pieces, length: length.map { .known(Int64($0)) } ?? .unknown)
    }
}
