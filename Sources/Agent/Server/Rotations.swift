import Access
import FoundationEssentials
import Linux
import Synchronization

/// Credentials whose keeper is storing a new key pair at this moment: each for as long as the command lives that does it.
final class Rotations: Sendable {
    private struct Rotation {
        let process: File
        let since: Date
    }

    private let state = Mutex<[String: Rotation]>([:])

    /// - Throws: `FileError` where the caller's process can't be watched, as from another container.
    func begin(_ name: String, by caller: Caller, at now: Date) throws(FileError) {
        let process = try File.process(caller.pid)
        state.withLock { state in
            state = state.filter { !$0.value.process.isReadable }
            state[name] = Rotation(process: process, since: now)
        }
    }

    /// Since when a credential is being rotated; nil where it is not.
    func since(_ name: String) -> Date? {
        state.withLock { state in
            guard let rotation = state[name] else { return nil }
            if !rotation.process.isReadable { return rotation.since }
            state[name] = nil
            return nil
        }
    }
}
