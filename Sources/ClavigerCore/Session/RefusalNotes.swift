import Glibc
import Linux
import Synchronization

/// Says on the standard error of `exec` who was refused by its proxy: each user once, and not more than a few, for they are others
/// who decide how often they come.
///
/// The proxy lets go of its streams when the command begins, and keeps a copy of this one until the command ends.
final class RefusalNotes: Sendable {
    private struct State {
        var users: Set<UInt32?> = []
        var errors: Int32
    }

    private static let limit = 8
    private let state: Mutex<State>

    init(errors: Int32 = STDERR_FILENO) {
        state = Mutex(State(errors: fcntl(errors, F_DUPFD_CLOEXEC, 3)))
    }

    deinit { close() }

    /// - Parameter user: nil if it can't be told who it was.
    func add(_ user: UInt32?) {
        state.withLock { state in
            guard state.users.count < Self.limit, state.users.insert(user).inserted, Self.isWritable(state.errors) else { return }
            let name = user.map { "the user \(Account.name(of: $0))" } ?? "somebody whose user can't be told"
            let hint = user.map { "; if it is one of yours: --proxy-user \(Account.name(of: $0))" } ?? ""
            let line = "claviger: \(name) has tried to use the proxy's address, and was refused\(hint)\n"
            try? Terminal.write(Array(line.utf8), to: state.errors)
        }
    }

    /// Whoever waits for the end of standard error has it now.
    func close() {
        state.withLock { state in
            if state.errors >= 0 { Glibc.close(state.errors) }
            state.errors = -1
        }
    }

    /// Whether a line can be written at once: the proxy must not wait for somebody who reads a pipe.
    private static func isWritable(_ descriptor: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard descriptor >= 0, unsafe poll(&entry, 1, 0) == 1 else { return false }
        return entry.revents == Int16(POLLOUT)
    }
}
