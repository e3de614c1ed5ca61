import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import Synchronization

/// Collects one answer, and remembers how far the exchange has come, so that an error can be judged by what it cost.
final class AnswerCollector: HTTPClientResponseDelegate {
    struct Progress {
        /// Whether the request's first byte may be on its way. Until then nothing can have been acted on.
        var hasBegun = false
        var head: HTTPResponseHead?
        var body: [UInt8] = []
    }

    /// The body is longer than the limit.
    struct TooLarge: Error {}

    private let limit: Int
    private let state = Mutex(Progress())

    /// - Parameter limit: the most bytes of the body.
    init(limit: Int) { self.limit = limit }

    var progress: Progress { state.withLock { $0 } }

    func didSendRequestHead(task: HTTPClient.Task<Void>, _ head: HTTPRequestHead) {
        state.withLock { $0.hasBegun = true }
    }

    func didReceiveHead(task: HTTPClient.Task<Void>, _ head: HTTPResponseHead) -> EventLoopFuture<Void> {
        state.withLock { $0.head = head }
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveBodyPart(task: HTTPClient.Task<Void>, _ part: ByteBuffer) -> EventLoopFuture<Void> {
        let fits = state.withLock { state in
            let room = limit - state.body.count
            state.body += part.readableBytesView.prefix(room)
            return part.readableBytes <= room
        }
        return fits ? task.eventLoop.makeSucceededVoidFuture() : task.eventLoop.makeFailedFuture(TooLarge())
    }

    func didFinishRequest(task: HTTPClient.Task<Void>) {}
}
