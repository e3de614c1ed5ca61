import Glibc
import Synchronization

/// The terminal that a process was started from, whatever its standard streams are.
///
/// Its questions do as readpassphrase(3) of OpenBSD does. A signal that ends the process finds the terminal as it was before.
/// A process that is stopped at a question leaves the terminal as it was, and asks again when it goes on; one in the
/// background stops before it asks.
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

    /// Asks `question` and reads one line, shown as it is typed, and without its end. What is behind it stays to be read.
    /// - Returns: nil if it is longer than `limit` bytes: then all that was typed is thrown away.
    public func readLine(_ question: String, limit: Int) throws(FileError) -> [UInt8]? {
        var line: [UInt8] = []
        let modes = TerminalModes(of: file, shows: true, discardsTyped: false)
        return try ask(question, &line, limit, modes, end: nil) == .done ? line : nil
    }

    /// Asks `question` and reads one line with nothing shown; `TypedLine` is how it is edited. What is behind it stays to be
    /// read.
    /// - Parameters:
    ///   - line: gets what was typed, without its end. It must be empty and have room for `limit` bytes: growing would leave
    ///     copies of a secret behind. It is the caller's to wipe, also after an error.
    ///   - discardsTyped: whether what was typed before the question, and may have been shown, is thrown away.
    ///   - end: gives the question up when it can be read.
    /// - Returns: false if it is longer than `limit` bytes, or given up: then all that was typed is thrown away.
    public func readHidden(
        _ question: String, into line: inout [UInt8], limit: Int, discardsTyped: Bool, until end: File? = nil
    ) throws(FileError) -> Bool {
        let modes = TerminalModes(of: file, shows: false, discardsTyped: discardsTyped)
        return try ask(question, &line, limit, modes, end: end) == .done
    }

    // MARK: Asking

    /// One question at a time: the signals of the process are the question's meanwhile.
    private static let questions = Mutex(())

    private func ask(
        _ question: String, _ line: inout [UInt8], _ limit: Int, _ modes: TerminalModes, end: File?
    ) throws(FileError) -> TypedLine.Step {
        try Self.questions.withLock { (_) throws(FileError) in
            var modes = modes
            while true {
                let signals = try CaughtSignals()
                let step = Result { () throws(FileError) in try attempt(question, &line, limit, &modes, signals, end) }
                // Half a line is not kept while somebody else has the terminal, nor when the process ends.
                if (try? step.get()) != .done { TypedLine.wipe(&line) }
                if (try? step.get()) == .tooLong { tcflush(file.descriptor, TCIFLUSH) }
                modes.restore()
                signals.release()
                switch try step.get() {
                case .more: continue
                case let step: return step
                }
            }
        }
    }

    /// Asks once.
    /// - Returns: `more` if a signal came.
    private func attempt(
        _ question: String, _ line: inout [UInt8], _ limit: Int, _ modes: inout TerminalModes, _ signals: CaughtSignals,
        _ end: File?
    ) throws(FileError) -> TypedLine.Step {
        while true {
            TypedLine.wipe(&line)
            // The question comes after that: what is answered at once is neither shown nor flushed away.
            guard try modes.take(signals), try write(question, signals) else { return .more }
            var typed = TypedLine(limit: limit, keys: modes.keys)
            var step: TypedLine.Step? = .more
            while step == .more { step = try next(&typed, &line, signals, end) }
            if let step { return step }
            if signals.isNoted { return .more }
            // Stopped by SIGSTOP, which nobody sees coming: a shell may have made the terminal show what is typed.
        }
    }

    /// Takes one byte from the keyboard.
    /// - Returns: nil if a signal came in its place.
    private func next(
        _ typed: inout TypedLine, _ line: inout [UInt8], _ signals: CaughtSignals, _ end: File?
    ) throws(FileError) -> TypedLine.Step? {
        guard signals.isReadable(file, or: end) else { return nil }
        if end?.isReadable ?? false { return .givenUp }
        var byte: UInt8 = 0
        let count = unsafe read(file.descriptor, &byte, 1)
        if count == 1 { return typed.take(byte, &line) }
        if count == 0 { return .done }
        // SIGTTIN, where this process went to the background meanwhile.
        guard errno == EINTR else { throw FileError("read", file.path) }
        return signals.isNoted ? nil : .more
    }

    /// - Returns: false if a signal came: SIGTTOU if this process is in the background and the terminal minds.
    private func write(_ text: String, _ signals: CaughtSignals) throws(FileError) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(file.descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                throw FileError("write", file.path)
            } else if signals.isNoted {
                return false
            }
        }
        return true
    }

    /// How many columns a terminal has; nil if `file` is none, or doesn't say.
    public static func columns(of file: File) -> Int? {
        var size = winsize()
        guard file.isTerminal, unsafe ioctl(file.descriptor, UInt(TIOCGWINSZ), &size) == 0 else { return nil }
        return Int(size.ws_col)
    }
}
