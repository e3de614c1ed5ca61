import AsyncHTTPClient
import Glibc
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
public import OAuth
import Sodium
import Synchronization

/// The transport over the network: AsyncHTTPClient, with no redirects, a trust store per request, and a limit to
/// everything that a server could draw out.
public final class NetworkTransport: HTTPTransport {
    public struct Limits: Sendable {
        public var connect = Duration.seconds(10)
        /// Between two pieces of an answer.
        public var read = Duration.seconds(20)
        /// One request from its first byte to its answer's last.
        public var total = Duration.seconds(30)
        public var body = 1 << 20
        /// A connection's buffer holds the last answer, with the tokens in it, for as long as it is kept.
        public var idle = Duration.milliseconds(500)
        public init() {}

        /// For whatever an API may take its time with.
        public static var patient: Limits {
            var limits = Limits()
            (limits.read, limits.total, limits.idle) = (.seconds(3600), .seconds(30 * 86_400), .seconds(30))
            return limits
        }
    }

    let limits: Limits
    let proxies: ProxySettings
    /// One client for each proxy, and one that goes straight; made when first needed, since a cached token needs none.
    private let clients = Mutex<[ProxySettings.Proxy?: HTTPClient]>([:])

    public init(limits: Limits = Limits(), proxies: ProxySettings) {
        self.limits = limits
        self.proxies = proxies
    }

    /// Ends all connections. Must be called before the last reference goes.
    public func close() async {
        let clients = clients.withLock { all in
            defer { all = [:] }
            return Array(all.values)
        }
        for client in clients { try? await client.shutdown() }
    }

