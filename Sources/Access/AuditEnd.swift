import FoundationEssentials
import Glibc
import Linux
import Synchronization

/// What the vault vouches for.
public enum SealedHead: Equatable, Sendable {
    /// No line yet.
    case none
    case head(AuditLog.Head)
    /// It has vouched for lines, and what it says of them can't be read.
    case unreadable
}

/// Where the next line goes.
struct AuditEnd {
    var head: AuditLog.Head
    /// The file's, in bytes.
    var size: UInt64
    /// Whether a piece of a line stands there that was cut off.
    var isTorn = false
    /// What has to be said before anything else is: what has happened to the log.
    var notices: [AuditEvent] = []
}

extension AuditLog {
    /// Looks at the log as somebody who knows nothing of it but what the vault vouches for.
    func examineEnd(of file: borrowing AuditFile) throws(AuditError) -> AuditEnd {
        let size = try file.size()
        var tail = try tail(of: file.file, size)
        var notices: [AuditEvent] = []
        if tail.head == nil {
            // A new file, or one in which nothing is ours.
            let before = try? File.open(path + ".1", followsLinks: false)
            let head = try before.flatMap { file throws(AuditError) in
                try self.tail(of: file, AuditError.onDisk(file.status()).size).head
            }
            tail.head = head
            if size == 0, let head {
                var first = notice(.rotated, "done")
                first.previous = head.mac
                first.first = oldest
                first.breaks = try openBreaks(in: path + ".1")
                notices.append(first)
            }
        }
        var end = AuditEnd(head: tail.head ?? .none, size: size, isTorn: tail.torn > 0, notices: notices)
        if let found = try difference(from: sealed(), at: &end) {
            end.notices.append(found)
        } else if tail.hasStrangers {
            end.notices.append(broken(.changed, from: end.head.sequence + 1))
        } else if tail.torn > 0 {
            var repaired = notice(.repaired, "done")
            repaired.bytes = tail.torn
            end.notices.append(repaired)
        }
        return end
    }

    /// Whether what the vault vouches for lies in the chain that ends here.
    /// - Parameter end: goes on behind the vault's last line where the log has lost lines before it.
    /// - Returns: what is to be written of it; nil if all is well.
    private func difference(from sealed: SealedHead?, at end: inout AuditEnd) throws(AuditError) -> AuditEvent? {
        guard case .head(let known) = sealed else { return sealed == .unreadable ? broken(.seal) : nil }
        if known.lost == true, !hasNoted(lossBefore: known) {
            notedLoss.withLock { $0 = known }
            return broken(.seal, to: known.sequence)
        }
        guard known.sequence > end.head.sequence else {
            let found = known.sequence == end.head.sequence ? end.head : try head(ofLine: known.sequence)
            // One that has gone with the oldest file is no more to be found.
            guard let found, found.mac != known.mac else { return nil }
            return broken(.changed, from: known.sequence, to: known.sequence)
        }
        var missing = broken(.missing, from: end.head.sequence + 1, to: known.sequence)
        missing.previous = known.mac
        // A file that goes on from lines that are gone begins with this line.
        end.notices = []
        end.head = known
        return missing
    }

    func notice(_ kind: AuditEvent.Kind, _ outcome: String) -> AuditEvent {
        AuditEvent(time: Date(), event: kind, credential: nil, outcome: outcome, uid: getuid(), pid: getpid(), exe: nil)
    }

    func broken(_ kind: AuditEvent.Break, from: UInt64? = nil, to: UInt64? = nil) -> AuditEvent {
        var event = notice(.broken, kind.rawValue)
        (event.from, event.to) = (from, to)
        return event
    }

    // MARK: Reading back

    private struct Tail {
        /// The last line that was written with the vault's key.
        var head: Head?
        /// Whether there are lines behind it that were not.
        var hasStrangers: Bool
        /// How many bytes stand behind the last line's end.
        var torn: UInt64
    }

    /// The end of a file: as much of it as it takes, however long its lines are.
    private func tail(of file: File, _ size: UInt64) throws(AuditError) -> Tail {
        var window: UInt64 = 1 << 14
        while true {
            let start = size > window ? size - window : 0
            let bytes = try AuditError.onDisk(file.read(Int(size - start), at: start))
            if let tail = tail(bytes, isWhole: start == 0) { return tail }
            window *= 4
        }
    }

    /// - Returns: nil if it takes more than these bytes to tell.
    private func tail(_ bytes: [UInt8], isWhole: Bool) -> Tail? {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let torn = UInt64(lines.popLast()?.count ?? 0)
        // The first is the end of one that began before.
        if !isWhole, !lines.isEmpty { lines.removeFirst() }
        for index in lines.indices.reversed() {
            guard let line = AuditLine(Array(lines[index])) else { continue }
            let before = lines[..<index].lazy.reversed().compactMap { AuditLine(Array($0)) }.first
            if isNext(line, after: before?.head) {
                return Tail(head: line.head, hasStrangers: index < lines.count - 1, torn: torn)
            }
            if before == nil, !isWhole { return nil }
        }
        return isWhole ? Tail(head: nil, hasStrangers: !lines.isEmpty, torn: torn) : nil
    }
}
