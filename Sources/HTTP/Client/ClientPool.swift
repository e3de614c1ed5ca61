import AsyncHTTPClient
import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import OAuth
public import Sodium
import Synchronization
import TokenEngine

/// AsyncHTTPClient's clients: one for each proxy, and one that goes straight. Each is made when it is first needed, since a
/// cached token needs none. No redirect is followed, nothing is sent twice, and TLS is 1.2 at least.
final class ClientPool: Sendable {
    struct Settings {
        var connect: Duration
        /// Between two pieces of an answer.
        var read: Duration
        /// A connection is kept for so long for another request.
        var idle: Duration
    }

    private let settings: Settings
    private let proxies: ProxySettings
    private let clients = Mutex<[ProxySettings.Proxy?: HTTPClient]>([:])

    init(_ settings: Settings, proxies: ProxySettings) {
        self.settings = settings
        self.proxies = proxies
    }

    /// Ends all connections. Must be called before the last reference goes.
    func close() async {
        let clients = clients.withLock { all in
            defer { all = [:] }
            return Array(all.values)
        }
        for client in clients { try? await client.shutdown() }
    }

    /// - Throws: `configuration` if the proxy variable can't be used.
    func proxy(for url: EndpointURL) throws(TransportFailure) -> ProxySettings.Proxy? { try proxies.proxy(for: url) }

    /// The client that reaches an address.
    /// - Throws: `configuration` if the proxy variable can't be used, or too few files may be open.
    func client(for url: EndpointURL) throws(TransportFailure) -> HTTPClient {
        let proxy = try proxies.proxy(for: url)
        if let client = clients.withLock({ $0[proxy] }) { return client }
        guard FreeDescriptors.suffice else {
            throw .configuration(reason: "this process may open too few files (ulimit -n) to use the network")
        }
        return clients.withLock { clients in
            if let client = clients[proxy] { return client }
            let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration(proxy))
            clients[proxy] = client
            return client
        }
    }

    private func configuration(_ proxy: ProxySettings.Proxy?) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: ClientTLS.standard, redirectConfiguration: .disallow,
            timeout: .init(connect: settings.connect.amount, read: settings.read.amount),
            proxy: proxy.map(Self.proxy))
        configuration.httpVersion = .http1Only
        configuration.http1_1ConnectionDebugInitializer = RequestTargetHandler.add
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.idleTimeout = settings.idle.amount
        // The library's 8 would make many credentials of one server wait for each other.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        return configuration
    }

    private static func proxy(_ proxy: ProxySettings.Proxy) -> HTTPClient.Configuration.Proxy {
        guard let user = proxy.user else { return .server(host: proxy.host, port: proxy.port) }
        return .server(
            host: proxy.host, port: proxy.port,
            authorization: .basic(username: user, password: proxy.password ?? ""))
    }
}

/// What a client asks of TLS.
enum ClientTLS {
    /// NIOSSL's own default still allows TLS 1.0, which RFC 8996 forbids.
    static var standard: TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        return configuration
    }

    /// - Parameters:
    ///   - authority: certificates in PEM to trust instead of the system's.
    ///   - clientCertificate: a certificate chain and its private key in PEM (RFC 8705).
    /// - Returns: nil where the standard does.
    /// - Throws: `configuration` if one of them can't be read.
    static func configuration(authority: String?, clientCertificate: Secret?) throws(TransportFailure) -> TLSConfiguration? {
        guard authority != nil || clientCertificate != nil else { return nil }
        var configuration = standard
        if let authority { try trust(authority, in: &configuration) }
        if let clientCertificate { try present(clientCertificate, in: &configuration) }
        return configuration
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
        guard (try? NIOSSLContext(configuration: configuration)) != nil else {
            throw .configuration(reason: "the client's certificate and its key don't belong together")
        }
    }
}

/// A client's own certificate and its key (RFC 8705).
public enum ClientCertificate {
    /// What is wrong with them, in words; nil for nothing.
    /// - Parameter pem: both, in PEM.
    public static func problem(with pem: Secret) -> String? {
        do throws(TransportFailure) {
            _ = try ClientTLS.configuration(authority: nil, clientCertificate: pem)
            return nil
        } catch {
            guard case .configuration(let reason) = error else { return nil }
            return reason
        }
    }
}

/// Whether the network library can start. SwiftNIO ends the process (SIGILL) when it can't open what its threads need.
enum FreeDescriptors {
    /// Each of its threads opens three (epoll, eventfd, timerfd). Then come the connection, its twin over the other version
    /// of IP, what the resolver reads, and the files in which the answer is stored.
    private static var needed: Int { 3 * NIOSingletons.groupLoopCountSuggestion + 8 }

    /// Asked once: the threads are started once, and end with the process.
    static let suffice: Bool = {
        var opened: [Int32] = []
        defer { opened.forEach { _ = close($0) } }
        while opened.count < needed {
            let descriptor = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return false }
            opened.append(descriptor)
        }
        return true
    }()
}

extension Duration {
    var amount: TimeAmount {
        .nanoseconds(components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000)
    }
}
