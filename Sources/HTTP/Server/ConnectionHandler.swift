import NIOCore
import NIOHTTP1

/// Does for one connection what its `ConnectionState` says. Everything happens on the connection's own thread, and what
/// can be answered at once makes no task: a stream for each direction, as Hummingbird has it, takes longer to set up than
/// the agent takes to answer.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Never
    typealias OutboundOut = HTTPServerResponsePart

    private typealias State = ConnectionState<ServerRequest>

    /// How long a client may take to close a connection that is over.
    private static let closeTimeout = TimeAmount.seconds(1)
    /// How often a client learns that its reply is being worked on.
    private static let reportInterval = TimeAmount.seconds(2)

    private let peer: ConnectionPeer
    private let batcher: RequestBatcher
    private let connections: Connections
    private let deadline: IdleDeadline
    private let bodyLimit: Int
    private var context: ChannelHandlerContext?
    private var state = State()
    /// A request as far as it has come, and whether it is the last one.
    private var incoming: (request: ServerRequest, isLast: Bool)?
    /// Whether the present reply is to a HEAD and has no body (RFC 9110 section 9.3.2).
    private var omitsBody = false
    /// Whether it may have interim replies before it.
    private var takesInterimReplies = false
    /// The next report that it is being worked on.
    private var nextReport: Scheduled<Void>?
    private var lastWrite: EventLoopFuture<Void>?

    init(_ peer: ConnectionPeer, _ batcher: RequestBatcher, _ connections: Connections, _ deadline: IdleDeadline, bodyLimit: Int)
    {
        self.peer = peer
        self.batcher = batcher
        self.connections = connections
        self.deadline = deadline
        self.bodyLimit = bodyLimit
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        _ = state.handle(.ended)
        nextReport?.cancel()
        self.context = nil
    }

    // MARK: Events

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state.isListening else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            guard let length = bodyLength(head) else { return perform(.received(.refused(.tooLong), isLast: true)) }
            guard length == 0 || mayHaveBody else { return perform(.received(.refused(.forbidden), isLast: true)) }
            incoming = (ServerRequest(head, bodyLength: length, peer: peer), !head.isKeepAlive)
        case .body(let part): incoming?.request.body += part.readableBytesView
        case .end:
            guard let (request, isLast) = incoming else { return }
            incoming = nil
            perform(.received(.request(request), isLast: isLast))
        }
    }

    /// What others send would lie in memory until it is whole, and no request of theirs has a body.
    private var mayHaveBody: Bool { peer == .unproven || peer.isOwner }

    /// - Returns: nil if it is more than the limit, or not told.
    private func bodyLength(_ head: HTTPRequestHead) -> Int? {
        guard !head.headers.contains(name: "transfer-encoding") else { return nil }
        guard let length = head.headers.first(name: "content-length") else { return 0 }
        return Int(length).flatMap { (0...bodyLimit).contains($0) ? $0 : nil }
    }

    /// What is no HTTP is answered once, and the connection is closed.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is HTTPParserError else { return context.close(promise: nil) }
        perform(.received(.refused(.malformed), isLast: true))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { perform(.inputClosed) }
        context.fireUserInboundEventTriggered(event)
    }

    func read(context: ChannelHandlerContext) { perform(.readRequested) }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        perform(.writable(context.channel.isWritable))
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        perform(.ended)
        context.fireChannelInactive()
    }

    /// Takes the reply to the request that the batcher was given.
    func take(_ reply: ServerReply) {
        switch reply {
        case .now(let response): perform(.answered, response)
        case .later(let reports, let work):
            perform(.delayed)
            wait(for: work)
            // After the work has begun: what a client asked that is gone by now is done all the same.
            if reports, takesInterimReplies { report() }
        }
    }

    /// Tells the client that its reply is being worked on, now and again until it is there.
    private func report() {
        perform(.working)
        guard let context, !state.isClosed else { return }
        nextReport = context.eventLoop.assumeIsolated().scheduleTask(in: Self.reportInterval) { self.report() }
    }

    private func wait(for work: @escaping @Sendable () async -> ServerResponse) {
        guard let context, !state.isClosed else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let isServed = connections.serve {
            let response = await work()
            // Whoever ends the server waits for this task, and closes the connection then: the answer must be written.
            try? await bound.eventLoop.submit { bound.value.perform(.answered, response) }.get()
        }
        if !isServed { context.close(promise: nil) }
    }

    // MARK: Actions

    /// - Parameter response: what to write, where an event is that there is something to write.
    private func perform(_ event: State.Event, _ response: ServerResponse? = nil) {
        let actions = state.handle(event)
        guard let context else { return }
        switch actions.deadline {
        case .idle: deadline.restart()
        case .suspended: deadline.suspend()
        case .closeTimeout: deadline.restart(Self.closeTimeout)
        case nil: break
        }
        switch actions.write {
        case .interim: writeInterim(context)
        case .reply: if let response { write(response, isLast: false, context) }
        case .lastReply: if let response { write(response, isLast: true, context) }
        case nil: break
        }
        if let incoming = actions.begin { begin(incoming) }
        if actions.read { context.read() }
        if actions.awaitFlush { reportFlush() }
        switch actions.close {
        case .output: context.close(mode: .output, promise: nil)
        case .all: context.close(promise: nil)
        case nil: break
        }
    }

    private func begin(_ incoming: State.Incoming) {
        switch incoming {
        case .request(let request):
            omitsBody = request.method == "HEAD"
            takesInterimReplies = request.takesInterimReplies
            batcher.add(request, of: self)
        case .refused(let refusal):
            omitsBody = false
            perform(.answered, .refused(refusal))
        }
    }

    private func writeInterim(_ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .processing))), promise: nil)
    }

    private func write(_ response: ServerResponse, isLast: Bool, _ context: ChannelHandlerContext) {
        nextReport?.cancel()
        nextReport = nil
        var headers = HTTPHeaders()
        headers.reserveCapacity(response.headers.count + 2)
        for (name, value) in response.headers { headers.add(name: name, value: value) }
        headers.add(name: "Content-Length", value: "\(response.body.count)")
        if isLast { headers.add(name: "Connection", value: "close") }
        let head = HTTPResponseHead(version: .http1_1, status: HTTPResponseStatus(statusCode: response.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !omitsBody { context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: response.body)))), promise: nil) }
        let promise = context.eventLoop.makePromise(of: Void.self)
        lastWrite = promise.futureResult
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: promise)
    }

    private func reportFlush() {
        guard let lastWrite else { return perform(.flushed) }
        lastWrite.assumeIsolated().whenComplete { _ in self.perform(.flushed) }
    }
}
