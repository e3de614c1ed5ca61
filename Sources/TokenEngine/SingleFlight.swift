import Synchronization

/// Lets callers that want the same thing at the same time share one piece of work.
///
/// A caller that is cancelled stops waiting; the work and the other callers go on.
public final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct State {
        var flights: [Key: (number: Int, task: Task<Value, any Error>)] = [:]
        var launched = 0
    }

    private let state = Mutex(State())
    private let executor: (any TaskExecutor)?

    /// - Parameter executor: where the work runs, as a task does not inherit that; nil for wherever Swift runs tasks.
    public init(executor: (any TaskExecutor)? = nil) { self.executor = executor }

    /// - Parameter work: begun only if none is under way for this key.
    /// - Throws: what the work throws, or `CancellationError` for this caller alone.
    public func run(_ key: Key, _ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        let task = join(key, work)
        // The stream ends with the flight, or when this caller is cancelled.
        let (stream, continuation) = AsyncStream<Never>.makeStream()
        Task(executorPreference: executor) {
            _ = await task.result
            continuation.finish()
        }
        for await _ in stream {}
        try Task.checkCancellation()
        return try await task.value
    }

    /// Starts before the first suspension, so that nobody can start a second one meanwhile.
    private func join(_ key: Key, _ work: @escaping @Sendable () async throws -> Value) -> Task<Value, any Error> {
        state.withLock { state in
            if let flight = state.flights[key] { return flight.task }
            state.launched += 1
            let number = state.launched
            let task = Task(executorPreference: executor) {
                defer { self.land(key, number) }
                return try await work()
            }
            state.flights[key] = (number, task)
            return task
        }
    }

    private func land(_ key: Key, _ number: Int) {
        state.withLock { if $0.flights[key]?.number == number { $0.flights[key] = nil } }
    }
}
