import ArgumentParser
import Credentials
import FoundationEssentials

struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one credential without its secrets.")

    @Argument(help: "The credential.")
    var name: String

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        let summary = try await naming(name) { try await Session(vaultOptions).withTokenAgent { try await $0.show(name) } }
        let report = CredentialReport(summary, now: .now)
        try Terminal.output(json ? Report.json(report) : report.text)
    }
}
