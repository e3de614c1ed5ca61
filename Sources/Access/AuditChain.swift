import FoundationEssentials

/// What is wrong with a log.
public enum AuditChainError: Error, Equatable, Sendable {
    /// The line of this number in this file is not what was written, or one before it is missing.
    case brokenChain(file: String, line: Int)
    /// The chain was longer than it is now when it was sealed into the vault.
    case truncated(has: UInt64, sealed: UInt64)
}

extension AuditLog {
    /// Reads all files, the oldest first, and checks every line.
    /// - Parameter sealed: the head that was sealed last, read before this call: what is written meanwhile is behind it.
    /// - Returns: how many lines there are, and how many of them the sealed head vouches for.
    /// - Throws: `AuditChainError`, or `AuditError.system` if a file can't be read.
    public func verify(sealed: Head) throws -> (lines: Int, sealed: UInt64) {
        var head: Head?
        var lines = 0
        var vouched = sealed.sequence == 0
        for file in AuditFiles.all(path) {
            for (number, line) in try AuditFiles.lines(file).enumerated() {
                guard let parsed = ParsedLine(line) else { throw AuditChainError.brokenChain(file: file, line: number + 1) }
                // The oldest file that is kept begins where one ended that is not kept any more.
                let before = head ?? Head(sequence: parsed.sequence - 1, mac: parsed.previous ?? Head.none.mac)
                guard parsed.sequence == before.sequence + 1, mac(parsed.body, after: before.mac) == parsed.mac else {
                    throw AuditChainError.brokenChain(file: file, line: number + 1)
                }
                head = Head(sequence: parsed.sequence, mac: parsed.mac)
                if head == sealed { vouched = true }
                lines += 1
            }
        }
        guard vouched else { throw AuditChainError.truncated(has: head?.sequence ?? 0, sealed: sealed.sequence) }
        return (lines, sealed.sequence)
    }
}

/// A line as it was read, without its end.
struct ParsedLine {
    /// What the MAC covers.
    let body: [UInt8]
    let sequence: UInt64
    let mac: String
    let previous: String?

    init?(_ line: [UInt8]) {
        let marker = Array(#","mac":""#.utf8)
        let tail = marker.count + 64 + 2
        guard line.count > tail, line.suffix(2) == Array("\"}".utf8)[...] else { return nil }
        let start = line.count - tail
        guard line[start..<(start + marker.count)] == marker[...] else { return nil }
        body = Array(line[..<start]) + [UInt8(ascii: "}")]
        mac = String(decoding: line[(start + marker.count)..<(line.count - 2)], as: UTF8.self)
        struct Numbers: Decodable {
            var seq: UInt64
            var previous: String?
        }
        guard let numbers = try? JSONDecoder().decode(Numbers.self, from: Data(body)), numbers.seq > 0 else { return nil }
        (sequence, previous) = (numbers.seq, numbers.previous)
    }
}
