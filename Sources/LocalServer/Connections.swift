import NIOCore
import Synchronization

/// The open connections, each in somebody's hands from the moment that it is set up, even while all of them are ended: one
/// that is dropped unserved traps in NIO.
final class Connections: Sendable {
    private struct State {
        var open = 0
        var tasks: [UInt64: Task<Void, Never>] = [:]
        var number: UInt64 = 0
        var isEnding = false
    }

    private let state = Mutex(State())

    /// Counts a connection until it is closed.
    /// - Returns: false if it is one too many.
    func admit(_ channel: any Channel, atMost limit: Int) -> Bool {
        let isOne = state.withLock { state in
            state.open += 1
            return state.open <= limit
        }
        channel.closeFuture.whenComplete { _ in self.state.withLock { $0.open -= 1 } }
        return isOne
    }

    func serve(_ body: @escaping @Sendable () async -> Void) {
        state.withLock { state in
            let number = state.number
            state.number += 1
            let task = Task {
                await body()
                self.state.withLock { $0.tasks[number] = nil }
            }
            state.tasks[number] = task
            if state.isEnding { task.cancel() }
        }
    }

    /// Cancels what is served, and what still comes; returns when the last one is through.
    func end() async {
        while case let tasks = ending(), !tasks.isEmpty {
            for task in tasks { task.cancel() }
            for task in tasks { await task.value }
        }
    }

    private func ending() -> [Task<Void, Never>] {
        state.withLock { state in
            state.isEnding = true
            return Array(state.tasks.values)
        }
    }
}

/// Tells when a channel has become active, or never will: NIO takes no cancellation before that.
final class Activation: ChannelInboundHandler {
    typealias InboundIn = NIOAny
    private let promise: EventLoopPromise<Void>

    private init(_ promise: EventLoopPromise<Void>) { self.promise = promise }

    /// - Returns: a future for the future that is fulfilled then, so that it can be waited for later.
    static func of(_ channel: any Channel) -> EventLoopFuture<EventLoopFuture<Void>> {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        return channel.eventLoop.submit {
            do {
                try channel.pipeline.syncOperations.addHandler(Activation(promise))
            } catch {
                promise.fail(error)
                throw error
            }
            return promise.futureResult
        }
    }

    func channelActive(context: ChannelHandlerContext) {
        promise.succeed()
        context.fireChannelActive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { promise.succeed() }
}
