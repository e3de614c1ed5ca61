public import FoundationEssentials

/// The time of day, and waiting. Expiry is kept in wall-clock time: it must go on while a machine is suspended.
public protocol WallClock: Sendable {
    func now() -> Date
    /// - Throws: `CancellationError`.
    func sleep(seconds: Double) async throws
}

public struct SystemClock: WallClock {
    public init() {}
    public func now() -> Date { Date() }
    public func sleep(seconds: Double) async throws {
        try await Task.sleep(for: .seconds(seconds))
    }
}
