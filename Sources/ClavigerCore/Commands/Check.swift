import AgentProtocol
import Credentials
import ArgumentParser

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Prove that credentials still work.",
        discussion: """
            A key pair is proven by acquiring a token, which is not kept. A login's token is shown to the server where it \
            has an introspection endpoint (RFC 7662), and renewed where not. The exit status is 1 if any failed.
            """)

    @Argument(help: "The credentials.")
    var names: [String] = []

    @Flag(help: "Check every credential.")
    var all = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var vaultOptions: VaultOptions

    private struct Document: Encodable {
        var name: String
        var works: Bool
        var proof: String?
        var error: String?
        /// Why the record can't be read.
        var unreadable: UnreadableRecord?

        var word: String { works ? "works" : unreadable?.rawValue ?? "FAILS" }
    }

    func validate() throws {
        if names.isEmpty != all { throw ValidationError("name the credentials, or use --all") }
    }

    func run() async throws {
        let results = try await Session(vaultOptions).withAgent { agent in
            let names = all ? try await agent.list().map(\.name) : names
            return await Concurrently.run(names, "checked") { name in
                do {
                    return Document(name: name, works: true, proof: try await agent.check(name).rawValue)
                } catch {
                    return Document(
                        name: name, works: false, error: Problem(describing: error, of: name).title,
                        unreadable: UnreadableRecord(error))
                }
            }.map(\.result)
        }
        if json {
            try Terminal.output(Report.json(results))
        } else {
            let rows = results.map { [Terminal.plain($0.name), $0.word, $0.error ?? words($0.proof)] }
            if !rows.isEmpty { try Terminal.output(Report.table(rows)) }
        }
        let failed = results.count { !$0.works }
        if failed > 0 { throw Problem.someFailed(failed, of: results.count) }
    }

    private func words(_ proof: String?) -> String {
        switch proof {
        case CheckResult.active.rawValue: "the server says that the token is active"
        case CheckResult.kept.rawValue: "a token is stored; only its API can tell whether it takes it"
        default: "a token was acquired"
        }
    }
}
