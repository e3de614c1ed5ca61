import AgentProtocol
import ArgumentParser
import Credentials
import OAuth

struct Logout: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logout",
        abstract: "End a login at the server, and forget it with its tokens.",
        discussion: """
            The refresh token and the tokens are revoked where the server has a way to (RFC 7009), and forgotten here; the key \
            pair stays, and claviger login begins anew. What lives on is said, with a status that is not 0.
            """)

    @Argument(help: "The credentials.")
    var names: [String]

    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        try await Session(vaultOptions).withAgent { agent in
            try await Block.each(names) { name in
                let view = try await agent.show(name)
                guard view.settings.grant.needsLogin else {
                    throw Problem(
                        "\(view.settings.grant.option) needs no login",
                        hint: "claviger revoke ends its tokens, claviger remove takes it out of the vault", .usage)
                }
                guard view.loggedInSince != nil || !view.tokens.isEmpty else {
                    return Terminal.note("nobody is logged in to \(Problem.quoted(name))")
                }
                let outcome = await RevocationOutcome.revoking(name, .readable(view), agent, try? ProviderFiles.catalogue())
                Terminal.note("\(Problem.quoted(name)): \(outcome.words)")
                if let problem = outcome.problem { throw problem }
            }
        }
    }
}
