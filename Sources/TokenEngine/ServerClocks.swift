import FoundationEssentials
import HTTPTypes
import OAuth
import Synchronization

/// How far the clocks of servers are from ours, as their answers date themselves (RFC 9110 section 6.6.1). Nothing that
/// is stored depends on it; but an assertion that is dated by a wrong clock is refused.
final class ServerClocks: Sendable {
    /// Less than this is the network's delay and the whole seconds of the header.
    static let tolerance = 30.0

    private let offsets = Mutex<[String: Double]>([:])

    /// Seconds to add to our time, to be about right at that host.
    func offset(_ host: String) -> Double {
        offsets.withLock { $0[host] ?? 0 }
    }

    /// - Returns: whether what we took the server's time for when we sent was wrong.
    func learn(from answer: EndpointAnswer, of host: String, at now: Date) -> Bool {
        guard let date = answer.headerFields[.date].flatMap(RetryAfter.date) else { return false }
        let seen = date.timeIntervalSince(now)
        return offsets.withLock { offsets in
            let known = offsets[host] ?? 0
            guard abs(seen - known) > Self.tolerance else { return false }
            offsets[host] = abs(seen) > Self.tolerance ? seen : 0
            return true
        }
    }
}
