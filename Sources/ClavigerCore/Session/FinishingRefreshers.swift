import Agent
import AgentProtocol
import Linux

/// What becomes of the refreshers of this user when the agent is locked or ended: they finish what they have begun, and hand
/// out nothing.
enum FinishingRefreshers {
    /// Ends the handing out, then does `body` with the agent, and then names those that are still at work, also where there is
    /// no agent.
    /// - Parameter waits: whether to come back only after their end.
    /// - Throws: what `body` throws.
    static func lock(waits: Bool, _ body: () async throws -> Void) async throws {
        let register = Locations.socket.map { RefresherRegister(beside: Path.folder(of: $0)) }
        var failure: (any Error)?
        do {
            try register?.endHandingOut()
        } catch {
            failure = Problem.system("\(error.operation) \(Terminal.plain(error.path))", error.code)
        }
        do {
            try await body()
        } catch {
            failure = error
        }
        if let register { await name(register, waits: waits) }
        if let failure { throw failure }
    }

    private static func name(_ register: RefresherRegister, waits: Bool) async {
        let refreshers = register.atWork()
        for refresher in refreshers {
            Terminal.note(
                "process \(refresher.pid) still finishes a refresh of \(Terminal.plain(refresher.vault)); its tokens are not handed out"
            )
        }
        // Others may begin meanwhile, with a key of their own.
        while waits, register.atWork().contains(where: refreshers.contains) {
            try? await Task.sleep(for: .milliseconds(50))
        }
    }
}
