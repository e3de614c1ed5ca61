/// Why something was not done, in words for a person, with a code for programs. It is what an agent answers when it refuses
/// (RFC 9457), and what every command prints.
public struct Problem: Error, Sendable {
    public var code: ProblemCode
    /// What went wrong: lower case, without a full stop, and never with a secret in it.
    public var title: String
    public var hint: Hint?

    public init(_ title: String, hint: Hint? = nil, _ code: ProblemCode) {
        self.title = title
        self.hint = hint
        self.code = code
    }

    // MARK: As plain text

    /// For a client that reads no JSON, which is the thin front: exit status, title and hint, in a line each.
    public var plainText: String { "\(code.exit)\n\(title)\n\(hint?.text ?? "")" }

    /// What a command prints, from an answer in plain text.
    /// - Returns: nil for what is no such answer.
    public static func lines(ofPlainText body: [UInt8]) -> (exit: Int32, lines: String)? {
        let lines = body.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        guard lines.count == 3, let exit = Int32(lines[0]), exit > 0 else { return nil }
        return (exit, Self.lines(title: lines[1], hint: lines[2].isEmpty ? nil : lines[2]))
    }

    /// The lines on standard error.
    public static func lines(title: String, hint: String?) -> String {
        let hint = hint.map { "claviger: hint: " + $0 + "\n" } ?? ""
        return "claviger: error: " + title + "\n" + hint
    }
}

#if !hasFeature(Embedded)
    extension Problem: Equatable {}
#endif
