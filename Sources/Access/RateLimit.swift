public import FoundationEssentials
import Synchronization

/// How often each user's processes may ask. Each answer is a line in the log: without a limit, one user could fill it
/// until nobody else's lines are kept.
public final class RateLimit: Sendable {
    /// Requests that may come at once, and requests a second after that; for all processes of one user.
    static let burst = 2000.0
    static let rate = 100.0

    public enum Verdict: Equatable, Sendable {
        case allowed
        /// The first refusal of a flood, which is logged. The others are not: the flood would fill the log after all.
        case firstRefusal
        case refused
    }

    private struct Bucket {
        var left: Double
        var at: Date
        var isFlooded = false
    }

    private let buckets = Mutex<[UInt32: Bucket]>([:])

    public init() {}

    /// Counts one request of a caller. The owner's are not counted: who is locked out by them is the owner.
    public func charge(_ caller: Caller, at now: Date) -> Verdict {
        if caller.isOwner { return .allowed }
        return buckets.withLock { buckets in
            var bucket = buckets[caller.uid] ?? Bucket(left: Self.burst, at: now)
            defer { buckets[caller.uid] = bucket }
            // A clock that was set back gives nothing, and takes nothing.
            bucket.left = min(Self.burst, bucket.left + max(0, now.timeIntervalSince(bucket.at)) * Self.rate)
            bucket.at = now
            if bucket.left >= 1 {
                bucket.left -= 1
                if bucket.left > Self.rate { bucket.isFlooded = false }
                return .allowed
            }
            defer { bucket.isFlooded = true }
            return bucket.isFlooded ? .refused : .firstRefusal
        }
    }
}
