import Access
import FoundationEssentials

/// The log in words for people.
enum LogWords {
    // MARK: Lines

    /// One event: its columns are two spaces apart, and none can have two spaces, or a quotation mark that ends it, in it.
    /// - Parameter user: what the event's user is called now; nil for one without a name.
    static func line(_ event: AuditEvent, user: String?) -> String {
        var words = [Report.time(event.time), event.event.rawValue]
        if let name = event.credential { words.append(quoted(name)) }
        let outcome = event.outcome + (event.problem.map { ": " + $0 } ?? "")
        let who = "uid \(event.uid)" + (user.map { " " + quoted($0) } ?? "")
        words += [bare(outcome), who, bare("pid \(event.pid)")]
        if let exe = event.exe { words.append(quoted(exe)) }
        if let token = event.token { words.append("token \(bare(token))") }
        if let reason = event.reason { words.append("reason \(quoted(reason, always: true))") }
        if let lines = range(event.from, event.to) { words.append(lines) }
        return words.joined(separator: "  ")
    }

    /// What callers choose, as it is or between quotation marks, with what does not print as `\u{...}`.
    static func quoted(_ text: String, always: Bool = false) -> String {
        let isPlain =
            !text.isEmpty
            && text.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || "-_./@:+".utf8.contains(byte)
            }
        if isPlain, !always { return text }
        let content = text.unicodeScalars.map { scalar in
            switch scalar {
            case "\"", "\\": "\\\(scalar)"
            case _ where AuditEvent.isPrinted(scalar): String(scalar)
            default: "\\u{\(String(scalar.value, radix: 16))}"
            }
        }
        return "\"\(content.joined())\""
    }

    /// What claviger chose when it wrote the line; a line that others wrote may have anything there.
    private static func bare(_ text: String) -> String {
        text.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != 0x22 } && !text.contains("  ") ? text : quoted(text)
    }

    private static func range(_ from: UInt64?, _ to: UInt64?) -> String? {
        switch (from, to) {
        case (let from?, let to?): from == to ? "line \(from)" : "lines \(from) to \(to)"
        case (let from?, nil): "from line \(from) on"
        default: nil
        }
    }

    static func count(_ number: Int, _ what: String) -> String { number == 1 ? "one \(what)" : "\(number) \(what)s" }

    // MARK: What a check says

    static func whole(_ report: AuditReport) -> [String] {
        guard let first = report.first, let last = report.last else { return ["the log is whole: it has no lines yet"] }
        var words = ["the log is whole: \(count(report.lines, "line")), number \(first) to \(last)"]
        let newer = last > report.sealed ? Int(clamping: last - max(report.sealed, first - 1)) : 0
        words.append(
            newer == 0
                ? "the vault vouches for all of them"
                : "the vault vouches for those up to \(report.sealed); that none of the \(count(newer, "newer line")) was taken "
                    + "away behind them can't be told before the vault's next change")
        if report.torn > 0 { words.append("\(count(report.torn, "line")) cut off, as a power cut leaves them") }
        if report.acknowledged > 0 { words.append("\(count(report.acknowledged, "break")) acknowledged") }
        return words
    }

    static func finding(_ finding: AuditReport.Finding) -> String {
        switch finding {
        case .line(let file, let number):
            "line \(number) of \(quoted(file)) is not what was written, or one before it is missing"
        case .missing(let from, let to): missing(from, to)
        case .files(let from, let to): "the older files with lines \(from) to \(to) are gone"
        case .sealedLine(let number): "line \(number) is not the one that the vault vouches for"
        case .seal: "what the vault vouched for could not be read"
        case .earlier(let number): "earlier breaks, in files that are gone by now: \(number)"
        case .recorded(let kind, let from, let to, let time):
            (time.map { "\(bare($0)): " } ?? "") + recorded(kind, from, to)
        }
    }

    private static func missing(_ from: UInt64, _ to: UInt64) -> String {
        (range(from, to) ?? "lines")
            + (from == to ? " is" : " are")
            + " gone; they were on the disk before the vault vouched for them, so that a power cut has not taken them: somebody"
            + " has, or the files come from an older copy"
    }

    private static func recorded(_ kind: AuditEvent.Break?, _ from: UInt64?, _ to: UInt64?) -> String {
        switch kind {
        case .missing: missing(from ?? 0, to ?? 0)
        case .changed: "there were lines that claviger had not written, \(range(from, to) ?? "at its end")"
        case .files: "older files were gone, with \(range(from, to) ?? "their lines")"
        case .seal: "what the vault vouched for could not be read"
        case nil: "a break that this version has no words for"
        }
    }
}
