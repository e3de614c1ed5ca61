import Glibc
public import HummingbirdCore
import Logging
public import NIOCore
import NIOPosix
import Synchronization

/// HTTP/1.1 for callers on this machine, on a Unix socket or a loopback port, with a limit to everything.
public final class LocalServer: Sendable {
    public struct Limits: Sendable {
        /// Connections at once; one more is closed at once.
        public var connections = 4096
        /// A connection that says nothing, or does not finish its request, is closed after so many seconds.
        public var idle: Int64 = 30
        /// Bytes of all header fields of one request.
        public var header = 16 << 10
        public init() {}
    }

    /// Where to listen.
    public enum Address: Sendable {
        /// A Unix socket; a file that is there already gives way.
        case path(String)
        /// A Unix socket that is bound and listening already, as systemd hands it over (sd_listen_fds(3)).
        case inherited(Int32)
        /// A port of 127.0.0.1 or ::1; 0 for any that is free.
        case loopback(String, port: Int)
    }

    /// Answers the requests of one connection.
    public typealias Responder = @Sendable (Request, consuming ResponseWriter, any Channel) async throws -> Void

    private let limits: Limits
    private let responder: @Sendable (any Channel) -> EventLoopFuture<Responder>
    private let stopSignal: StopSignal
    private let connections = Connections()
    private static let silent = Logger(label: "claviger") { _ in SwiftLogNoOpLogHandler() }

    /// - Parameters:
    ///   - stop: ends `run`.
    ///   - responder: called for each connection, before its first byte is read.
    public init(
        limits: Limits = Limits(), stop: StopSignal = StopSignal(),
        responder: @escaping @Sendable (any Channel) -> EventLoopFuture<Responder>
    ) {
        var limits = limits
        limits.connections = Self.connections(atMost: limits.connections)
        self.limits = limits
        stopSignal = stop
        self.responder = responder
    }

    /// Serves until it is stopped or cancelled; no connection is left then.
    /// - Parameter onReady: called when callers can connect, with the port if it is one.
    /// - Throws: what NIO throws if it can't listen there.
    public func run(on address: Address, onReady: @Sendable (Int?) -> Void) async throws {
        let channel = try await bind(address)
        onReady(channel.localAddress?.port)
        await stopSignal.wait()
        try? await channel.close().get()
        await connections.end()
    }

    private func bind(_ address: Address) async throws -> any Channel {
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { self.prepare($0) }
        switch address {
        case .path(let path):
            return try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        case .inherited(let descriptor):
            return try await bootstrap.withBoundSocket(descriptor).get()
        case .loopback(let host, let port):
            return try await bootstrap.serverChannelOption(.socketOption(.so_reuseaddr), value: 1).bind(host: host, port: port)
                .get()
        }
    }

    private func prepare(_ channel: any Channel) -> EventLoopFuture<Void> {
        guard connections.admit(channel, atMost: limits.connections) else { return channel.close() }
        var configuration = HTTP1Channel.Configuration(idleTimeout: .seconds(limits.idle))
        configuration.httpDecoder.maxHeaderFieldSize = limits.header
        configuration.httpDecoder.maxHeaderListSize = limits.header
        configuration.httpDecoder.maxHeaderFieldCount = 64
        let (settings, connections) = (configuration, connections)
        return responder(channel).and(Activation.of(channel)).flatMap { responder, activation in
            let http = HTTP1Channel(responder: responder, configuration: settings)
            return http.setup(channel: channel, logger: Self.silent).map { value in
                connections.serve {
                    try? await activation.get()
                    await http.handle(value: value, logger: Self.silent)
                }
            }
        }
    }

    /// The usual limit of 1,024 open files is less than the callers that there may be; and there must always be some left
    /// for everything else.
    private static func connections(atMost wanted: Int) -> Int {
        var limit = rlimit()
        let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(files, &limit) == 0 else { return wanted }
        limit.rlim_cur = min(limit.rlim_max, max(limit.rlim_cur, 65_536))
        setrlimit(files, &limit)
        return max(1, min(wanted, Int(clamping: limit.rlim_cur) - 128))
    }
}

/// Something that happens once, and that others wait for.
public final class StopSignal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    public init() { (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }
    public func signal() { continuation.yield() }
    func wait() async { for await _ in stream { return } }
}
