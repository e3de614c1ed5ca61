import NIOCore
import Synchronization

/// The open connections, each in somebody's hands from the moment that it is set up, even while all of them are ended: one
/// that is dropped unserved traps in NIO.
final class Connections: Sendable {
    private struct State {
        var open: [ObjectIdentifier: (channel: any Channel, patience: Patience)] = [:]
        var tasks: [UInt64: Task<Void, Never>] = [:]
        var number: UInt64 = 0
        var isEnding = false
    }

    private let state = Mutex(State())

    /// Counts a connection until it is closed.
    /// - Returns: false if it is one too many.
    func admit(_ channel: any Channel, _ patience: Patience, atMost limit: Int) -> Bool {
        let isOne = state.withLock { state in
            state.open[ObjectIdentifier(channel)] = (channel, patience)
            return state.open.count <= limit && !state.isEnding
        }
        channel.closeFuture.whenComplete { _ in self.state.withLock { $0.open[ObjectIdentifier(channel)] = nil } }
        return isOne
    }

    /// Closes those that have said nothing for too long.
    func closeOverdue() {
        let now = NIODeadline.now()
        let overdue = state.withLock { $0.open.values.filter { $0.patience.hasEnded(at: now) }.map(\.channel) }
        for channel in overdue { channel.close(promise: nil) }
    }

    /// - Parameter always: begins it also while all are ended, and cancels it then: it has to look after its connection.
    /// - Returns: whether it was begun.
    @discardableResult
    func serve(on executor: LoopExecutor, always: Bool, _ body: @escaping @Sendable () async -> Void) -> Bool {
        state.withLock { state in
            guard always || !state.isEnding else { return false }
            let number = state.number
            state.number += 1
            let task = Task(executorPreference: executor) {
                await body()
                self.state.withLock { $0.tasks[number] = nil }
            }
            state.tasks[number] = task
            if state.isEnding { task.cancel() }
            return true
        }
    }

    /// Cancels what is served; returns when the last one is through, and all are closed.
    func end() async {
        while case let tasks = ending(), !tasks.isEmpty {
            for task in tasks { task.cancel() }
            for task in tasks { await task.value }
        }
        let idle = state.withLock { $0.open.values.map(\.channel) }
        for channel in idle { try? await channel.close().get() }
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

/// How long a connection may go on without a word: from its beginning, or from its last answer, to the end of a request.
final class Patience: Sendable {
    private let length: TimeAmount
    private let end: Atomic<UInt64>

    init(_ length: TimeAmount) {
        self.length = length
        end = Atomic((NIODeadline.now() + length).uptimeNanoseconds)
    }

    func begin(_ length: TimeAmount? = nil) {
        end.store((NIODeadline.now() + (length ?? self.length)).uptimeNanoseconds, ordering: .relaxed)
    }
    /// For as long as it is the server that is waited for.
    func suspend() { end.store(.max, ordering: .relaxed) }
    func hasEnded(at now: NIODeadline) -> Bool { end.load(ordering: .relaxed) <= now.uptimeNanoseconds }
}
