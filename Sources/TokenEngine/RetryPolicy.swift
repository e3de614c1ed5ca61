/// Whether, and when, a request is sent once more. Pure; whoever sends reports how long each answer took.
///
/// At most `maximumSends` in all, and none begins later than `timeLimit` after the first one did.
struct RetryPolicy: Sendable {
    static let maximumSends = 4
    /// Seconds.
    static let timeLimit = 45.0
    static let firstWait = 0.5

    private(set) var sends = 1
    private var spent = 0.0

    /// Counts the time that an answer took, in seconds. A clock that was set back meanwhile takes nothing off.
    mutating func took(_ seconds: Double) { spent += max(0, seconds) }

    /// Exponential backoff with jitter, or as long as the server says.
    /// - Parameters:
    ///   - asked: seconds that the server asks for, or 0 for at once; nil for the usual.
    ///   - jitter: an even number in 0 ..< 1.
    /// - Returns: the seconds to wait before sending again; nil to give up.
    mutating func again(after asked: Double? = nil, jitter: Double) -> Double? {
        let wait = asked ?? Self.firstWait * Double(1 << (sends - 1)) * (0.5 + jitter / 2)
        guard sends < Self.maximumSends, spent + wait <= Self.timeLimit else { return nil }
        sends += 1
        spent += wait
        return wait
    }
}
