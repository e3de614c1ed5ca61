import AgentProtocol
import Credentials
import ArgumentParser

struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Revoke the tokens of a credential at the server, and forget them.",
        discussion: """
            Where the server has no revocation endpoint (RFC 7009), the tokens are forgotten here, and it is said until \
            when they stay valid. The key pair stays: claviger remove takes it out of the vault.
            """)

    @Argument(help: "The credential.")
    var name: String?

    @Flag(help: "Revoke the tokens of every credential: for the day on which something leaked.")
    var all = false

    @Flag(help: "Print what was done as JSON.")
    var json = false

    @OptionGroup var vaultOptions: VaultOptions

    private struct Document: Encodable {
        var name: String
        var revoked = 0
        var forgotten = 0
        var endedLogin = false
        var forgotLogin = false
        var kept = 0
        /// Of the tokens that had been replaced before.
        var replaced: Replaced?
        var keptLogin = false
        var validUntil: String?
        var error: String?

        enum CodingKeys: String, CodingKey {
            case name, revoked, forgotten, kept, replaced, error
            case keptLogin = "kept_login"
            case endedLogin = "ended_login"
            case forgotLogin = "forgot_login"
            case validUntil = "valid_until"
        }

        init(_ name: String, _ report: RevocationReport) {
            self.name = name
            (revoked, forgotten, kept) = (report.tokens.revoked, report.tokens.forgotten, report.tokens.kept)
            replaced = Replaced(report.replaced)
            (endedLogin, forgotLogin) = (report.endedLogin, report.forgotLogin)
            keptLogin = report.keptLogin
            validUntil = report.validUntil.map(Report.time)
            error = report.failure.map { Problem(describing: $0, of: name).title }
        }

        init(_ name: String, _ problem: Problem) {
            self.name = name
            error = problem.title
        }
    }

    private struct Replaced: Encodable {
        var revoked: Int
        var forgotten: Int
        var kept: Int

        /// Nil where there were none.
        init?(_ counts: RevocationReport.Counts) {
            guard counts != RevocationReport.Counts() else { return nil }
            (revoked, forgotten, kept) = (counts.revoked, counts.forgotten, counts.kept)
        }
    }

    func validate() throws {
        if (name == nil) != all { throw ValidationError("name a credential, or use --all") }
    }

    func run() async throws {
        guard let name else { return try await revokeAll() }
        let report = try await naming(name) { try await Session(vaultOptions).withAgent { try await $0.revoke(name) } }
        if json { try Terminal.output(Report.json(Document(name, report))) } else { Terminal.note(words(report)) }
        if let failure = report.failure { throw Problem(describing: failure, of: name) }
    }

    /// All at once; what could not be revoked is reported, and stays stored for another try.
    private func revokeAll() async throws {
        let results = try await Session(vaultOptions).withAgent { agent in
            let names = try await agent.list().map(\.name)
            return await Concurrently.run(names, "revoked") { name -> Result<RevocationReport, Problem> in
                do {
                    return .success(try await agent.revoke(name))
                } catch {
                    return .failure(Problem(describing: error, of: name))
                }
            }
        }
        if json {
            try Terminal.output(
                Report.json(
                    results.map { name, result in
                        switch result {
                        case .success(let report): Document(name, report)
                        case .failure(let failure): Document(name, failure)
                        }
                    }))
        } else if !results.isEmpty {
            try Terminal.output(
                Report.table(
                    results.map { name, result in
                        switch result {
                        case .success(let report):
                            report.failure.map {
                                [Terminal.plain(name), "FAILED", Problem(describing: $0, of: name).title + "; " + words(report)]
                            } ?? [Terminal.plain(name), "done", words(report)]
                        case .failure(let failure): [Terminal.plain(name), "FAILED", failure.title]
                        }
                    }))
        }
        let failed = results.count { if case .success(let report) = $0.result { report.failure != nil } else { true } }
        if failed > 0 { throw Problem.someFailed(failed, of: results.count) }
    }

    private func words(_ report: RevocationReport) -> String {
        if report == RevocationReport() { return "there was no valid token to revoke" }
        var parts: [String] = []
        if report.endedLogin { parts.append("ended the login at the server") }
        if report.forgotLogin { parts.append("forgot the login, which only the provider's own pages can end") }
        let until =
            report.neverEnds
            ? "for as long as the server likes" : report.validUntil.map { "until \(Report.time($0))" } ?? "for a while"
        if report.keptLogin { parts.append("the server did not end the login, which is kept for another try") }
        func tell(_ count: KeyPath<RevocationReport.Counts, Int>, _ words: (String) -> String) {
            let (tokens, replaced) = (report.tokens[keyPath: count], report.replaced[keyPath: count])
            if tokens > 0 { parts.append(words("\(tokens) token\(tokens == 1 ? "" : "s")")) }
            if replaced > 0 { parts.append(words("\(replaced) that had been replaced before")) }
        }
        tell(\.revoked) { "revoked \($0) at the server" }
        tell(\.kept) {
            "the server did not revoke \($0), kept for another try: whoever has a copy can use it \(until)"
        }
        tell(\.forgotten) {
            "forgot \($0), which the server has no way to revoke: whoever has a copy can use it \(until)"
        }
        return parts.joined(separator: "; ")
    }
}
