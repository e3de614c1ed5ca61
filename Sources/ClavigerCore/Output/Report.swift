import Agent
import AgentProtocol
import Credentials
import FoundationEssentials

/// How results are written: JSON, tables, times.
enum Report {
    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// RFC 3339, in UTC, whole seconds.
    static func time(_ date: Date) -> String {
        UTCTime.text(date.wholeSeconds)
    }

    /// `3d 4h`, `59m 30s`: the two largest units.
    static func duration(_ seconds: Double) -> String {
        var left = max(0, Int(seconds))
        var parts: [String] = []
        for (unit, size) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
            let count = left / size
            left -= count * size
            if count > 0 || !parts.isEmpty { parts.append("\(count)\(unit)") }
            if parts.count == 2 { break }
        }
        return parts.isEmpty ? "0s" : parts.joined(separator: " ")
    }

    /// A time, and how long ago that was.
    static func age(_ date: Date, now: Date) -> String {
        "\(time(date)) (\(duration(now.timeIntervalSince(date))) ago)"
    }

    /// How a credential stands, and since when it is blocked, if it is.
    static func state(_ state: CredentialState, blockedSince: Date?) -> String {
        state.rawValue + (state == .blocked ? blockedSince.map { " since \(time($0))" } ?? "" : "")
    }

    /// How long a token lives.
    /// - Parameter expires: nil where there is no token; nil inside where nobody knows its end.
    static func life(_ expires: Date??, now: Date) -> String {
        guard let expires else { return "none yet" }
        guard let expires else { return "valid until refused" }
        return expires > now ? "\(duration(expires.timeIntervalSince(now))) left" : "expired"
    }

    /// Columns, each as wide as its widest cell.
    static func table(_ rows: [[String]]) -> String {
        let columns = rows.first?.count ?? 0
        let widths = (0..<columns).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: max(0, $1 - $0.count)) }
            return String(cells.joined(separator: "  ").reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}
