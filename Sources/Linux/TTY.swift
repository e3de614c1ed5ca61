import Glibc

/// The terminal that a process was started from, whatever its standard streams are.
public struct TTY: ~Copyable {
    private let file: File

    /// Opens the controlling terminal (tty(4)).
    /// - Throws: with the code `ENXIO`, among others, if there is none.
    public init() throws(FileError) {
        try self.init(path: "/dev/tty")
    }

    init(path: String) throws(FileError) {
        file = try File.open(path, O_RDWR | O_NOCTTY, "open")
    }

    public func write(_ text: String) throws(FileError) {
        try file.write(Array(text.utf8))
    }

    /// One line of at most `limit` bytes, shown as it is typed, and without its end.
    /// - Returns: nil if it is longer; the rest of it is still to be read.
    public func readLine(limit: Int) throws(FileError) -> [UInt8]? {
        var line: [UInt8] = []
        while let byte = try readByte(), byte != UInt8(ascii: "\n") {
            if line.count == limit { return nil }
            if byte != UInt8(ascii: "\r") { line.append(byte) }
        }
        return line
    }

    /// Asks `question` and reads one line with nothing shown. The terminal's own line editing and signals are off
    /// meanwhile, so that an interrupt can't leave it without echo: what they did is done here.
    /// - Parameters:
    ///   - line: gets what was typed, without its end. It must be empty and have room for `limit` bytes: growing would leave
    ///     copies of a secret behind. It is the caller's to wipe, also after an error.
    ///   - limit: how many bytes are kept; what is typed behind them is ignored.
    /// - Returns: false if it was interrupted (Ctrl-C).
    public func readHidden(_ question: String, into line: inout [UInt8], limit: Int) throws(FileError) -> Bool {
        var before = termios()
        guard unsafe tcgetattr(file.descriptor, &before) == 0 else { throw FileError("ask on", file.path) }
        var hidden = before
        hidden.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG)
        guard unsafe tcsetattr(file.descriptor, TCSAFLUSH, &hidden) == 0 else { throw FileError("ask on", file.path) }
        defer {
            _ = unsafe tcsetattr(file.descriptor, TCSAFLUSH, &before)
            try? write("\n")
        }
        // The question comes after that: what is answered at once is neither shown nor flushed away.
        try write(question)
        while let byte = try readByte() {
            switch byte {
            case 0x0A, 0x0D: return true
            case 0x03: return false
            case 0x04 where line.isEmpty: return true
            case 0x15: while !line.isEmpty { Self.removeLastCharacter(&line) }
            case 0x08, 0x7F: Self.removeLastCharacter(&line)
            default: if line.count < limit { line.append(byte) }
            }
        }
        return true
    }

    /// One character is one or more bytes of UTF-8. What is taken back may be part of a secret: it is overwritten.
    private static func removeLastCharacter(_ line: inout [UInt8]) {
        while let last = line.last {
            line[line.count - 1] = 0
            line.removeLast()
            if last & 0xC0 != 0x80 { break }
        }
    }

    private func readByte() throws(FileError) -> UInt8? {
        var byte: [UInt8] = [0]
        return try file.readToEnd(into: &byte) == 1 ? byte[0] : nil
    }

    /// How many columns a terminal has; nil if `file` is none, or doesn't say.
    public static func columns(of file: File) -> Int? {
        var size = winsize()
        guard file.isTerminal, unsafe ioctl(file.descriptor, UInt(TIOCGWINSZ), &size) == 0 else { return nil }
        return Int(size.ws_col)
    }
}
