import AsyncHTTPClient
import HTTPTypes
import NIOCore
import NIOHTTP1
public import OAuth
public import TokenEngine

/// The engine's transport over the network: one request to an endpoint and its answer, with no redirect, a trust store
/// per request, and a limit to everything that a server could draw out.
public final class HTTPClientTransport: HTTPTransport {
    public struct Limits: Sendable {
        /// Until there is a connection, its TLS handshake not included.
        public var connect = Duration.seconds(10)
        /// Between two pieces of an answer. Some servers take minutes; a request that is given up while the server still
        /// works on it leaves it open whether a refresh token was spent.
        public var read = Duration.seconds(180)
        /// From the call to the answer's last byte. The engine relies on it: it sends a refresh token again only when an
        /// earlier sending can't be answered any more.
        public var total = Duration.seconds(180)
        /// The most bytes of an answer's body, as it comes and once more when it is decoded.
        public var body = 4 << 20
        /// How long a connection is kept. Its buffer holds the last answer, with the tokens in it, as long.
        public var idle = Duration.milliseconds(500)
        public init() {}
    }

    /// What became of one request.
    public struct Exchange: Sendable {
        public let method: String
        /// Without its query, in which some services want secrets.
        public let address: String
        public let end: Result<Int, TransportFailure>
        public let time: Duration
    }

    private let limits: Limits
    private let clients: ClientPool
    private let report: (@Sendable (Exchange) -> Void)?

    /// - Parameter report: is told of each request when it has ended.
    public init(limits: Limits = Limits(), proxies: ProxySettings, report: (@Sendable (Exchange) -> Void)? = nil) {
        self.limits = limits
        self.report = report
        clients = ClientPool(.init(connect: limits.connect, read: limits.read, idle: limits.idle), proxies: proxies)
    }

    /// Ends all connections. Must be called before the last reference goes.
    public func close() async { await clients.close() }

    /// Sends a request and reads its answer.
    /// - Returns: the answer; what has come of it if the connection broke after its head, or if it is longer than the limit.
    /// - Throws: `noConnection`, `certificate` or `configuration` if nothing was sent; `answerLost` if the server may have
    ///   acted on the request.
    public func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        guard let report else { return try await exchange(request) }
        let (clock, head) = (ContinuousClock(), request.head)
        let start = clock.now
        let path = (head.path ?? "/").prefix { $0 != "?" }
        func tell(_ end: Result<Int, TransportFailure>) {
            report(
                Exchange(
                    method: head.method.rawValue, address: "\(head.scheme ?? "https")://\(head.authority ?? "")\(path)", end: end,
                    time: clock.now - start))
        }
        do throws(TransportFailure) {
            let answer = try await exchange(request)
            tell(.success(answer.status))
            return answer
        } catch {
            tell(.failure(error))
            throw error
        }
    }

    private func exchange(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        let address = "\(request.head.scheme ?? "https")://\(request.head.authority ?? "")\(request.head.path ?? "/")"
        guard let url = try? EndpointURL(address) else { throw .configuration(reason: "the address can't be used") }
        let client = try clients.client(for: url)
        let collector = AnswerCollector(limit: limits.body)
        let task = client.execute(
            request: try Self.prepare(request, url), delegate: collector, deadline: .now() + limits.total.amount)
        var failure: (any Error)?
        do {
            try await withTaskCancellationHandler {
                try await task.futureResult.get()
            } onCancel: {
                task.cancel()
            }
        } catch {
            failure = error
        }
        do throws(TransportFailure) {
            return try answer(collector.progress, failure, host: url.host)
        } catch {
            throw await CertificateDiagnosis.explain(error, of: url, through: try? clients.proxy(for: url))
        }
    }

    private func answer(
        _ progress: AnswerCollector.Progress, _ failure: (any Error)?, host: String
    ) throws(TransportFailure) -> EndpointAnswer {
        guard let head = progress.head else {
            throw TransportFailure(failure ?? HTTPClientError.remoteConnectionClosed, host: host, hasBegun: progress.hasBegun)
        }
        let extent: EndpointAnswer.Extent =
            switch failure {
            case nil: .whole
            case is AnswerCollector.TooLarge: .tooLarge
            default: .cutOff
            }
        var answer = EndpointAnswer(
            status: Int(head.status.code), headerFields: HTTPFields(head.headers), body: progress.body, extent: extent)
        decode(&answer)
        return answer
    }

    private func decode(_ answer: inout EndpointAnswer) {
        guard let coding = answer.headerFields[.contentEncoding].flatMap(ContentCoding.init(field:)) else { return }
        switch coding.decode(answer.body, limit: limits.body) {
        case .whole(let body): answer.body = body
        case .part(let body): (answer.body, answer.extent) = (body, answer.isWhole ? .cutOff : answer.extent)
        case .tooLarge(let body): (answer.body, answer.extent) = (body, .tooLarge)
        case .notEncoded: return
        }
        answer.headerFields[.contentEncoding] = nil
    }

    private static func prepare(_ request: EndpointRequest, _ url: EndpointURL) throws(TransportFailure) -> HTTPClient.Request {
        let tls = try ClientTLS.configuration(
            authority: request.certificateAuthority, clientCertificate: request.clientCertificate)
        do {
            return try HTTPClient.Request(
                url: RequestTarget.address(url), method: HTTPMethod(rawValue: request.head.method.rawValue),
                headers: HTTPHeaders(request.head.headerFields),
                body: request.body.isEmpty ? nil : .bytes(request.body), tlsConfiguration: tls)
        } catch {
            throw .configuration(reason: "the address can't be used")
        }
    }
}

extension HTTPFields {
    init(_ headers: HTTPHeaders) {
        self.init()
        for (name, value) in headers {
            if let name = HTTPField.Name(name) { append(HTTPField(name: name, value: value)) }
        }
    }
}

extension HTTPHeaders {
    init(_ fields: HTTPFields) {
        self.init(fields.map { ($0.name.rawName, $0.value) })
    }
}
