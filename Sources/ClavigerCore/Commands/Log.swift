import Access
import AgentProtocol
import Credentials
import ArgumentParser
import FoundationEssentials
import OAuth

struct Log: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Show who had tokens and who changed what, or check that nothing of it was changed.")

    @Flag(help: "Check the chain of all lines against the vault, which needs its key.")
    var verify = false

    @Flag(help: "Print the lines as they are: JSON.")
    var json = false

    @Option(help: ArgumentHelp("Only what is not older: 2h, 7d, or a time such as 2026-11-21T10:00:00Z.", valueName: "time"))
    var since: String?

    @OptionGroup var vaultOptions: VaultOptions

    func run() throws {
        let path = try Session(vaultOptions).auditLogPath()
        if verify { return try check(path) }
        let start = try since.map(Self.start)
        for file in AuditFiles.all(path) {
            for line in try AuditFiles.lines(file) {
                guard let event = AuditEvent(line: line) else { continue }
                if let start, event.time < start { continue }
                try Terminal.output(json ? String(decoding: line, as: UTF8.self) : Self.text(event))
            }
        }
    }

    private func check(_ path: String) throws {
        let vault = try Session(vaultOptions).unlock()
        do {
            let found = try AuditLog(vault: vault, path: path).verify(against: vault)
            Terminal.note(
                "the log is whole: \(found.lines) lines, of which the first \(found.sealed) are vouched for by the vault")
        } catch AuditChainError.brokenChain(let file, let line) {
            throw Problem(
                "line \(line) of \(Terminal.plain(file)) is not what was written, or one before it is missing",
                hint: "somebody, or a disk, has changed the log", .damaged)
        } catch AuditChainError.truncated(let has, let sealed) {
            throw Problem(
                "the log ends at line \(has), and the vault knows of \(sealed)", hint: "somebody has taken its last lines away",
                .damaged)
        }
    }

    private static func start(_ text: String) throws -> Date {
        if let span = DurationArgument(argument: text) { return Date().addingTimeInterval(-span.seconds) }
        guard let date = try? Date(text, strategy: .iso8601) else {
            throw Problem("--since takes a length of time such as 2h, or a time such as 2026-11-21T10:00:00Z", .usage)
        }
        return date
    }

    private static func text(_ event: AuditEvent) -> String {
        var words = [Report.time(event.time), event.event.rawValue]
        if let name = event.credential { words.append(name) }
        words += [event.outcome, "uid \(event.uid)", "pid \(event.pid)"]
        if let exe = event.exe { words.append(exe) }
        if let token = event.token { words.append("token \(token)") }
        if let reason = event.reason { words.append("“\(reason)”") }
        return Terminal.plain(words.joined(separator: "  "))
    }
}
