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

    @Argument(help: "The credentials.")
    var names: [String]

    @Flag(help: "End the client at its server first, for one that was added with --register.")
    var deregister = false

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        try await Session(vaultOptions).withAgent { agent in
            try await Block.each(names) { name in
                let view = try? await agent.show(name)
                if !yes {
                    let question = try await question(agent, name)
                    guard try Terminal.confirm(question, otherwise: .noTerminalToConfirm) else { throw Problem.nothingChanged }
                }
                try await agent.remove(name, deregister: deregister)
                Terminal.note(
                    "removed \(Problem.quoted(name)); the state before is in the vault's .previous until the next change")
                if let view, !deregister { Terminal.note(Self.whatLivesOn(view)) }
            }
        }
    }

    private static func whatLivesOn(_ view: CredentialView) -> String {
        let page = view.provider.flatMap { try? ProviderFiles.named($0) }?.keysPage
        let place =
            page.map { "in \(Terminal.plain($0))" } ?? "at \(Terminal.plain(view.settings.tokenURL.host)), where it was made"
        return "its key pair lives on at the provider: end it \(place)"
    }

    /// A credential whose record can't be read may be removed, too.
    private func question(_ agent: any CredentialManager, _ name: String) async throws -> String {
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
