import FoundationEssentials

/// What a look at all lines of a log has found.
public struct AuditReport: Equatable, Sendable {
    /// Something that is not as it was written, and that nobody has acknowledged.
    public enum Finding: Equatable, Sendable {
        /// The line of this number in this file is not what was written, or one before it is missing.
        case line(file: String, number: Int)
        /// What a writer has found before, and when.
        case recorded(AuditEvent.Break?, from: UInt64?, to: UInt64?, time: String?)
        /// The same, so many times, in files that are gone by now.
        case earlier(UInt64)
        /// The newest lines, which the vault vouches for.
        case missing(from: UInt64, to: UInt64)
        /// The oldest ones, which should be there.
        case files(from: UInt64, to: UInt64)
        /// The line that the vault vouches for is another.
        case sealedLine(UInt64)
        case seal
    }

    public var findings: [Finding]
    /// How many lines there are.
    public var lines: Int
    /// The numbers of the oldest and the newest of them.
    public var first: UInt64?
    public var last: UInt64?
    /// The line up to which the vault vouches for all.
    public var sealed: UInt64
    /// How many pieces of lines were cut off, as a power cut leaves them.
    public var torn: Int
    /// How many breaks somebody has acknowledged.
    public var acknowledged: Int

    public var isWhole: Bool { findings.isEmpty }

    public init(
        findings: [Finding] = [], lines: Int = 0, first: UInt64? = nil, last: UInt64? = nil, sealed: UInt64 = 0, torn: Int = 0,
        acknowledged: Int = 0
    ) {
        (self.findings, self.lines, self.first, self.last) = (findings, lines, first, last)
        (self.sealed, self.torn, self.acknowledged) = (sealed, torn, acknowledged)
    }
}

extension AuditLog {
    /// Reads all files, the oldest first, and checks every line.
    /// - Parameter sealed: what was sealed last, read before this call: what is written meanwhile is behind it.
    /// - Throws: `AuditError` if a file can't be read.
    public func verify(sealed: SealedHead) throws(AuditError) -> AuditReport {
        var reader = ChainReader(log: self, sealed: sealed)
        for file in AuditFiles.all(path) { try reader.read(file, isNewest: file == path) }
        return reader.finished()
    }
}

/// Goes through all lines of a log, in their order.
private struct ChainReader {
    let log: AuditLog
    let sealed: SealedHead
    private var report = AuditReport()
    private var head: AuditLog.Head?
    /// The last line that was written with the vault's key.
    private var ours: AuditLog.Head?
    /// The oldest line that should be kept, as the newest line that says so says.
    private var expected: UInt64?
    /// Something that is no line, and its length.
    private var piece: (finding: AuditReport.Finding, bytes: Int)?
    private var isSealedLineAnother = false

    init(log: AuditLog, sealed: SealedHead) { (self.log, self.sealed) = (log, sealed) }

    mutating func read(_ file: String, isNewest: Bool) throws(AuditError) {
        let (lines, rest) = try AuditFiles.pieces(file)
        for (index, line) in lines.enumerated() {
            let place = AuditReport.Finding.line(file: file, number: index + 1)
            if let parsed = AuditLine(line) { take(parsed, at: place) } else { set(aside: line, at: place) }
        }
        guard !rest.isEmpty else { return }
        // At the very end it is mended by the next line; elsewhere nothing can be behind it.
        if isNewest { report.torn += 1 } else { report.findings.append(.line(file: file, number: lines.count + 1)) }
    }

    private mutating func set(aside line: [UInt8], at place: AuditReport.Finding) {
        if let piece { report.findings.append(piece.finding) }
        piece = (place, line.count)
    }

    private mutating func take(_ line: AuditLine, at place: AuditReport.Finding) {
        if let piece {
            self.piece = nil
            let isCutOff = line.members.kind == .repaired && line.members.bytes == UInt64(piece.bytes)
            if isCutOff { report.torn += 1 } else { report.findings.append(piece.finding) }
        }
        if head == nil { begin(with: line) }
        let isBehindMissing = line.members.kind == .broken && line.members.previous != nil
        let follows = !isBehindMissing || line.members.from == (head?.sequence ?? 0) + 1
        // Behind a line that others have written, ours go on from our last one.
        if follows, log.isNext(line, after: head) || log.isNext(line, after: ours) {
            ours = line.head
        } else {
            report.findings.append(place)
        }
        report.lines += 1
        head = line.head
        if case .head(let known) = sealed, known.sequence == line.members.seq { isSealedLineAnother = known.mac != line.mac }
        if line.members.kind == .broken { record(line) }
        if line.members.kind == .acknowledged {
            report.acknowledged += report.findings.count
            report.findings = []
        }
        expected = line.members.first ?? expected
    }

    private mutating func begin(with line: AuditLine) {
        report.first = line.members.seq
        if let earlier = line.members.breaks, earlier > 0 { report.findings.append(.earlier(earlier)) }
    }

    private mutating func record(_ line: AuditLine) {
        let members = line.members
        report.findings.append(
            .recorded(
                members.outcome.flatMap(AuditEvent.Break.init), from: members.from, to: members.to, time: members.time))
    }

    consuming func finished() -> AuditReport {
        if let piece { report.findings.append(piece.finding) }
        report.last = head?.sequence
        if let expected, let first = report.first, expected < first {
            report.findings.insert(.files(from: expected, to: first - 1), at: 0)
        }
        guard case .head(let known) = sealed else {
            if sealed == .unreadable { report.findings.append(.seal) }
            return report
        }
        if known.lost == true { report.findings.append(.seal) }
        let last = head?.sequence ?? 0
        if known.sequence > last {
            report.findings.append(.missing(from: last + 1, to: known.sequence))
        } else if isSealedLineAnother {
            report.findings.append(.sealedLine(known.sequence))
        }
        report.sealed = min(known.sequence, last)
        return report
    }
}
