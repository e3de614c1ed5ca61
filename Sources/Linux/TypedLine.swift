import Glibc

/// A line as it is typed byte by byte, for a terminal that does not edit it: with the same keys to take back one character, a
/// word, or everything (termios(3)).
struct TypedLine {
    enum Step {
        case more, done, tooLong
        /// Nobody wants the answer any more.
        case givenUp
    }

    /// What terminals put around a text that is pasted, where the program before has asked for it (xterm, "Bracketed Paste
    /// Mode").
    private static let pasteMarkers = ["\u{1B}[200~", "\u{1B}[201~"].map { Array($0.utf8) }

    private let limit: Int
    private let keys: termios?
    private var isLiteral = false

    /// - Parameters:
    ///   - limit: how many bytes the line may have.
    ///   - keys: what the terminal's keys do; nil if it edits the line by itself.
    init(limit: Int, keys: termios?) {
        (self.limit, self.keys) = (limit, keys)
    }

    /// Takes one byte from the keyboard.
    /// - Parameter line: what is typed so far.
    mutating func take(_ byte: UInt8, _ line: inout [UInt8]) -> Step {
        if isLiteral {
            isLiteral = false
            return append(byte, &line)
        }
        if byte == 0x0A || byte == 0x0D { return .done }
        if byte == 0x08 || byte == 0x7F || isKey(VERASE, byte) {
            Self.removeLastCharacter(&line)
        } else if isKey(VWERASE, byte) {
            Self.removeLastWord(&line)
        } else if isKey(VKILL, byte) {
            Self.wipe(&line)
        } else if isKey(VLNEXT, byte) {
            isLiteral = true
        } else if isKey(VEOF, byte) {
            if line.isEmpty { return .done }
        } else {
            return append(byte, &line)
        }
        return .more
    }

    /// 0 is what a key is that there is none for (_POSIX_VDISABLE).
    private func isKey(_ index: Int32, _ byte: UInt8) -> Bool {
        guard let keys, byte != 0 else { return false }
        return unsafe withUnsafeBytes(of: keys.c_cc) { unsafe $0[Int(index)] } == byte
    }

    private func append(_ byte: UInt8, _ line: inout [UInt8]) -> Step {
        guard line.count < limit else { return .tooLong }
        line.append(byte)
        for marker in Self.pasteMarkers where byte == marker.last && line.suffix(marker.count).elementsEqual(marker) {
            for _ in marker { Self.removeLastByte(&line) }
        }
        return .more
    }

    /// Forgets all of it, and keeps its room.
    static func wipe(_ line: inout [UInt8]) {
        while !line.isEmpty { removeLastByte(&line) }
    }

    /// What is taken back may be part of a secret: it is overwritten.
    private static func removeLastByte(_ line: inout [UInt8]) {
        line[line.count - 1] = 0
        line.removeLast()
    }

    /// One character is one or more bytes of UTF-8.
    private static func removeLastCharacter(_ line: inout [UInt8]) {
        while let last = line.last {
            removeLastByte(&line)
            if last & 0xC0 != 0x80 { break }
        }
    }

    /// A word ends at a blank, as in a shell's line.
    private static func removeLastWord(_ line: inout [UInt8]) {
        while line.last == 0x20 { removeLastByte(&line) }
        while let last = line.last, last != 0x20 { removeLastByte(&line) }
    }
}
