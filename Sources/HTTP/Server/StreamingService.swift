import HummingbirdCore
import Logging
import NIOCore

/// Connections whose bodies are read and written as they come, by HummingbirdCore.
struct StreamingService: Sendable {
    private let http: HTTP1Channel
    private let connections: Connections
    private static let silent = Logger(label: "claviger") { _ in SwiftLogNoOpLogHandler() }

    init(_ answer: @escaping HTTPServer.StreamingAnswer, _ limits: HTTPServer.Limits, _ connections: Connections) {
        var configuration = HTTP1Channel.Configuration(idleTimeout: .seconds(limits.idle))
        configuration.httpDecoder.maxHeaderFieldSize = limits.header
        configuration.httpDecoder.maxHeaderListSize = limits.header
        configuration.httpDecoder.maxHeaderFieldCount = HTTPServer.Limits.headerFields
        http = HTTP1Channel(responder: answer, configuration: configuration)
        self.connections = connections
    }

    /// Sets a new channel up, and serves it once it is active or closed: never sooner, since NIO takes no cancellation before
    /// a channel is active, and in any case, since NIO traps when a stream is dropped that nobody has read.
    func begin(on channel: any Channel) -> EventLoopFuture<Void> {
        let (http, connections, loop) = (http, connections, channel.eventLoop)
        // Added first: what fails from here on has made no stream.
        let activation = ActivationHandler()
        do {
            try channel.pipeline.syncOperations.addHandler(activation)
        } catch {
            return loop.makeFailedFuture(error)
        }
        let bound = NIOLoopBound(activation, eventLoop: loop)
        return http.setup(channel: channel, logger: Self.silent).map { value in
            bound.value.whenActiveOrClosed {
                connections.serve(always: true) { await http.handle(value: value, logger: Self.silent) }
            }
        }
    }
}

/// Calls a closure once its channel is active, or closed before that.
private final class ActivationHandler: ChannelInboundHandler {
    typealias InboundIn = NIOAny
    private var hasHappened = false
    private var body: (() -> Void)?

    func whenActiveOrClosed(_ body: @escaping () -> Void) {
        if hasHappened { body() } else { self.body = body }
    }

    private func happened() {
        hasHappened = true
        body?()
        body = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        happened()
        context.fireChannelActive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { happened() }
}
