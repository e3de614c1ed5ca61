import FoundationEssentials

/// A line as it was read, without its end.
struct AuditLine {
    /// What the MAC covers.
    let body: [UInt8]
    let mac: String
    let members: Members

    struct Members: Decodable {
        var seq: UInt64
        var event: String
        var previous: String?
        var first: UInt64?
        var breaks: UInt64?
        var from: UInt64?
        var to: UInt64?
        var bytes: UInt64?
        var outcome: String?
        var time: String?

        var kind: AuditEvent.Kind? { AuditEvent.Kind(rawValue: event) }
    }

    var head: AuditLog.Head { AuditLog.Head(sequence: members.seq, mac: mac) }

    init?(_ line: [UInt8]) {
        let marker = Array(#","mac":""#.utf8)
        let tail = marker.count + 64 + 2
        guard line.count > tail, line.suffix(2) == Array("\"}".utf8)[...] else { return nil }
        let start = line.count - tail
        guard line[start..<(start + marker.count)] == marker[...] else { return nil }
        body = Array(line[..<start]) + [UInt8(ascii: "}")]
        mac = String(decoding: line[(start + marker.count)..<(line.count - 2)], as: UTF8.self)
        // The last number there is leaves no room for the next.
        guard let members = try? JSONDecoder().decode(Members.self, from: Data(body)), (1..<UInt64.max).contains(members.seq)
        else { return nil }
        self.members = members
    }

    /// What the chain goes on from at this line.
    /// - Parameter before: the line before it that could be read; nil for the first that is kept.
    /// - Returns: nil if nothing can be before it.
    func base(after before: AuditLog.Head?) -> AuditLog.Head? {
        let jump = members.previous.map { AuditLog.Head(sequence: members.seq - 1, mac: $0) }
        switch members.kind {
        // Lines before it are gone.
        case .broken where jump != nil: return jump
        // The oldest file that is kept begins where one ended that is not kept any more.
        case .rotated where before == nil: return jump
        default: return before ?? (members.seq == 1 ? AuditLog.Head.none : nil)
        }
    }
}

extension AuditLog {
    /// Whether a line was written with the vault's key behind the one before it.
    func isNext(_ line: AuditLine, after before: Head?) -> Bool {
        guard let base = line.base(after: before), base.sequence == line.members.seq - 1 else { return false }
        return mac(line.body, after: base.mac) == line.mac
    }
}
