import Agent
import ArgumentParser

struct Lock: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lock the agent's vault: its keys are wiped from memory.")

    func run() async throws {
        try await Session.agent().lock()
        Terminal.note("locked")
    }
}
