import Foundation

/// How much of a test is run.
public enum Torture {
    /// How often each case is run: `make torture` runs it a hundred times.
    public static let rounds = number("CLAVIGER_TEST_ROUNDS", 4)

    /// Whether this is `make torture`, which may take its time.
    public static let isLong = ProcessInfo.processInfo.environment["CLAVIGER_TORTURE_RECORD"] != nil

    /// How many seconds the slowest server takes.
    public static let slowestAnswer = number("CLAVIGER_TEST_SLOWEST", 30)

    private static func number(_ variable: String, _ usual: Int) -> Int {
        ProcessInfo.processInfo.environment[variable].flatMap(Int.init) ?? usual
    }

    /// Writes a line for the table that `make torture` prints.
    /// - Parameters:
    ///   - rounds: how often the case was run.
    ///   - lost: how often that ended the login, or sent a refresh token twice.
    public static func record(_ suite: String, _ name: String, rounds: Int, lost: Int) {
        guard let path = ProcessInfo.processInfo.environment["CLAVIGER_TORTURE_RECORD"] else { return }
        let line = Array("\(suite)\t\(name)\t\(rounds)\t\(lost)\n".utf8)
        // One write to a file opened to append: tests run side by side.
        let file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard file >= 0 else { return }
        defer { close(file) }
        _ = write(file, line, line.count)
    }
}
