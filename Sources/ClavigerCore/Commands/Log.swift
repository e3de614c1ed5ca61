import Access
import AgentProtocol
import ArgumentParser
import Credentials
import FoundationEssentials
import Linux
import OAuth

struct Log: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Show who had tokens and who changed what, or check that nothing of it was changed.")

    @Flag(help: "Check the chain of all lines against the vault, which needs its key.")
    var verify = false

    @Flag(help: "Put on record that somebody has looked into all breaks that --verify shows.")
    var acknowledge = false

    @Flag(help: "Print the lines as they are: JSON.")
    var json = false

    @Option(help: ArgumentHelp("Only what is not older: 2h, 7d, or a time such as 2026-11-21T10:00:00Z.", valueName: "time"))
    var since: String?

    @OptionGroup var filter: LogFilter

    @Option(help: ArgumentHelp("With --acknowledge: what was found.", valueName: "text"))
    var reason: String?

    @OptionGroup var vaultOptions: VaultOptions

    func validate() throws {
        if verify, acknowledge { throw ValidationError("--acknowledge shows what --verify shows; give one of them") }
        if verify || acknowledge, json || since != nil || !filter.isEmpty {
            throw ValidationError("--json, --since and what else chooses lines are for showing them, not for checking them")
        }
        if reason != nil, !acknowledge { throw ValidationError("--reason goes with --acknowledge") }
    }

    func run() throws {
        if acknowledge { return try acknowledgeBreaks() }
        if MachineVault.serves(Session(vaultOptions)) { throw Problem.machineVaultIsKept }
        let path = try Session(vaultOptions).auditLogPath()
        if verify { return try check(path) }
        let start = try since.map(Self.start)
        let isWanted = try filter.matcher(Session(vaultOptions))
        var names: [UInt32: String?] = [:]
        var (unreadable, found, oldest): (Int, Int, Date?) = (0, 0, nil)
        for file in AuditFiles.all(path) {
            for line in try AuditFiles.lines(file) {
                guard let event = AuditEvent(line: line) else {
                    unreadable += 1
                    continue
                }
                oldest = oldest ?? event.time
                if let start, event.time < start { continue }
                guard isWanted(event) else { continue }
                found += 1
                if json {
                    try Terminal.output(AuditEvent.printable(line: line))
                } else {
                    let user = names[event.uid] ?? Account.knownName(of: event.uid)
                    names[event.uid] = .some(user)
                    try Terminal.output(LogWords.line(event, user: user))
                }
            }
        }
        if unreadable > 0 {
            Terminal.note("\(unreadable) lines can't be read and are not shown: see claviger log --verify")
        }
        // Whoever asks for one token or one user wants to know, not to see nothing.
        if found == 0, !filter.isEmpty {
            throw Problem(
                "no line of the log is about that", hint: oldest.map { "it goes back to \(Report.time($0))" }, .checkFailed)
        }
    }

    private func check(_ path: String) throws {
        let vault = try Session(vaultOptions).unlock()
        let report = try AuditLog(vault: vault, path: path).verify(against: vault)
        report.findings.forEach { Terminal.note(LogWords.finding($0)) }
        guard report.isWhole else {
            throw Problem(
                "the log is not as it was written (\(LogWords.count(report.findings.count, "finding")))",
                hint: "look into it, then put that on record with claviger log --acknowledge", .damaged)
        }
        LogWords.whole(report).forEach(Terminal.note)
    }

    private func acknowledgeBreaks() throws {
        let vault = try Session(vaultOptions).unlock()
        let log = AuditLog(vault: vault, path: try Session(vaultOptions).auditLogPath())
        let report = try log.verify(against: vault)
        guard !report.isWhole else { return Terminal.note("the log is whole: there is nothing to acknowledge") }
        report.findings.forEach { Terminal.note(LogWords.finding($0)) }
        try log.acknowledge(by: .own, reason: reason, at: Date())
        try log.seal(in: vault)
        Terminal.note("acknowledged, with a line in the log")
    }

    private static func start(_ text: String) throws -> Date {
        if let span = DurationArgument(argument: text) { return Date().addingTimeInterval(-span.seconds) }
        guard let date = try? Date(text, strategy: .iso8601) else {
            throw Problem("--since takes a length of time such as 2h, or a time such as 2026-11-21T10:00:00Z", .usage)
        }
        return date
    }
}
