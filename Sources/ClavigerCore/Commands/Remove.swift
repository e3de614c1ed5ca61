import AgentProtocol
import Credentials
import ArgumentParser
import OAuth

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

    @Flag(help: "End the client at its server first, for one that was added with --register.")
    var deregister = false

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
                try await agent.remove(name, deregister: deregister)
            }
        }
        Terminal.note("removed \(Problem.quoted(name)); the state before is in the vault's .previous until the next change")
    }

    /// A credential whose record can't be read may be removed, too.
    private func question(_ agent: any CredentialManager) async throws -> String {
        do {
            let view = try await agent.show(name)
            let end = deregister ? ", and end its client at \(view.registrationURL?.host ?? "its server")" : ""
            return "remove \(Problem.quoted(name)) with the key pair \(Terminal.plain(view.clientID))\(end)?"
        } catch {
            switch UnreadableRecord(error) {
            case .newer: return "remove \(Problem.quoted(name)), which a newer claviger has written?"
            case .damaged: return "remove \(Problem.quoted(name)), whose record is damaged?"
            case nil: throw error
            }
        }
    }
}
