import Glibc
public import HummingbirdCore
import Linux
public import NIOCore
import NIOHTTP1
import NIOPosix

/// HTTP/1.1 for the agent, the proxy and the page that a login lands on, with a limit to everything.
public final class HTTPServer: Sendable {
    public struct Limits: Sendable {
        /// Connections at once; one more is closed at once.
        public var connections = 8192
        /// Those of one user, other than the server's own and root; one more is closed at once.
        public var connectionsOfUser = 512
        /// Those of all these users together: the rest is kept for the server's own user and root.
        public var connectionsOfOthers: Int { connections - max(1, connections / 4) }
        /// A connection that says nothing, or does not finish its request, is closed after so many seconds.
        public var idle: Int64 = 30
        /// Bytes of all header fields of one request.
        public var header = 16 << 10
        /// Header fields of one request.
        static let headerFields = 64
        public init() {}
    }

    /// Where to listen.
    public enum Address: Sendable {
        /// A Unix socket; one that is there already gives way. It stays when the server ends.
        case path(String)
        /// A Unix socket that is bound and listening already, as systemd hands it over (sd_listen_fds(3)).
        case inherited(Int32)
        /// A port of 127.0.0.1 or ::1; 0 for any that is free.
        case loopback(String, port: Int)
    }

    /// Answers requests that have come together, each in its place, on a thread on which others wait: it must not block.
    public typealias Answer = @Sendable ([ServerRequest]) -> [ServerReply]

    /// Answers one request whose body, and whose answer's body, may be long, and are read and written as they come.
    public typealias StreamingAnswer = @Sendable (Request, consuming ResponseWriter, any Channel) async throws -> Void

    private enum Service: Sendable {
        case whole(bodyLimit: Int, Answer)
        case streaming(Admission, StreamingAnswer)
    }

    private let limits: Limits
    private let service: Service
    private let stopSignal: StopSignal
    private let connections = Connections()

    /// A server of short requests with short answers.
    /// - Parameters:
    ///   - stop: ends `run`.
    ///   - bodyLimit: bytes of a request's body; a longer one is answered with 413. On a Unix socket only the server's own
    ///     user and root may send one at all: others are answered with 403 before it is read.
    public convenience init(
        limits: Limits = Limits(), stop: StopSignal = StopSignal(), bodyLimit: Int, answer: @escaping Answer
    ) {
        self.init(limits, stop, .whole(bodyLimit: bodyLimit, answer))
    }

    /// A server that streams, on a port of 127.0.0.1. Nobody is answered anywhere else.
    /// - Parameter admission: whom it answers.
    public convenience init(limits: Limits = Limits(), admission: Admission, answer: @escaping StreamingAnswer) {
        self.init(limits, StopSignal(), .streaming(admission, answer))
    }

    private init(_ limits: Limits, _ stop: StopSignal, _ service: Service) {
        var limits = limits
        limits.connections = Self.connections(atMost: limits.connections)
        self.limits = limits
        stopSignal = stop
        self.service = service
    }

    /// Serves until it is stopped or cancelled; no connection is left then.
    /// - Parameter onReady: called when clients can connect, with the port if it is one.
    /// - Throws: `FileError` if it can't listen there, and what NIO throws of an address that is none.
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

    // MARK: Listening

    /// Whether an error of `run` says that another process listens there.
    public static func isTaken(_ error: any Error) -> Bool { (error as? FileError)?.code == EADDRINUSE }

    private func bind(_ address: Address) async throws -> any Channel {
        do {
            return try await listen(on: address)
        } catch let error as IOError {
            let path =
                switch address {
                case .path(let path): path
                case .inherited: "the socket that was handed over"
                case .loopback(let host, let port): "\(host), port \(port)"
                }
            throw FileError(operation: "listen on", path: path, code: error.errnoCode)
        }
    }

    private func listen(on address: Address) async throws -> any Channel {
        let bootstrap = bootstrap(for: address).serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
        switch address {
        case .path(let path):
            return try await bootstrap.withBoundSocket(UnixListener.bind(path)).get()
        case .inherited(let descriptor):
            return try await bootstrap.withBoundSocket(descriptor).get()
        case .loopback(let host, let port):
            return try await bootstrap.serverChannelOption(.socketOption(.so_reuseaddr), value: 1).bind(host: host, port: port)
                .get()
        }
    }

    private func bootstrap(for address: Address) -> ServerBootstrap {
        let all = MultiThreadedEventLoopGroup.singleton
        switch service {
        case .streaming(let admission, let answer):
            let streaming = StreamingService(answer, limits, connections)
            return ServerBootstrap(group: all).childChannelInitializer { channel in
                let deadline = IdleDeadline(.seconds(self.limits.idle))
                // Hummingbird closes idle connections itself.
                deadline.suspend()
                guard self.admit(channel, deadline) else { return channel.close() }
                let guardian = AdmissionHandler(admission, deadline) {
                    self.connections.attribute(channel, to: $0, self.limits)
                }
                do {
                    try channel.pipeline.syncOperations.addHandler(guardian)
                } catch {
                    return channel.eventLoop.makeFailedFuture(error)
                }
                return streaming.begin(on: channel)
            }
        case .whole(let bodyLimit, let answer):
            // One thread: a short answer takes less than waking another thread for it would.
            let loop = all.next()
            let batcher = RequestBatcher(loop, answer)
            let bootstrap = ServerBootstrap(group: loop).serverChannelOption(.maxMessagesPerRead, value: 16)
            return bootstrap.childChannelInitializer { channel in
                let deadline = IdleDeadline(.seconds(self.limits.idle))
                guard self.admit(channel, deadline) else { return channel.close() }
                return Self.peer(of: channel, at: address).flatMap { peer in
                    guard self.connections.attribute(channel, to: peer, self.limits) else { return channel.close() }
                    let handler = ConnectionHandler(peer, batcher, self.connections, deadline, bodyLimit: bodyLimit)
                    return channel.eventLoop.makeCompletedFuture {
                        try self.prepare(channel.pipeline.syncOperations, handler)
                    }
                }
            }
        }
    }

    private func admit(_ channel: any Channel, _ deadline: IdleDeadline) -> Bool {
        connections.admit(channel, deadline, atMost: limits.connections)
    }

    private static func peer(of channel: any Channel, at address: Address) -> EventLoopFuture<ConnectionPeer> {
        switch address {
        case .path, .inherited: ConnectionPeer.ofUnixSocket(channel)
        case .loopback: channel.eventLoop.makeSucceededFuture(.unproven)
        }
    }

    private func prepare(_ pipeline: ChannelPipeline.SynchronousOperations, _ handler: ConnectionHandler) throws {
        var decoder = NIOHTTPDecoderLimitConfiguration()
        decoder.maxHeaderFieldSize = limits.header
        decoder.maxHeaderListSize = limits.header
        decoder.maxHeaderFieldCount = Limits.headerFields
        try pipeline.configureHTTPServerPipeline(
            withPipeliningAssistance: false, withErrorHandling: false, withOutboundHeaderValidation: false,
            withEncoderConfiguration: .init(), withDecoderLimitConfiguration: decoder)
        try pipeline.addHandler(handler)
    }

    /// The usual limit of 1,024 open files is less than the clients that there may be; and there must always be some left
    /// for everything else.
    private static func connections(atMost wanted: Int) -> Int {
        var limit = rlimit()
        let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard unsafe getrlimit(files, &limit) == 0 else { return wanted }
        limit.rlim_cur = min(limit.rlim_max, max(limit.rlim_cur, 65_536))
        unsafe setrlimit(files, &limit)
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
