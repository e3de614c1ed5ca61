import AgentProtocol
import Credentials
import ArgumentParser

struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Take a credential out of the vault.",
        discussion: """
            Its key pair and tokens are forgotten here; at the server they stay valid. claviger revoke first, and delete \
            the key at the provider, to cut access off.
            """)

    @Argument(help: "The credential.")
    var name: String

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        try await naming(name) {
            try await Session(vaultOptions).withAgent { agent in
                // Also so that a wrong name is told before the question.
                let summary = try await agent.show(name)
                if !yes {
                    let question = "remove \(Problem.quoted(name)) with the key pair \(Terminal.plain(summary.clientID))?"
                    guard try Terminal.confirm(question, otherwise: .noTerminalToConfirm) else { throw Problem.nothingChanged }
                }
                try await agent.remove(name)
            }
        }
        Terminal.note("removed \(Problem.quoted(name)); the state before is in the vault's .previous until the next change")
    }
}
