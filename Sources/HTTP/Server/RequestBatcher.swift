import NIOCore

/// Answers together the requests that have come to one thread since it last looked. What their answers have in common
/// (the lines of the agent's log) is then done once, and a client that waits for several is woken once.
final class RequestBatcher: Sendable {
    private let loop: any EventLoop
    private let answer: HTTPServer.Answer
    private let waiting: NIOLoopBoundBox<[(request: ServerRequest, handler: ConnectionHandler)]>

    init(_ loop: any EventLoop, _ answer: @escaping HTTPServer.Answer) {
        self.loop = loop
        self.answer = answer
        waiting = .makeBoxSendingValue([], eventLoop: loop)
    }

    /// On the thread.
    func add(_ request: ServerRequest, of handler: ConnectionHandler) {
        waiting.value.append((request, handler))
        if waiting.value.count == 1 { loop.execute { self.answerAll() } }
    }

    private func answerAll() {
        let batch = waiting.value
        waiting.value = []
        for (entry, reply) in zip(batch, answer(batch.map(\.request))) { entry.handler.take(reply) }
    }
}
