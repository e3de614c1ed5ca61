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
        let credential = try await naming(name) {
            try await Session(vaultOptions).withTokenAgent { try await $0.credential(name) }
        }
        if json { return try Terminal.output(Report.json(ListedReport(credential, now: .now))) }
        switch credential {
        case .readable(let view): try Terminal.output(CredentialReport(view, now: .now).text)
        case .offered(let offered): try Terminal.output(OfferedReport(offered: offered, now: .now).text)
        case .unreadable(let name, let reason):
            try Terminal.output(Report.table([["name", Terminal.plain(name)], ["state", reason.rawValue]]))
        }
    }
}
