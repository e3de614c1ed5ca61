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
                let question = try await question(agent)
                if !yes {
                    guard try Terminal.confirm(question, otherwise: .noTerminalToConfirm) else { throw Problem.nothingChanged }
                }
                try await agent.remove(name)
            }
        }
        Terminal.note("removed \(Problem.quoted(name)); the state before is in the vault's .previous until the next change")
    }

    /// A credential whose record can't be read may be removed, too.
    private func question(_ agent: any CredentialManager) async throws -> String {
        do {
            let keyPair = Terminal.plain(try await agent.show(name).clientID)
            return "remove \(Problem.quoted(name)) with the key pair \(keyPair)?"
        } catch {
            switch UnreadableRecord(error) {
            case .newer: return "remove \(Problem.quoted(name)), which a newer claviger has written?"
            case .damaged: return "remove \(Problem.quoted(name)), whose record is damaged?"
            case nil: throw error
            }
        }
    }
}
