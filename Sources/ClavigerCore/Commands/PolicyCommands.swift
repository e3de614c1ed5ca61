import Access
import AgentProtocol
import Agent
import ArgumentParser
import FoundationEssentials
import Glibc

/// Whom a rule is about.
struct SubjectOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A user, by name or number.", valueName: "user"))
    var user: String?

    @Option(help: ArgumentHelp("A group, by name or number.", valueName: "group"))
    var group: String?

    func validate() throws {
        if (user == nil) == (group == nil) { throw ValidationError("either --user or --group is needed") }
    }

    /// - Throws: a failure if there is no such user or group.
    func subject() throws -> Subject {
        if let user {
            if let number = UInt32(user) { return .user(id: number, name: user) }
            guard let entry = getpwnam(user) else { throw Problem("there is no user \(Problem.quoted(user))", .noSuchFile) }
            return .user(id: entry.pointee.pw_uid, name: user)
        }
        let group = group ?? ""
        if let number = UInt32(group) { return .group(id: number, name: group) }
        guard let entry = getgrnam(group) else { throw Problem("there is no group \(Problem.quoted(group))", .noSuchFile) }
        return .group(id: entry.pointee.gr_gid, name: group)
    }
}

struct Allow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a user or a group have tokens of a credential from the agent.",
        discussion: """
            Root and the agent's own user may have all; everybody else has what a rule allows. The rules lie inside the \
            vault, and the agent sees a change at once. A rule for the same user or group is replaced. See claviger-policy(5).
            """)

    @Argument(help: "The credential.")
    var name: String

    @Option(
        help: ArgumentHelp("A scope that may be asked for, instead of the credential's own; may be repeated.", valueName: "scope")
    )
    var scope: [String] = []

    @Option(
        name: .customLong("max-ttl"), help: ArgumentHelp("Hand out no token that lives longer, such as 1h.", valueName: "time"))
    var longestLife: Span?

    @OptionGroup var subject: SubjectOptions
    @OptionGroup var vaultOptions: VaultOptions

    func run() throws {
        let scopes = try scope.flatMap(SettingsOptions.scopes)
        let rule = Rule(
            credential: name, subject: try subject.subject(), scopes: scopes.isEmpty ? nil : scopes,
            maxTTL: longestLife.map { Int($0.seconds) })
        try Session(vaultOptions).withPolicy(.allow, name) { try $0.update(credential: name) { $0.allow(rule) } }
        Terminal.note("allowed: \(rule.words)")
    }
}

struct Deny: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Take back what claviger allow has given.")

    @Argument(help: "The credential.")
    var name: String

    @OptionGroup var subject: SubjectOptions
    @OptionGroup var vaultOptions: VaultOptions

    func run() throws {
        let subject = try subject.subject()
        try Session(vaultOptions).withPolicy(.deny, name) { policy in
            guard try policy.update({ $0.deny(name, subject) }) else {
                throw Problem("no rule allows that", hint: "claviger policy list shows the rules", .noSuchFile)
            }
        }
        Terminal.note("denied from now on; tokens that were handed out live on until they end or are revoked")
    }
}

struct PolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Show who may have tokens of which credential.", subcommands: [List.self],
        defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the rules.")

        @Flag(help: "Print JSON.")
        var json = false

        @OptionGroup var vaultOptions: VaultOptions

        func run() throws {
            let rules = try VaultPolicy(vault: Session(vaultOptions).unlock()).read().rules
            if json { return try Terminal.output(Report.json(rules.map(RuleDocument.init))) }
            if rules.isEmpty { return Terminal.note("no rules: only root and the agent's own user have tokens") }
            let rows = rules.map { [$0.credential, $0.subject.words, $0.scopes?.joined(separator: " ") ?? "", $0.lifeWords] }
            let plain = rows.map { $0.map(Terminal.plain) }
            try Terminal.output(Report.table([["CREDENTIAL", "WHO", "SCOPES", "LONGEST LIFE"]] + plain))
        }
    }
}

extension Session {
    /// Changes the policy, with a line in the log.
    fileprivate func withPolicy(_ kind: AuditEvent.Kind, _ name: String, _ body: (VaultPolicy) throws -> Void) throws {
        let vault = try unlock()
        let log = AuditLog(vault: vault, path: try auditLogPath())
        try log.record(kind, of: name, caller: .own) { try body(VaultPolicy(vault: vault)) }
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

extension Subject {
    fileprivate var words: String {
        switch self {
        case .user(let number, let name): "user \(name)" + (name == "\(number)" ? "" : " (\(number))")
        case .group(let number, let name): "group \(name)" + (name == "\(number)" ? "" : " (\(number))")
        }
    }
}

extension Rule {
    fileprivate var lifeWords: String { maxTTL.map { Report.duration(Double($0)) } ?? "" }

    fileprivate var words: String {
        let scopes = scopes.map { ", scopes \($0.joined(separator: " "))" } ?? ""
        return Terminal.plain("tokens of \(credential) for \(subject.words)\(scopes)")
    }
}