    public func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        let address = "\(request.head.scheme ?? "https")://\(request.head.authority ?? "")\(request.head.path ?? "/")"
        guard let url = try? EndpointURL(address) else { throw .configuration(reason: "the address can't be used") }
        let client = client(through: try proxies.proxy(for: url))
        let prepared = try prepare(request, address)
        do {
            let response = try await client.execute(prepared, deadline: .now() + limits.total.amount)
            let body = try await response.body.collect(upTo: limits.body)
            return EndpointAnswer(
                status: Int(response.status.code), headerFields: Self.fields(response.headers),
                body: Array(body.readableBytesView))
        } catch {
            throw Self.failure(error, host: url.host)
        }
    }

    private func prepare(_ request: EndpointRequest, _ address: String) throws(TransportFailure) -> HTTPClientRequest {
        var prepared = HTTPClientRequest(url: address)
        prepared.method = HTTPMethod(rawValue: request.head.method.rawValue)
        for field in request.head.headerFields { prepared.headers.add(name: field.name.rawName, value: field.value) }
        prepared.body = .bytes(request.body)
        prepared.tlsConfiguration = try Self.tls(
            authority: request.certificateAuthority, clientCertificate: request.clientCertificate)
        return prepared
    }

    /// Nil for the usual.
    static func tls(authority: String?, clientCertificate: Secret?) throws(TransportFailure) -> TLSConfiguration? {
        guard authority != nil || clientCertificate != nil else { return nil }
        var configuration = TLSConfiguration.makeClientConfiguration()
        if let authority { try trust(authority, in: &configuration) }
        if let clientCertificate { try present(clientCertificate, in: &configuration) }
        return configuration
    }

    static func fields(_ headers: HTTPHeaders) -> HTTPFields {
        var fields = HTTPFields()
        for (name, value) in headers {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        return fields
    }

    private static func trust(_ pem: String, in configuration: inout TLSConfiguration) throws(TransportFailure) {
        guard let certificates = try? NIOSSLCertificate.fromPEMBytes(Array(pem.utf8)), !certificates.isEmpty else {
            throw .configuration(reason: "the certificates of its authority (--ca-file) can't be read")
        }
        configuration.trustRoots = .certificates(certificates)
    }

    private static func present(_ pem: Secret, in configuration: inout TLSConfiguration) throws(TransportFailure) {
        let bytes = pem.withBytes { $0.array() }
        guard let chain = try? NIOSSLCertificate.fromPEMBytes(bytes), !chain.isEmpty,
            let key = try? NIOSSLPrivateKey(bytes: bytes, format: .pem)
        else { throw .configuration(reason: "the client's certificate and its key can't be read") }
        configuration.certificateChain = chain.map { .certificate($0) }
        configuration.privateKey = .privateKey(key)
    }

    func client(through proxy: ProxySettings.Proxy?) -> HTTPClient {
        clients.withLock { clients in
            if let client = clients[proxy] { return client }
            var configuration = HTTPClient.Configuration(
                redirectConfiguration: .disallow,
                timeout: .init(connect: limits.connect.amount, read: limits.read.amount),
                proxy: proxy.map(Self.proxy))
            configuration.httpVersion = .http1Only
            configuration.connectionPool.retryConnectionEstablishment = false
            configuration.connectionPool.idleTimeout = limits.idle.amount
            // The usual 8 would make many credentials of one server wait for each other.
            configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
            let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
            clients[proxy] = client
            return client
        }
    }

    private static func proxy(_ proxy: ProxySettings.Proxy) -> HTTPClient.Configuration.Proxy {
        guard let user = proxy.user else { return .server(host: proxy.host, port: proxy.port) }
        return .server(
            host: proxy.host, port: proxy.port,
            authorization: .basic(username: user, password: proxy.password ?? ""))
    }

    /// Errors in our own words: those of the libraries may quote what was sent or received.
    static func failure(_ error: any Error, host: String) -> TransportFailure {
        switch error {
        case is NIOTooManyBytesError:
            return .answerTooLarge(host: host)
        case let error as HTTPClientError:
            return clientFailure(error, host: host)
        case let error as NIOConnectionError:
            let dns = error.connectionErrors.isEmpty && (error.dnsAError != nil || error.dnsAAAAError != nil)
            return .noConnection(host: host, reason: dns ? "no such host is known" : "the connection was refused")
        case let error as IOError where cannotHaveConnected.contains(error.errnoCode):
            return .noConnection(host: host, reason: "the connection was refused")
        case NIOSSLError.handshakeFailed(.sslError(let stack)) where stack.description.contains("CERTIFICATE_VERIFY_FAILED"):
            return .certificate(host: host, reason: "it has expired, or its authority is not trusted here")
        case is NIOSSLExtraError:
            return .certificate(host: host, reason: "it belongs to another host")
        case NIOSSLError.uncleanShutdown:
            return .answerLost(host: host, reason: "the connection was cut before the answer's end")
        case is NIOSSLError:
            return .noConnection(host: host, reason: "no secure connection could be agreed")
        default:
            return .answerLost(host: host, reason: "the connection broke")
        }
    }

    /// What connect(2) and socket(2) say, and no connection that was made: after any other, a request may have arrived.
    private static let cannotHaveConnected: Set<CInt> = [
        ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL, EACCES, EPERM, EMFILE, ENFILE,
    ]

    private static func clientFailure(_ error: HTTPClientError, host: String) -> TransportFailure {
        switch error {
        case .connectTimeout: .noConnection(host: host, reason: "no connection within the time limit")
        case .tlsHandshakeTimeout: .noConnection(host: host, reason: "no secure connection within the time limit")
        case .httpProxyHandshakeTimeout, .socksHandshakeTimeout, .proxyAuthenticationRequired, .invalidProxyResponse:
            .noConnection(host: host, reason: "the proxy does not let us through")
        case .readTimeout, .deadlineExceeded: .answerLost(host: host, reason: "no answer within the time limit")
        default: .answerLost(host: host, reason: "the connection broke")
        }
    }
}

extension Duration {
    var amount: TimeAmount {
        .nanoseconds(components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000)
    }
}
