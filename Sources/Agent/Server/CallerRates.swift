import FoundationEssentials
import Synchronization

/// How often another user's processes may ask. Each answer is a line in the log: without a limit, one caller could fill it
/// with its own until nobody else's are kept.
final class CallerRates: Sendable {
    /// Requests that may come at once, and requests a second after that; for all processes of one user.
    static let burst = 2000.0
    static let rate = 100.0

    enum Verdict: Equatable { case allowed, firstRefusal, refused }

    private struct Bucket {
        var left: Double
        var at: Date
        var isEmpty = false
    }

    private let buckets = Mutex<[UInt32: Bucket]>([:])

    func ask(_ uid: UInt32, at now: Date) -> Verdict {
        buckets.withLock { buckets in
            var bucket = buckets[uid] ?? Bucket(left: Self.burst, at: now)
            defer { buckets[uid] = bucket }
            // A clock that was set back gives nothing, and takes nothing.
            bucket.left = min(Self.burst, bucket.left + max(0, now.timeIntervalSince(bucket.at)) * Self.rate)
            bucket.at = now
            if bucket.left >= 1 {
                bucket.left -= 1
                // Said once for each flood, not once for each drop.
                if bucket.left > Self.rate { bucket.isEmpty = false }
                return .allowed
            }
            defer { bucket.isEmpty = true }
            return bucket.isEmpty ? .refused : .firstRefusal
        }
    }
}
