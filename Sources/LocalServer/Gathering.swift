import NIOCore

/// The requests that have come to one thread since it last looked: they are answered together, so that what their answers
/// have in common is done once, and whoever reads them is woken once.
final class Gathering: Sendable {
    private let loop: any EventLoop
    private let exchange: LocalServer.Exchange
    private let waiting: NIOLoopBoundBox<[(request: ShortRequest, handler: ExchangeHandler)]>

    init(_ loop: any EventLoop, _ exchange: @escaping LocalServer.Exchange) {
        self.loop = loop
        self.exchange = exchange
        waiting = .makeBoxSendingValue([], eventLoop: loop)
    }

    /// On the thread.
    func add(_ request: ShortRequest, of handler: ExchangeHandler) {
        waiting.value.append((request, handler))
        if waiting.value.count == 1 { loop.execute { self.answer() } }
    }

    private func answer() {
        let batch = waiting.value
        waiting.value = []
        for (entry, reply) in zip(batch, exchange(batch.map(\.request))) { entry.handler.take(reply) }
    }
}
