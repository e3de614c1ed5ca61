import AgentProtocol
import ArgumentParser
import Credentials
import OAuth

/// What the argument parser says of a mistake, in claviger's words: what is wrong, and what would be right.
struct UsageWords {
    /// Of the command line, without the program's name.
    let words: [String]

    /// - Parameter message: the parser's, without its prefix.
    func problem(_ message: String) -> Problem {
        let own = CommonWords(words).own
        if let problem = unknownCommand(message) { return problem }
        if let problem = secretOption(own) { return problem }
        let line = message.split(separator: "\n").map { $0.trimmingPrefix { $0 == " " } }.joined(separator: " ")
        return Problem(choices(message) ?? Self.sentence(line), hint: .text("\(command) --help lists the options"), .usage)
    }

    /// Lower case at the start, and no full stop at the end.
    private static func sentence(_ line: String) -> String {
        let first = line.prefix(1).lowercased() + line.dropFirst()
        return first.hasSuffix(".") ? String(first.dropLast()) : first
    }

    // MARK: Commands

    /// The command and its subcommands, as far as they are known.
    private var path: [any ParsableCommand.Type] {
        var path: [any ParsableCommand.Type] = [Claviger.self]
        for word in CommonWords(words).own where !word.hasPrefix("-") {
            guard let next = path.last?.configuration.subcommands.first(where: { $0.isNamed(word) }) else { break }
            path.append(next)
        }
        return path
    }

    private var command: String { path.compactMap { $0.configuration.commandName }.joined(separator: " ") }

    private func unknownCommand(_ message: String) -> Problem? {
        let known = path
        guard let group = known.last, !group.configuration.subcommands.isEmpty,
            message.lowercased().contains("unexpected argument"),
            let word = CommonWords(words).own.filter({ !$0.hasPrefix("-") }).dropFirst(known.count - 1).first
        else { return nil }
        let names = group.configuration.subcommands.flatMap { [$0.configuration.commandName ?? ""] + $0.configuration.aliases }
        let close = CloseWords.among(names, to: word).map { "did you mean \(command) \($0)? " } ?? ""
        return Problem(
            "there is no command \(PlainText.quoted(known.count == 1 ? word : "\(command.dropFirst("claviger ".count)) \(word)"))",
            hint: .text("\(close)\(known.count == 1 ? "claviger help" : "\(command) --help") lists the commands"), .usage)
    }

    // MARK: Options

    /// Options that people try, and that would put a secret where every process of the machine can read it.
    private static let secretOptions = [
        "--secret": "--secret-file", "--client-secret": "--secret-file", "--password": "--password-file",
        "--refresh-token": "--refresh-token-file", "--private-key": "--private-key-file",
        "--rejected-token": "--rejected-token-file", "--initial-access-token": "--initial-access-token-file",
    ]

    private func secretOption(_ own: [String]) -> Problem? {
        if own.contains(where: { $0 == "--passphrase" || $0.hasPrefix("--passphrase=") }) {
            return Problem(
                "a secret never stands on the command line, where every user of this machine can read it",
                hint: "use $CLAVIGER_PASSPHRASE_FILE or $CLAVIGER_PASSPHRASE_COMMAND, or type it when it is asked for", .usage)
        }
        let names = own.map { String($0.prefix { $0 != "=" }) }
        guard let right = names.lazy.compactMap({ Self.secretOptions[$0] }).first else { return nil }
        return Problem(
            "a secret never stands on the command line, where every user of this machine can read it",
            hint: .text("use \(right) FILE, or a pipe and \(right) -; or type it when it is asked for"), .usage)
    }

    private static let times: Set = [
        "--min-ttl", "--wait", "--timeout", "--ttl", "--idle", "--max-ttl", "--token-lifetime", "--login-idle",
        "--login-lifetime",
    ]
    private static let kinds = [
        "--params-in": ParameterPlacement.allCases.map(\.rawValue).joined(separator: ", "),
        "--method": RequestMethod.allCases.map(\.rawValue).joined(separator: ", "),
        "--sink": "NAME=/PATH, with ,format=FORMAT and ,owner=USER behind it",
    ]

    /// `The value 'x' is invalid for '--y <y>'. Please provide one of the following:`, and a line for each.
    private func choices(_ message: String) -> String? {
        guard let match = message.firstMatch(of: /[Tt]he value '(.*)' is invalid for '([^ ']*)[^']*'\.?/) else { return nil }
        var all = message.split(separator: "\n").compactMap { line -> Substring? in
            let line = line.trimmingPrefix { $0 == " " }
            return line.hasPrefix("- ") ? line.dropFirst(2) : nil
        }
        // Three and fewer stand in one line.
        if all.isEmpty, let list = message.firstRange(of: "one of ") {
            all = message[list.upperBound...].matches(of: /'([^']*)'/).map(\.output.1)
        }
        let value = String(match.output.1)
        let option = match.output.2.hasPrefix("<") ? command : String(match.output.2)
        guard !all.isEmpty else {
            let kind = Self.times.contains(option) ? "a length of time such as 90, 90s, 30m, 8h or 7d" : Self.kinds[option]
            return kind.map { "\(option) takes \($0), not \(PlainText.quoted(value))" }
                ?? "\(PlainText.quoted(value)) is no value for \(option)"
        }
        let close = CloseWords.among(all.map(String.init), to: value).map { "; did you mean \($0)?" } ?? ""
        return "\(option) takes \(all.joined(separator: ", ")), not \(PlainText.quoted(value))\(close)"
    }
}

extension ParsableCommand {
    static func isNamed(_ word: String) -> Bool {
        configuration.commandName == word || configuration.aliases.contains(word)
    }
}

/// Words that are nearly the same.
enum CloseWords {
    /// The one that a mistyped word may stand for, if there is one.
    static func among(_ words: [String], to typed: String) -> String? {
        let plain = bare(typed)
        guard !plain.isEmpty else { return nil }
        if let same = words.first(where: { bare($0) == plain }) { return same }
        if plain.count > 2, let longer = words.first(where: { bare($0).starts(with: plain) }) { return longer }
        let limit = plain.count < 4 ? 1 : 2
        let near = words.map { ($0, distance(bare($0), plain)) }.min { $0.1 < $1.1 }
        return near.flatMap { $0.1 <= limit ? $0.0 : nil }
    }

    /// Letters and digits alone, in lower case.
    private static func bare(_ word: String) -> [UInt8] {
        word.lowercased().utf8.filter { (48...57).contains($0) || (97...122).contains($0) }
    }

    /// How many bytes must be inserted, left out, replaced or swapped with the next (Damerau and Levenshtein, without overlaps).
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var rows = [Array(0...b.count)]
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var best = min(rows[i][j] + (a[i] == b[j] ? 0 : 1), rows[i][j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, rows[i - 1][j - 1] + 1) }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
