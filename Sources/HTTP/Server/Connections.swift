import NIOCore
import Synchronization

/// The open connections of a server, and the tasks that work for them.
final class Connections: Sendable {
    fileprivate struct Entry {
        let channel: any Channel
        let deadline: IdleDeadline
        /// Whose it is, where that is another user than the server's own and root.
        var other: UInt32?
    }

    fileprivate struct State {
        var open: [ObjectIdentifier: Entry] = [:]
        /// How many connections each of the other users has.
        var others: [UInt32: Int] = [:]
        var tasks: [UInt64: Task<Void, Never>] = [:]
        var number: UInt64 = 0
        var isEnding = false
    }

    private let state = Mutex(State())

    /// Counts a connection until it is closed.
    /// - Returns: false if it is one too many.
    func admit(_ channel: any Channel, _ deadline: IdleDeadline, atMost limit: Int) -> Bool {
        let isAdmitted = state.withLock { state in
            state.open[ObjectIdentifier(channel)] = Entry(channel: channel, deadline: deadline)
            return state.open.count <= limit && !state.isEnding
        }
        channel.closeFuture.whenComplete { _ in self.state.withLock { $0.close(ObjectIdentifier(channel)) } }
        return isAdmitted
    }

    /// Says whose an admitted connection is. The server's own user and root are not counted: others must never be able to keep
    /// them out.
    /// - Returns: false if it is one too many of that user's, or of all others'.
    func attribute(_ channel: any Channel, to peer: ConnectionPeer, _ limits: HTTPServer.Limits) -> Bool {
        guard let uid = peer.uid, !peer.isOwner else { return true }
        return state.withLock { state in
            let id = ObjectIdentifier(channel)
            // It may be closed by now.
            guard state.open[id] != nil else { return false }
            state.open[id]?.other = uid
            state.others[uid, default: 0] += 1
            return state.others[uid, default: 0] <= limits.connectionsOfUser
                && state.others.values.reduce(0, +) <= limits.connectionsOfOthers
        }
    }

    /// Closes the connections whose deadline has passed.
    func closeOverdue() {
        let now = NIODeadline.now()
        let overdue = state.withLock { $0.open.values.filter { $0.deadline.hasPassed(at: now) }.map(\.channel) }
        for channel in overdue { channel.close(promise: nil) }
    }

    /// - Parameter always: begins the task also while the server ends, and cancels it at once: it has to look after its
    ///   connection.
    /// - Returns: whether the task was begun.
    @discardableResult
    func serve(always: Bool = false, _ body: @escaping @Sendable () async -> Void) -> Bool {
        state.withLock { state in
            guard always || !state.isEnding else { return false }
            let number = state.number
            state.number += 1
            let task = Task {
                await body()
                self.state.withLock { $0.tasks[number] = nil }
            }
            state.tasks[number] = task
            if state.isEnding { task.cancel() }
            return true
        }
    }

    /// Cancels the tasks; returns when the last one is through, and all connections are closed.
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

extension Connections.State {
    fileprivate mutating func close(_ id: ObjectIdentifier) {
        guard let uid = open.removeValue(forKey: id)?.other, let count = others[uid] else { return }
        others[uid] = count > 1 ? count - 1 : nil
    }
}
