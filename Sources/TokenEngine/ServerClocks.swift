import FoundationEssentials
import Synchronization

/// How far the clocks of servers are from ours, as their answers date themselves (RFC 9110 section 6.6.1). Nothing that
/// is stored depends on it; but an assertion that is dated by a wrong clock is refused.
public final class ServerClocks: Sendable {
    public init() {}

    /// Less than this is the network's delay and the whole seconds of the header.
    static let tolerance = 30.0

    private let offsets = Mutex<[String: Double]>([:])

    /// Seconds to add to our time, to be about right at that host.
    func offset(_ host: String) -> Double {
        offsets.withLock { $0[host] ?? 0 }
    }

    /// Learns from a refusal of an assertion that we had dated. An answer that was accepted teaches nothing: our time was
    /// right enough, and a proxy's wrong `Date` would break what works.
    /// - Returns: whether another time than the one we took is worth a try. Where the server's own time was no better, that
    ///   is ours, uncorrected.
    func learn(fromRefusal date: Date?, of host: String, at now: Date) -> Bool {
        offsets.withLock { offsets in
            let known = offsets[host] ?? 0
            let seen = date.map { $0.timeIntervalSince(now) } ?? 0
            if abs(seen - known) > Self.tolerance {
                offsets[host] = abs(seen) > Self.tolerance ? seen : nil
                return true
            }
            guard known != 0 else { return false }
            offsets[host] = nil
            return true
        }
    }
}
