import Agent
import AgentProtocol
import Glibc
import Sodium

/// Every prompt, and everything that is written. Results go to standard output, all else to standard error; prompts go
/// to the terminal itself, so that both can be pipes.
enum Terminal {
    // MARK: Writing

    /// A result. The one place that writes to standard output.
    static func output(_ text: String) throws {
        try write(Array((text + "\n").utf8), to: STDOUT_FILENO)
    }

    /// Something worth knowing that is no result.
    static func note(_ text: String) {
        try? write(Array("claviger: \(text)\n".utf8), to: STDERR_FILENO)
    }

    static func write(_ bytes: [UInt8], to descriptor: Int32) throws {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw Problem.cannotWriteOutput(errno: errno) }
            written += count
        }
    }

    /// Text from elsewhere, without what a terminal would obey, and without what would reorder or hide it.
    static func plain(_ text: String) -> String {
        PlainText.of(text)
    }

    /// Draws a picture where messages go, if that is a terminal and wide enough for it.
    /// - Returns: whether it was drawn.
    static func draw(_ picture: String, columns: Int) -> Bool {
        var size = winsize()
        guard isatty(STDERR_FILENO) == 1, ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, Int(size.ws_col) >= columns else {
            return false
        }
        return (try? write(Array((picture + "\n").utf8), to: STDERR_FILENO)) != nil
    }

    // MARK: Asking

    static var isThere: Bool {
        let descriptor = open("/dev/tty", O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        close(descriptor)
        return true
    }

    /// Asks for a secret without showing it.
    /// - Parameter otherwise: what to say where there is no terminal to ask on.
    static func promptSecret(_ question: String, otherwise: Problem) throws -> Secret {
        try withTerminal(otherwise) { terminal in
            var bytes = try readHidden(terminal, question)
            defer { bytes.wipe() }
            return try SecretInput.secret(&bytes, what: "answer", from: "the terminal")
        }
    }

    /// Asks twice for a passphrase that the vault is to open with.
    static func promptNewPassphrase(_ path: String, otherwise: Problem) throws -> Secret {
        let first = try promptSecret("new passphrase for \(plain(path)): ", otherwise: otherwise)
        let second = try promptSecret("the same again: ", otherwise: otherwise)
        guard first.equals(second) else { throw Problem.passphrasesDiffer }
        return first
    }

    /// Asks for something that may be seen.
    static func promptLine(_ question: String, otherwise: Problem) throws -> String {
        try withTerminal(otherwise) { terminal in
            try write(Array(question.utf8), to: terminal)
            var line: [UInt8] = []
            while let byte = try readByte(terminal), byte != UInt8(ascii: "\n") {
                line.append(byte)
                guard line.count <= 4096 else { throw Problem.tooLarge(what: "answer", place: "the terminal", limit: 4096) }
            }
            return String(decoding: line, as: UTF8.self).filter { $0 != "\r" }
        }
    }

    /// Asks a question whose answer is no unless it is yes.
    static func confirm(_ question: String, otherwise: Problem) throws -> Bool {
        let answer = try promptLine(question + " [y/N] ", otherwise: otherwise)
        return ["y", "yes"].contains(answer.lowercased())
    }

    private static func withTerminal<R>(_ otherwise: Problem, _ body: (Int32) throws -> R) throws -> R {
        let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC)
        guard terminal >= 0 else { throw otherwise }
        defer { close(terminal) }
        return try body(terminal)
    }

    /// One line with nothing shown. The terminal's own line editing and signals are off meanwhile, so that an
    /// interrupt can't leave it without echo: what they did is done here. The question comes after that: who answers it at
    /// once is neither shown nor flushed away.
    private static func readHidden(_ terminal: Int32, _ question: String) throws -> [UInt8] {
        var before = termios()
        guard tcgetattr(terminal, &before) == 0 else { throw Problem.system("ask on the terminal", errno) }
        var hidden = before
        hidden.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG)
        guard tcsetattr(terminal, TCSAFLUSH, &hidden) == 0 else { throw Problem.system("ask on the terminal", errno) }
        defer {
            tcsetattr(terminal, TCSAFLUSH, &before)
            try? write([UInt8(ascii: "\n")], to: terminal)
        }
        try write(Array(question.utf8), to: terminal)
        var line: [UInt8] = []
        line.reserveCapacity(SecretInput.limit)
        while let byte = try readByte(terminal) {
            switch byte {
            case 0x0A, 0x0D: return line
            case 0x03: throw Problem.interrupted
            case 0x04 where line.isEmpty: return line
            case 0x15: line.removeAll(keepingCapacity: true)
            case 0x08, 0x7F:
                // One character is one or more bytes of UTF-8.
                while let last = line.popLast(), last & 0xC0 == 0x80 {}
            default: if line.count < SecretInput.limit { line.append(byte) }
            }
        }
        return line
    }

    private static func readByte(_ terminal: Int32) throws -> UInt8? {
        var byte: UInt8 = 0
        while true {
            let count = read(terminal, &byte, 1)
            if count == 1 { return byte }
            if count == 0 { return nil }
            guard errno == EINTR else { throw Problem.system("read from the terminal", errno) }
        }
    }
}
