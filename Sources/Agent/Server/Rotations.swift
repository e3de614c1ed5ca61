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

    /// Seconds for which a request waits for a rotation: a pipe has the new key pair at once, and a person has not.
    private static let patience = 2.0
    /// Seconds after the first refusal in which one may begin that nobody has told of yet: the provider may have ended the old pair
    /// before `rotate` has begun.
    private static let start = 1.0

    /// Waits for the end of a rotation, where there is one or is one in a moment.
    /// - Parameter refused: how long ago the server has refused the key pair first, in seconds.
    /// - Returns: whether one has ended meanwhile, so that another try has another key pair.
    func pass(_ name: String, refused: Double) async -> Bool {
        let clock = ContinuousClock()
        let (begin, step) = (clock.now, Duration.milliseconds(20))
        while since(name) == nil {
            guard refused >= 0, clock.now < begin + .seconds(Self.start - refused) else { return false }
            try? await clock.sleep(for: step)
        }
        let end = clock.now + .seconds(Self.patience)
        while clock.now < end {
            if since(name) == nil { return true }
            try? await clock.sleep(for: step)
        }
        return false
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
