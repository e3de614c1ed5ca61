import Access
import Credentials
import AgentProtocol
import ArgumentParser
import FoundationEssentials
import Vault

struct PolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Show who may have tokens of which credential.",
        subcommands: [List.self, Explain.self, Allow.self, Deny.self],
        defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List the rules.")

        @Flag(help: "Print JSON.")
        var json = false

        @OptionGroup var vaultOptions: VaultOptions

        func run() throws {
            let rules = try Session(vaultOptions).policy().rules
            let accounts = Accounts()
            accounts.lookNow(for: rules.map(\.subject))
            let standings = rules.map { accounts.standing(of: $0.subject) }
            if json { return try Terminal.output(Report.json(zip(rules, standings).map(RuleDocument.init))) }
            if rules.isEmpty { return Terminal.note("no rules: only root and the agent's own user have tokens") }
            let isPlain = standings.allSatisfy { $0 == .current }
            let rows = zip(rules, standings).map { rule, standing in
                let row = [rule.credential, rule.subject.words, rule.scopes?.joined(separator: " ") ?? "", rule.lifeWords]
                return (row + (isPlain ? [] : [standing.words])).map(Terminal.plain)
            }
            let head = ["CREDENTIAL", "WHO", "SCOPES", "LONGEST LIFE"] + (isPlain ? [] : ["NOW"])
            try Terminal.output(Report.table([head] + rows))
            if !isPlain {
                Terminal.note("rules that give nothing are taken away with claviger deny --user or --group, also by number")
            }
        }
    }
}

extension PolicyCommand {
    struct Explain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "explain", abstract: "Say what a user may have of a credential, and by which rule.")

        @Argument(help: "The credential.")
        var name: String

        @Option(help: ArgumentHelp("The user, by name or number.", valueName: "user"))
        var user: String

        @Option(help: ArgumentHelp("A scope that the user would ask for; may be repeated.", valueName: "scope"))
        var scope: [String] = []

        @Flag(help: "Print JSON.")
        var json = false

        @OptionGroup var vaultOptions: VaultOptions

        func run() throws {
            let session = Session(vaultOptions)
            let vault = try session.unlock()
            _ = try vault.record(name)
            let caller = try SubjectInput.caller(user)
            let scopes = try scope.flatMap(SettingInput.scopes)
            // The agent runs as the user who owns the vault.
            let isOwner = caller.uid == 0 || caller.uid == vault.owner?.0
            let (all, accounts) = (try session.policy(of: vault), Accounts())
            accounts.lookNow(for: all.rules.map(\.subject))
            let policy = all.current(by: accounts)
            let rule = Authorizer(rulesOnly: caller, under: policy).rule(for: name, scopes: scopes)
            let answer = PolicyAnswer(isOwner: isOwner, rule: rule, scopes: scopes)
            try Terminal.output(json ? Report.json(answer.document) : answer.words(user, name))
        }
    }
}

/// What a user may have, and why.
private struct PolicyAnswer {
    let isOwner: Bool
    let rule: Rule?
    let scopes: [String]

    struct Document: Encodable {
        var allowed: Bool
        var rule: RuleDocument?
    }

    var document: Document { Document(allowed: isOwner || rule != nil, rule: isOwner ? nil : rule.map { RuleDocument($0) }) }

    func words(_ user: String, _ name: String) -> String {
        let (user, name) = (Terminal.plain(user), Terminal.plain(name))
        if isOwner { return "no rule limits \(user), who is root or the agent's own user" }
        guard let rule else {
            let wanted = scopes.isEmpty ? "" : " with the scopes \(Terminal.plain(scopes.joined(separator: " ")))"
            return "no rule lets \(user) have tokens of \(name)\(wanted)"
        }
        let life = rule.maxTTL.map { _ in ", that live for \(rule.lifeWords) at most" } ?? ""
        return "\(user) may have tokens of \(name)\(life), by the rule for \(Terminal.plain(rule.subject.words))"
            + (rule.scopes.map { "; scopes: \(Terminal.plain($0.joined(separator: " ")))" } ?? "; scopes: the credential's own")
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
    /// Why it gives nothing; left out of one that does give something.
    var standing: String?

    enum CodingKeys: String, CodingKey {
        case credential, user, uid, group, gid, scopes
        case standing = "gives_nothing"
        case maxTTL = "max_ttl"
    }

    init(_ rule: Rule, _ standing: Accounts.Standing = .current) {
        self.standing = standing == .current ? nil : standing.words
        credential = rule.credential
        scopes = rule.scopes
        maxTTL = rule.maxTTL
        switch rule.subject {
        case .user(let number, let name): (uid, user) = (number, name)
        case .group(let number, let name): (gid, group) = (number, name)
        }
    }
}
