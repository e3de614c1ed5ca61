import Access
import Credentials
import AgentProtocol
import ArgumentParser
import FoundationEssentials

struct PolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Show who may have tokens of which credential.", subcommands: [List.self],
        defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List the rules.")

        @Flag(help: "Print JSON.")
        var json = false

        @OptionGroup var vaultOptions: VaultOptions

        func run() throws {
            let rules = try Session(vaultOptions).policy().rules
            if json { return try Terminal.output(Report.json(rules.map(RuleDocument.init))) }
            if rules.isEmpty { return Terminal.note("no rules: only root and the agent's own user have tokens") }
            let rows = rules.map { [$0.credential, $0.subject.words, $0.scopes?.joined(separator: " ") ?? "", $0.lifeWords] }
            let plain = rows.map { $0.map(Terminal.plain) }
            try Terminal.output(Report.table([["CREDENTIAL", "WHO", "SCOPES", "LONGEST LIFE"]] + plain))
        }
    }
}

/// A rule in the form of `--json`.
private struct RuleDocument: Encodable {
    var credential: String
    var user: String?
    var uid: UInt32?
    var group: String?
    var gid: UInt32?
    var scopes: [String]?
    var maxTTL: Int?

    enum CodingKeys: String, CodingKey {
        case credential, user, uid, group, gid, scopes
        case maxTTL = "max_ttl"
    }

    init(_ rule: Rule) {
        credential = rule.credential
        scopes = rule.scopes
        maxTTL = rule.maxTTL
        switch rule.subject {
        case .user(let number, let name): (uid, user) = (number, name)
        case .group(let number, let name): (gid, group) = (number, name)
        }
    }
}
