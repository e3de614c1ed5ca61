import ArgumentParser
import Credentials
import FoundationEssentials

struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the credentials and their states.",
        aliases: ["ls"])

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        let all = try await Session(vaultOptions).withTokenAgent { try await $0.list() }
        let now = Date()
        let listed = all.map { ListedReport($0, now: now) }
        if json {
            try Terminal.output(Report.json(listed))
        } else if all.isEmpty {
            ListedReport.noteNone(Session(vaultOptions))
        } else {
            let rows = listed.map { credential in
                [
                    Terminal.plain(credential.name), Terminal.plain(credential.server), credential.state, credential.keyPairAge,
                    credential.token,
                ]
            }
            try Terminal.output(Report.table([["NAME", "PROVIDER", "STATE", "KEY PAIR AGE", "TOKEN"]] + rows))
        }
        try ListedReport.refuseDamaged(all)
    }
}
