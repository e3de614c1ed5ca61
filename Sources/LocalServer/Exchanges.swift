public import NIOCore
public import NIOHTTP1

/// A request that is whole, and short.
public struct ShortRequest: Sendable {
    public var method: HTTPMethod
    /// Path and query, as they were sent.
    public var target: String
    public var headers: HTTPHeaders
    public var body: ByteBuffer

    public init(method: HTTPMethod, target: String, headers: HTTPHeaders = HTTPHeaders(), body: ByteBuffer = ByteBuffer()) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
    }
}

/// Its answer, all of which is there before the first byte goes out.
public struct ShortAnswer: Sendable {
    public var status: Int
    public var headers: HTTPHeaders
    public var body: [UInt8]

    public init(status: Int, headers: HTTPHeaders, body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// Takes the short requests of one connection, one after the other, and writes their answers; everything happens on the
/// connection's own thread unless answering waits for something. A stream for each direction, as Hummingbird has it,
/// would take longer to set up than the whole exchange.
final class ExchangeHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    typealias Exchange = @Sendable (ShortRequest) async -> ShortAnswer

    private let exchange: Exchange
    private let connections: Connections
    private let patience: Patience
    private let bodyLimit: Int
    private let executor: LoopExecutor
    private var request: ShortRequest?
    private var isKeptAlive = true
    private var isAnswering = false
    /// When the last answer is out.
    private var written: EventLoopFuture<Void>?

    init(
        _ loop: any EventLoop, _ connections: Connections, _ patience: Patience, bodyLimit: Int, _ exchange: @escaping Exchange
    ) {
        executor = LoopExecutor(loop)
        self.exchange = exchange
        self.connections = connections
        self.patience = patience
        self.bodyLimit = bodyLimit
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            guard isShort(head) else {
                // Without reading the rest of it, however long that is.
                isKeptAlive = false
                return write(.tooLong, context)
            }
            isKeptAlive = head.isKeepAlive
            request = ShortRequest(method: head.method, target: head.uri, headers: head.headers)
        case .body(var part): request?.body.writeBuffer(&part)
        case .end:
            guard let whole = request else { return }
            request = nil
            answer(whole, context)
        }
    }

    private func isShort(_ head: HTTPRequestHead) -> Bool {
        guard !head.headers.contains(name: "transfer-encoding") else { return false }
        guard let length = head.headers.first(name: "content-length") else { return true }
        return Int(length).map { (0...bodyLimit).contains($0) } ?? false
    }

    private func answer(_ request: ShortRequest, _ context: ChannelHandlerContext) {
        isAnswering = true
        patience.suspend()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let exchange = exchange
        connections.serve(on: executor) {
            let answer = await exchange(request)
            let (handler, context) = bound.value
            handler.isAnswering = false
            handler.patience.begin()
            handler.write(answer, context)
        }
    }

    private func write(_ answer: ShortAnswer, _ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        var head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: answer.status), headers: answer.headers)
        head.headers.add(name: "Content-Length", value: "\(answer.body.count)")
        if !isKeptAlive { head.headers.add(name: "Connection", value: "close") }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
        let promise = context.eventLoop.makePromise(of: Void.self)
        written = promise.futureResult
        let isLast = !isKeptAlive
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: promise)
        if isLast { closeWhenWritten(context) }
    }

    /// What was answered has to go out first.
    private func closeWhenWritten(_ context: ChannelHandlerContext) {
        guard let written else { return context.close(promise: nil) }
        written.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
    }

    /// Half a connection is as good as none, once what was asked is answered. This comes behind the last whole request.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event {
            isKeptAlive = false
            if !isAnswering { closeWhenWritten(context) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// What is no HTTP is answered once, and the connection is closed.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is HTTPParserError, !isAnswering else { return context.close(promise: nil) }
        isKeptAlive = false
        write(.malformed, context)
    }
}

extension ShortAnswer {
    static let malformed = ShortAnswer(
        status: 400, headers: ["Content-Type": "application/problem+json"],
        body: Array(#"{"title":"this is no HTTP request","status":400,"exit":64}"#.utf8))
    static let tooLong = ShortAnswer(
        status: 413, headers: ["Content-Type": "application/problem+json"],
        body: Array(#"{"title":"the request is too long","status":413,"exit":64}"#.utf8))
}
