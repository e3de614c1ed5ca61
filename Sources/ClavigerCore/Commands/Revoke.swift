import AgentProtocol
import ArgumentParser
import Credentials
import OAuth

struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Revoke the tokens of a credential at the server, and forget them.",
        discussion: """
            Where the server has no revocation endpoint (RFC 7009), the tokens are forgotten here, and it is said until \
            when each stays valid; the exit status is not 0 then. The key pair stays, and buys new tokens: claviger block \
            hands out no more, claviger remove takes it out of the vault.
            """)

    @Argument(help: "The credentials.")
    var names: [String] = []

    @Flag(help: "Revoke the tokens of every credential: for the day on which something leaked.")
    var all = false

    @Flag(name: .shortAndLong, help: "With --all: do not ask.")
    var yes = false

    @Flag(help: "Print what was done as JSON.")
    var json = false

    @OptionGroup var vaultOptions: VaultOptions

    func validate() throws {
        if names.isEmpty != all { throw ValidationError("name the credentials, or use --all") }
    }

    func run() async throws {
        guard names.count == 1, let name = names.first else { return try await revokeMany() }
        let outcome = try await naming(name) {
            try await Session(vaultOptions).withAgent { agent in
                let credential = try await agent.credential(name)
                return await RevocationOutcome.revoking(name, credential, agent, try? ProviderFiles.catalogue())
            }
        }
        if json { try Terminal.output(Report.json(outcome)) } else { Terminal.note(outcome.words) }
        if let problem = outcome.problem { throw problem }
    }

    /// All at once; what could not be revoked is reported, and stays stored for another try.
    private func revokeMany() async throws {
        let outcomes = try await Session(vaultOptions).withAgent { agent in
            let known = try await agent.list()
            if all { try confirm(known.count) }
            let (catalogue, byName) = (try? ProviderFiles.catalogue(), Dictionary(known.map { ($0.name, $0) }) { $1 })
            return await Concurrently.run(all ? known.map(\.name) : names, "revoked") { name in
                await RevocationOutcome.revoking(name, byName[name], agent, catalogue)
            }.map(\.result)
        }
        if json {
            try Terminal.output(Report.json(outcomes))
        } else if !outcomes.isEmpty {
            try Terminal.output(Report.table(outcomes.map(\.row)))
        }
        let living = outcomes.count(where: \.livesOn)
        guard living > 0 else { return }
        throw Problem(
            "\(living) of \(outcomes.count) NOT REVOKED",
            hint: "claviger block NAME hands out no new tokens until the key pair is made anew, and claviger rotate stores it",
            .checkFailed)
    }

    private func confirm(_ count: Int) throws {
        if yes || count == 0 { return }
        let question = "revoke the tokens of \(count == 1 ? "the one credential" : "all \(count) credentials") in the vault?"
        guard try Terminal.confirm(question, otherwise: .noTerminalToConfirm) else { throw Problem.nothingChanged }
    }
}
