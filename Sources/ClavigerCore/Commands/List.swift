import ArgumentParser
import FoundationEssentials

struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the credentials and their states.")

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        let all = try await Session(vaultOptions).withTokenAgent { try await $0.list() }
        let now = Date()
        let reports = all.map { CredentialReport($0, now: now) }
        if json { return try Terminal.output(Report.json(reports)) }
        guard !all.isEmpty else { return Terminal.note("the vault is empty; claviger add stores a credential") }
        let rows = reports.map { report in
            let server = report.summary.provider ?? report.summary.settings.tokenURL.host
            return [
                Terminal.plain(report.summary.name), Terminal.plain(server), report.readiness.rawValue, report.keyPairAge,
                report.tokenWords,
            ]
        }
        try Terminal.output(Report.table([["NAME", "PROVIDER", "STATE", "KEY PAIR AGE", "TOKEN"]] + rows))
    }
}
