import AgentProtocol
import Dispatch
import Glibc
import Linux
import Synchronization
import TokenEngine

/// The command's end of the socket pair: sends requests, and gives each answer to whoever waits for it.
final class RefresherConnection: Sendable {
    private struct State {
        var next: UInt32 = 1
        var waiting: [UInt32: CheckedContinuation<ServiceResponse.Result, any Error>] = [:]
        var isReady = false
        var hasEnded = false
    }

    private let socket: MessageSocket
    private let state = Mutex(State())
    private static let ready: UInt32 = 0

    init(_ file: File) {
        socket = MessageSocket(file)
        DispatchQueue(label: "claviger refresher").async { self.read() }
    }

    private func read() {
        while let response = socket.receive(ServiceResponse.self) {
            let waiter = state.withLock { state in
                if response.number == Self.ready { state.isReady = true }
                return state.waiting.removeValue(forKey: response.number)
            }
            waiter?.resume(returning: response.result)
        }
        let left = state.withLock { state in
            defer { (state.waiting, state.hasEnded) = ([:], true) }
            return state.waiting.values
        }
        for waiter in left { waiter.resume(throwing: Problem.refresherEnded) }
    }

    /// Waits until the refresher has made sure that nobody can look into it. Nothing has been sent before.
    /// - Throws: a problem if it ends instead.
    func waitUntilReady() async throws {
        guard case .ready = try await answer(to: Self.ready, send: {}) else { throw Problem.refresherNotStarted }
    }

    /// - Throws: the error that the refresher ran into.
    func ask(_ operation: ServiceRequest.Operation) async throws -> ServiceResponse.Result {
        let number = state.withLock { state in
            defer { state.next += 1 }
            return state.next
        }
        let result = try await answer(to: number) {
            try self.socket.send(ServiceRequest(number: number, operation: operation))
        }
        if case .failure(let failure) = result { throw failure.error }
        return result
    }

    private func answer(
        to number: UInt32, send: @Sendable () throws -> Void
    ) async throws -> ServiceResponse.Result {
        try await withCheckedThrowingContinuation { continuation in
            enum Now { case ready, ended, later }
            let now = state.withLock { state -> Now in
                if number == Self.ready, state.isReady { return .ready }
                if state.hasEnded { return .ended }
                state.waiting[number] = continuation
                return .later
            }
            switch now {
            case .ready: continuation.resume(returning: .ready)
            case .ended: continuation.resume(throwing: number == Self.ready ? Problem.refresherNotStarted : .refresherEnded)
            case .later:
                do {
                    try send()
                } catch {
                    let waiter = state.withLock { $0.waiting.removeValue(forKey: number) }
                    waiter?.resume(throwing: Problem.refresherEnded)
                }
            }
        }
    }

    /// Lets the refresher end when its work is done.
    /// - Parameter waits: whether to come back only when it has ended.
    func finish(waits: Bool) {
        socket.finish()
        while waits, !state.withLock({ $0.hasEnded }) { usleep(1000) }
    }
}
