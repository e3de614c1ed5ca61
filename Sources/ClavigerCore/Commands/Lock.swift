import Agent
import ArgumentParser

struct Lock: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Lock the agent's vault: its keys are wiped from memory.",
        discussion:
            "A refresh that a command has begun without the agent is finished and stored, and its token is not handed out.")

    @OptionGroup var finishing: FinishingOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await FinishingRefreshers.lock(waits: finishing.wait) {
            try await Session.ownAgent().lock()
            Terminal.note("locked")
        }
    }
}
