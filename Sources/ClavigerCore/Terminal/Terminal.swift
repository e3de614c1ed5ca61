import AgentProtocol
import Credentials
import Glibc
import Linux
import Sodium
import Synchronization

/// Every prompt, and everything that is written. Results go to standard output, all else to standard error; prompts go
/// to the terminal itself, so that both can be pipes.
enum Terminal {
    // MARK: Writing

    /// A result. The one place that writes to standard output.
    static func output(_ text: String) throws {
        try write(Array((text + "\n").utf8), to: STDOUT_FILENO)
    }

    /// Whether only results and errors are printed.
    static var isQuiet: Bool {
        get { quiet.load(ordering: .relaxed) }
        set { quiet.store(newValue, ordering: .relaxed) }
    }
    private static let quiet = Atomic(false)

    /// Something worth knowing that is no result.
    static func note(_ text: String) {
        if !isQuiet { tell(text) }
    }

    /// What somebody has to do now.
    static func tell(_ text: String) {
        try? write(Array("claviger: \(text)\n".utf8), to: STDERR_FILENO)
    }

    static func write(_ bytes: [UInt8], to descriptor: Int32) throws {
        do {
            try File.borrowing(descriptor, path: "standard output").write(bytes)
        } catch {
            throw Problem.cannotWriteOutput(errno: error.code)
        }
    }

    /// Text from elsewhere, without what a terminal would obey, and without what would reorder or hide it.
    static func plain(_ text: String) -> String {
        PlainText.of(text)
    }

    /// Draws a picture where messages go, if that is a terminal and wide enough for it.
    /// - Returns: whether it was drawn.
    static func draw(_ picture: String, columns: Int) -> Bool {
        guard let width = TTY.columns(of: .standardError), width >= columns else { return false }
        return (try? write(Array((picture + "\n").utf8), to: STDERR_FILENO)) != nil
    }

    // MARK: Asking

    static var isThere: Bool {
        do {
            _ = try TTY()
            return true
        } catch {
            return false
        }
    }

    /// Whether this process has asked something already: then what is behind the last answer, as behind the first line of a
    /// text that is pasted, answers the next question.
    private static let hasAsked = Mutex(false)

    /// Asks for a secret without showing it.
    /// - Parameters:
    ///   - madeElsewhere: what it is, where a provider has made it and it is pasted; nil for what a person has thought of.
    ///   - otherwise: what to say where there is no terminal to ask on.
    ///   - end: gives the question up when it can be read.
    /// - Throws: `CancellationError` if the question was given up.
    static func promptSecret(
        _ question: String, madeElsewhere: String? = nil, otherwise: Problem, until end: File? = nil
    ) throws -> Secret {
        try withTerminal(otherwise) { terminal, isFirst in
            var bytes: [UInt8] = []
            bytes.reserveCapacity(SecretLine.limit)
            defer { bytes.wipe() }
            guard
                try terminal.readHidden(
                    question, into: &bytes, limit: SecretLine.limit, discardsTyped: isFirst, until: end)
            else {
                if Task.isCancelled || end?.isReadable ?? false { throw CancellationError() }
                throw Problem.tooLarge(what: "answer", place: "the terminal", limit: SecretLine.limit)
            }
            if let madeElsewhere {
                return try SecretLine.pasted(&bytes, what: madeElsewhere, from: "the terminal", remark: note)
            }
            return try SecretLine.secret(&bytes, what: "answer", from: "the terminal")
        }
    }

    /// Asks for something that may be seen.
    static func promptLine(_ question: String, otherwise: Problem) throws -> String {
        try withTerminal(otherwise) { terminal, _ in
            guard let line = try terminal.readLine(question, limit: 4096) else {
                throw Problem.tooLarge(what: "answer", place: "the terminal", limit: 4096)
            }
            return String(decoding: line, as: UTF8.self)
        }
    }

    /// Asks a question whose answer is no unless it is yes.
    static func confirm(_ question: String, otherwise: Problem) throws -> Bool {
        let answer = try promptLine(question + " [y/N] ", otherwise: otherwise)
        return ["y", "yes"].contains(answer.lowercased())
    }

    /// - Parameter body: gets the terminal, and whether this is the process's first question.
    private static func withTerminal<R>(_ otherwise: Problem, _ body: (borrowing TTY, Bool) throws -> R) throws -> R {
        do {
            let terminal: TTY
            do { terminal = try TTY() } catch { throw otherwise }
            let isFirst = hasAsked.withLock { hasAsked in
                defer { hasAsked = true }
                return !hasAsked
            }
            return try body(terminal, isFirst)
        } catch let error as FileError {
            throw Problem.system("ask on the terminal", error.code)
        }
    }
}
