import NIOCore
import Synchronization

/// Until when a connection may go on without a word: from its beginning, or from its last answer, to the end of the next
/// request. Set on the connection's thread, and looked at by another.
final class IdleDeadline: Sendable {
    private let length: TimeAmount
    private let end: Atomic<UInt64>

    init(_ length: TimeAmount) {
        self.length = length
        end = Atomic((NIODeadline.now() + length).uptimeNanoseconds)
    }

    /// - Parameter length: from now on; nil for the usual one.
    func restart(_ length: TimeAmount? = nil) {
        end.store((NIODeadline.now() + (length ?? self.length)).uptimeNanoseconds, ordering: .relaxed)
    }

    /// For as long as the client waits for the server.
    func suspend() { end.store(.max, ordering: .relaxed) }

    func hasPassed(at now: NIODeadline) -> Bool { end.load(ordering: .relaxed) <= now.uptimeNanoseconds }
}
