public import NIOCore
public import NIOHTTP1

/// A request that is whole, and short.
public struct ShortRequest: Sendable {
    public var method: HTTPMethod
    /// Path and query, as they were sent.
    public var target: String
    public var headers: HTTPHeaders
    public var body: ByteBuffer
    public var caller: Caller

    public init(
        method: HTTPMethod, target: String, headers: HTTPHeaders = HTTPHeaders(), body: ByteBuffer = ByteBuffer(),
        caller: Caller
    ) {
        self.caller = caller
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

/// The answer to a short request, or what has to be waited for until there is one.
public enum ShortReply: Sendable {
    case now(ShortAnswer)
    case later(@Sendable () async -> ShortAnswer)
}

/// Takes the short requests of one connection, and writes their answers in the same order; everything happens on the
/// connection's own thread, and what can be answered at once makes no task. A stream for each direction, as Hummingbird
/// has it, would take longer to set up than the whole exchange.
final class ExchangeHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Never
    typealias OutboundOut = HTTPServerResponsePart

    /// What is to be answered.
    private enum Item {
        case request(ShortRequest)
        case refused(ShortAnswer)
    }

    private let caller: Caller
    private let gathering: Gathering
    private let connections: Connections
    private let patience: Patience
    private let bodyLimit: Int
    private var context: ChannelHandlerContext?
    /// As far as it has come.
    private var request: ShortRequest?
    private var isKeptAlive = true
    /// Requests that have come while one is answered: no more than was read in one piece.
    private var waiting: [Item] = []
    private var isAnswering = false
    /// Whether that is the answer to a HEAD, which has no body (RFC 9110 section 9.3.2).
    private var isHead = false
    /// Whether the answer takes its time.
    private var isWaiting = false
    /// Whether everything has come that will be answered.
    private var isComplete = false
    private var isReadWanted = false
    /// Whether the last answer was given.
    private var isOver = false
    /// When the newest answer is out.
    private var written: EventLoopFuture<Void>?

    init(_ caller: Caller, _ gathering: Gathering, _ connections: Connections, _ patience: Patience, bodyLimit: Int) {
        self.caller = caller
        self.gathering = gathering
        self.connections = connections
        self.patience = patience
        self.bodyLimit = bodyLimit
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isComplete else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            guard isShort(head) else { return complete(.refused(.tooLong)) }
            isKeptAlive = head.isKeepAlive
            request = ShortRequest(method: head.method, target: head.uri, headers: head.headers, caller: caller)
        case .body(var part): request?.body.writeBuffer(&part)
        case .end:
            guard let whole = request else { return }
            request = nil
            isKeptAlive ? take(.request(whole)) : complete(.request(whole))
        }
    }

    private func isShort(_ head: HTTPRequestHead) -> Bool {
        guard !head.headers.contains(name: "transfer-encoding") else { return false }
        guard let length = head.headers.first(name: "content-length") else { return true }
        return Int(length).map { (0...bodyLimit).contains($0) } ?? false
    }

    /// What is no HTTP is answered once, and the connection is closed.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is HTTPParserError else { return context.close(promise: nil) }
        if !isComplete { complete(.refused(.malformed)) }
    }

    /// Half a connection is as good as none, once what was asked is answered.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event {
            isComplete = true
            if !isAnswering { closeWhenWritten(context) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Nothing is read while an answer takes its time, is not read itself, or requests wait; nor behind what is answered
    /// last, however long that is. That the caller has closed shows all the same.
    func read(context: ChannelHandlerContext) {
        isReadWanted = isWaiting || isComplete || !waiting.isEmpty || !context.channel.isWritable
        if !isReadWanted { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if isReadWanted { read(context: context) }
        context.fireChannelWritabilityChanged()
    }

    // MARK: Answers

    private func complete(_ item: Item) {
        isComplete = true
        take(item)
    }

    private func take(_ item: Item) {
        waiting.append(item)
        if !isAnswering { answerNext() }
    }

    private func answerNext() {
        guard !waiting.isEmpty else { return }
        isAnswering = true
        switch waiting.removeFirst() {
        case .request(let request):
            isHead = request.method == .HEAD
            gathering.add(request, of: self)
        case .refused(let answer):
            isHead = false
            finish(answer)
        }
    }

    /// Takes the answer to the request that was given away.
    func take(_ reply: ShortReply) {
        switch reply {
        case .now(let answer): finish(answer)
        case .later(let work): wait(for: work)
        }
    }

    private func wait(for work: @escaping @Sendable () async -> ShortAnswer) {
        guard let context else { return }
        patience.suspend()
        isWaiting = true
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let isServed = connections.serve(on: LoopExecutor(context.eventLoop), always: false) {
            let answer = await work()
            bound.value.isWaiting = false
            bound.value.finish(answer)
        }
        if !isServed { context.close(promise: nil) }
    }

    private func finish(_ answer: ShortAnswer) {
        guard let context, context.channel.isActive else { return }
        isAnswering = false
        isOver = isComplete && waiting.isEmpty
        patience.begin()
        write(answer, context)
        if isOver { return closeOutputWhenWritten(context) }
        answerNext()
        if isReadWanted { read(context: context) }
    }

    private func write(_ answer: ShortAnswer, _ context: ChannelHandlerContext) {
        var head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: answer.status), headers: answer.headers)
        head.headers.add(name: "Content-Length", value: "\(answer.body.count)")
        if isOver { head.headers.add(name: "Connection", value: "close") }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !isHead { context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil) }
        let promise = context.eventLoop.makePromise(of: Void.self)
        written = promise.futureResult
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: promise)
    }

    // MARK: The end

    /// How long a caller is left to close what is over.
    private static let courtesy = TimeAmount.seconds(1)

    /// Closing it all takes as long as answering, and the caller may have to wait for this very processor: it is told that
    /// nothing more comes, and closes first.
    private func closeOutputWhenWritten(_ context: ChannelHandlerContext) {
        written?.assumeIsolated().whenComplete { _ in
            self.patience.begin(Self.courtesy)
            context.close(mode: .output, promise: nil)
        }
    }

    /// What was answered has to go out first.
    private func closeWhenWritten(_ context: ChannelHandlerContext) {
        guard let written else { return context.close(promise: nil) }
        written.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
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
