import FoundationEssentials
import Linux

/// Single lines of the log, found without reading all of it.
extension AuditLog {
    /// Where the chain stands at a line, by what the line says.
    /// - Returns: nil if there is no such line.
    func head(ofLine sequence: UInt64) throws(AuditError) -> Head? {
        for path in AuditFiles.all(path).reversed() {
            guard let file = try? File.open(path, followsLinks: false) else { continue }
            let size = try AuditError.onDisk(file.status()).size
            guard let first = try line(of: file, from: 0, below: size)?.line, first.members.seq <= sequence else { continue }
            return try find(sequence, in: file, size)?.head
        }
        return nil
    }

    /// The number of the oldest line that is kept.
    var oldest: UInt64? {
        for path in AuditFiles.all(path) {
            if let number = firstLine(of: path)?.members.seq { return number }
        }
        return nil
    }

    /// Older files that are gone although they should be there, as a line of the log says it.
    func missingFiles() -> AuditEvent? {
        guard let newest = firstLine(of: path), let oldest else { return nil }
        let expected = newest.members.seq == 1 ? 1 : newest.members.first
        guard let expected, expected < oldest else { return nil }
        return broken(.files, from: expected, to: oldest - 1)
    }

    /// How many breaks nobody has acknowledged, up to the end of a file.
    func openBreaks(in path: String) throws(AuditError) -> UInt64? {
        let file = try AuditError.onDisk(File.open(path, followsLinks: false))
        var count = firstLine(of: path)?.members.breaks ?? 0
        for place in try places(of: [#""event":"broken""#, #""event":"acknowledged""#], in: file) {
            guard let (found, before) = try line(of: file, around: place), isNext(found, after: before?.head) else { continue }
            count = found.members.kind == .broken ? count + 1 : 0
        }
        return count > 0 ? count : nil
    }

    /// Where words stand in a file. All of it is looked through while callers wait for the next one, and only lines with these
    /// words are read.
    private func places(of words: [String], in file: File) throws(AuditError) -> [UInt64] {
        let (words, step) = (words.map { Array($0.utf8) }, 1 << 20)
        let overlap = words.map(\.count).max() ?? 0
        var places: Set<UInt64> = []
        var offset: UInt64 = 0
        while case let bytes = try AuditError.onDisk(file.read(step + overlap, at: offset)), !bytes.isEmpty {
            for word in words { places.formUnion(Bytes.places(of: word, in: bytes).map { offset + UInt64($0) }) }
            offset += UInt64(step)
        }
        return places.sorted()
    }

    /// The line that a byte is in, and the one before it; nil for a piece at the file's end, and for what is no line.
    private func line(of file: File, around place: UInt64) throws(AuditError) -> (line: AuditLine, before: AuditLine?)? {
        let isEnd = { (byte: UInt8) in byte == UInt8(ascii: "\n") }
        var margin: UInt64 = 1 << 14
        while true {
            let start = place > margin ? place - margin : 0
            let bytes = try AuditError.onDisk(file.read(Int(place - start + margin), at: start))
            let index = Int(place - start)
            let isAtEnd = bytes.count < index + Int(margin)
            let end = bytes[index...].firstIndex(where: isEnd)
            let endBefore = bytes[..<index].lastIndex(where: isEnd)
            let endBeforeThat = endBefore.flatMap { bytes[..<$0].lastIndex(where: isEnd) }
            if (end != nil || isAtEnd) && (endBeforeThat != nil || start == 0) {
                guard let end, let line = AuditLine(Array(bytes[(endBefore.map { $0 + 1 } ?? 0)..<end])) else { return nil }
                return (line, endBefore.flatMap { AuditLine(Array(bytes[(endBeforeThat.map { $0 + 1 } ?? 0)..<$0])) })
            }
            margin *= 4
        }
    }

    private func firstLine(of path: String) -> AuditLine? {
        guard let file = try? File.open(path, followsLinks: false), let size = try? file.status().size else { return nil }
        return try? line(of: file, from: 0, below: size)?.line
    }

    /// By halves: the numbers rise from line to line.
    private func find(_ sequence: UInt64, in file: File, _ size: UInt64) throws(AuditError) -> AuditLine? {
        var (low, high): (UInt64, UInt64) = (0, size)
        while low < high {
            let middle = low + (high - low) / 2
            guard let found = try line(of: file, from: middle, below: high) else {
                high = middle
                continue
            }
            if found.line.members.seq == sequence { return found.line }
            if found.line.members.seq < sequence { low = found.end } else { high = middle }
        }
        return nil
    }

    /// The first line that can be read among those that begin in a range of bytes.
    /// - Returns: the line, and where the next one begins.
    private func line(of file: File, from low: UInt64, below high: UInt64) throws(AuditError) -> (line: AuditLine, end: UInt64)? {
        // A line begins behind the end of another.
        var start = low
        var isAtStart = low == 0
        if low > 0 { start -= 1 }
        var (buffer, offset): ([UInt8], UInt64) = ([], start)
        while true {
            let more = try AuditError.onDisk(file.read(1 << 13, at: offset + UInt64(buffer.count)))
            if more.isEmpty { return nil }
            buffer += more
            while let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                let next = offset + UInt64(end) + 1
                if isAtStart, let found = AuditLine(Array(buffer[..<end])) { return (found, next) }
                isAtStart = true
                if next >= high { return nil }
                buffer.removeFirst(end + 1)
                offset = next
            }
        }
    }
}
