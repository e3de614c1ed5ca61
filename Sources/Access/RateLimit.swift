public import FoundationEssentials
import Synchronization

/// How much of the log each user's processes may fill. Each answer is a line in it: without a limit, one user could write until
/// nobody else's lines are kept.
///
/// The log keeps 144 MiB at least. All that others than the owner can write into it in an hour is less: the owner's lines of
/// the last hour are always there.
public final class RateLimit: Sendable {
    /// Bytes of the log: so many at once, and so many a second after that.
    struct Allowance {
        let burst: Int
        let rate: Int
    }

    /// For all processes of a user whom a rule names.
    static let user = Allowance(burst: 512 << 10, rate: 16 << 10)
    /// For all users together whom no rule names: whoever has many user ids has no more than others.
    static let strangers = Allowance(burst: 16 << 10, rate: 256)
    /// For all of these together.
    static let others = Allowance(burst: 4 << 20, rate: 32 << 10)

    public enum Verdict: Equatable, Sendable {
        case allowed
        /// The first refusal of a flood, which is logged. The others are not: the flood would fill the log after all.
        case firstRefusal
        case refused
    }

    private enum Account: Hashable {
        case user(UInt32)
        case strangers
        case others
    }

    private struct Bucket {
        var left: Double
        var at: Date
        var isFlooded = false
    }

    private let buckets = Mutex<[Account: Bucket]>([:])

    public init() {}

    /// Whether a caller may ask once more; what the answer's line costs is charged when it is known.
    /// - Parameter isNamed: whether any rule is for this caller.
    public func admit(_ caller: Caller, isNamed: Bool, at now: Date) -> Verdict {
        if caller.isOwner { return .allowed }
        return buckets.withLock { buckets in
            let own = Self.account(caller, isNamed)
            let accounts = [own, .others]
            for account in accounts { Self.fill(account, &buckets, at: now) }
            func have(_ share: (Allowance) -> Int) -> Bool {
                accounts.allSatisfy { account in buckets[account].map { $0.left > Double(share(Self.allowance(account))) } ?? true
                }
            }
            if have({ _ in 0 }) {
                // A trickle is no end of a flood; a second of silence is, of everybody's whose flood it was.
                if have({ $0.rate - 1 }) { buckets[own]?.isFlooded = false }
                return .allowed
            }
            defer { buckets[own]?.isFlooded = true }
            return buckets[own]?.isFlooded == true ? .refused : .firstRefusal
        }
    }

    /// Charges a caller for a line of the log. The owner's cost nothing: who is locked out by them is the owner.
    /// - Parameter bytes: the line's.
    public func charge(_ caller: Caller, isNamed: Bool, bytes: Int, at now: Date) {
        if caller.isOwner { return }
        buckets.withLock { buckets in
            for account in [Self.account(caller, isNamed), .others] {
                Self.fill(account, &buckets, at: now)
                buckets[account]?.left -= Double(bytes)
            }
        }
    }

    private static func account(_ caller: Caller, _ isNamed: Bool) -> Account {
        isNamed ? .user(caller.uid) : .strangers
    }

    /// A clock that was set back gives nothing, and takes nothing.
    private static func fill(_ account: Account, _ buckets: inout [Account: Bucket], at now: Date) {
        let allowance = allowance(account)
        var bucket = buckets[account] ?? Bucket(left: Double(allowance.burst), at: now)
        let gained = max(0, now.timeIntervalSince(bucket.at)) * Double(allowance.rate)
        bucket.left = min(Double(allowance.burst), bucket.left + gained)
        bucket.at = now
        buckets[account] = bucket
    }

    private static func allowance(_ account: Account) -> Allowance {
        switch account {
        case .user: user
        case .strangers: strangers
        case .others: others
        }
    }
}
