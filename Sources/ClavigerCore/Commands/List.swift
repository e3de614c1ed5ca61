import ArgumentParser
import FoundationEssentials

struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the credentials and their states.")

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        let all = try await Session(vaultOptions).withTokenAgent { try await $0.list() }
        let now = Date()
        if json { return try Terminal.output(Report.json(all.map { Report.Credential($0, now: now) })) }
        guard !all.isEmpty else { return Terminal.note("the vault is empty; claviger add stores a credential") }
        let rows = all.map { summary in
            [
                Terminal.plain(summary.name), Terminal.plain(summary.provider ?? summary.settings.tokenURL.host),
                Report.state(summary).rawValue,
                Report.duration(now.timeIntervalSince(summary.keyPairSince)), Report.tokenState(summary, now: now),
            ]
        }
        try Terminal.output(Report.table([["NAME", "PROVIDER", "STATE", "KEY PAIR AGE", "TOKEN"]] + rows))
    }
}
