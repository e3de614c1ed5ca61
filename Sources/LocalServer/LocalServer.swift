import Glibc
public import HummingbirdCore
import Logging
public import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// HTTP/1.1 for callers on this machine, on a Unix socket or a loopback port, with a limit to everything.
public final class LocalServer: Sendable {
    public struct Limits: Sendable {
        /// Connections at once; one more is closed at once.
        public var connections = 8192
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

    /// Answers short requests that have come together, each in its place, on a thread on which others wait: it must not
    /// block.
    public typealias Exchange = @Sendable ([ShortRequest]) -> [ShortReply]

    private enum Service: Sendable {
        case streams(Responder)
        case exchanges(bodyLimit: Int, Exchange)
    }

    private let limits: Limits
    private let service: Service
    private let stopSignal: StopSignal
    private let connections = Connections()
    private static let silent = Logger(label: "claviger") { _ in SwiftLogNoOpLogHandler() }

    /// A server whose requests and answers may be long, and are read and written as they come.
    /// - Parameter responder: answers one request.
    public convenience init(limits: Limits = Limits(), responder: @escaping Responder) {
        self.init(limits, StopSignal(), .streams(responder))
    }

    /// A server of short requests with short answers, which are fast.
    /// - Parameters:
    ///   - stop: ends `run`.
    ///   - bodyLimit: bytes of a request's body; a longer one is answered with 413.
    public convenience init(
        limits: Limits = Limits(), stop: StopSignal, bodyLimit: Int, exchange: @escaping Exchange
    ) {
        self.init(limits, stop, .exchanges(bodyLimit: bodyLimit, exchange))
    }

    private init(_ limits: Limits, _ stop: StopSignal, _ service: Service) {
        var limits = limits
        limits.connections = Self.connections(atMost: limits.connections)
        self.limits = limits
        stopSignal = stop
        self.service = service
    }

    /// Serves until it is stopped or cancelled; no connection is left then.
    /// - Parameter onReady: called when callers can connect, with the port if it is one.
    /// - Throws: what NIO throws if it can't listen there.
    public func run(on address: Address, onReady: @Sendable (Int?) -> Void) async throws {
        let channel = try await bind(address)
        onReady(channel.localAddress?.port)
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: .milliseconds(500))
                    self.connections.closeOverdue()
                }
            }
            await stopSignal.wait()
            group.cancelAll()
        }
        try? await channel.close().get()
        await connections.end()
    }

    private func bind(_ address: Address) async throws -> any Channel {
        let bootstrap = bootstrap.serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
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

    private var bootstrap: ServerBootstrap {
        let all = MultiThreadedEventLoopGroup.singleton
        switch service {
        case .streams(let responder):
            return ServerBootstrap(group: all).childChannelInitializer { channel in
                // Hummingbird looks after these itself.
                let patience = Patience(.seconds(self.limits.idle))
                patience.suspend()
                guard self.connections.admit(channel, patience, atMost: self.limits.connections) else { return channel.close() }
                return self.prepare(channel, responder)
            }
        case .exchanges(let bodyLimit, let exchange):
            // A short exchange takes less than waking another thread for it would.
            let loop = all.next()
            let gathering = Gathering(loop, exchange)
            let bootstrap = ServerBootstrap(group: loop).serverChannelOption(.maxMessagesPerRead, value: 16)
            return bootstrap.childChannelInitializer { channel in
                let patience = Patience(.seconds(self.limits.idle))
                guard self.connections.admit(channel, patience, atMost: self.limits.connections) else { return channel.close() }
                return Caller.of(channel).flatMapThrowing { caller in
                    let handler = ExchangeHandler(caller, gathering, self.connections, patience, bodyLimit: bodyLimit)
                    try self.prepare(channel.pipeline.syncOperations, handler)
                }
            }
        }
    }

    private func prepare(_ pipeline: ChannelPipeline.SynchronousOperations, _ handler: ExchangeHandler) throws {
        var decoder = NIOHTTPDecoderLimitConfiguration()
        decoder.maxHeaderFieldSize = limits.header
        decoder.maxHeaderListSize = limits.header
        decoder.maxHeaderFieldCount = 64
        try pipeline.configureHTTPServerPipeline(
            withPipeliningAssistance: false, withErrorHandling: false, withOutboundHeaderValidation: false,
            withEncoderConfiguration: .init(), withDecoderLimitConfiguration: decoder)
        try pipeline.addHandler(handler)
    }

    private func prepare(_ channel: any Channel, _ responder: @escaping Responder) -> EventLoopFuture<Void> {
        var configuration = HTTP1Channel.Configuration(idleTimeout: .seconds(limits.idle))
        configuration.httpDecoder.maxHeaderFieldSize = limits.header
        configuration.httpDecoder.maxHeaderListSize = limits.header
        configuration.httpDecoder.maxHeaderFieldCount = 64
        let http = HTTP1Channel(responder: responder, configuration: configuration)
        let connections = connections
        return Activation.of(channel).flatMap { activation in
            http.setup(channel: channel, logger: Self.silent).map { value in
                connections.serve(on: LoopExecutor(channel.eventLoop), always: true) {
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
