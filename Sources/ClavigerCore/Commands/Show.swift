import ArgumentParser
import Credentials
import FoundationEssentials

struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show credentials without their secrets.")

    @Argument(help: "The credentials.")
    var names: [String]

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        let (session, now) = (Session(vaultOptions), Date.now)
        var isFirst = true
        try await Block.each(names) { name in
            let credential = try await naming(name) { try await session.withTokenAgent { try await $0.credential(name) } }
            // One is an object of its own, as it always was; several are lines of JSON that a reader takes one by one.
            if json { return try Terminal.output(Report.json(ListedReport(credential, now: now))) }
            let text = Self.text(credential, now)
            try Terminal.output(isFirst ? text : "\n" + text)
            isFirst = false
        }
    }

    private static func text(_ credential: ListedCredential, _ now: Date) -> String {
        switch credential {
        case .readable(let view): CredentialReport(view, now: now).text
        case .offered(let offered): OfferedReport(offered: offered, now: now).text
        case .unreadable(let name, let reason): Report.table([["name", Terminal.plain(name)], ["state", reason.rawValue]])
        }
    }
}
