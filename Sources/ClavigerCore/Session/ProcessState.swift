import AgentProtocol
import Glibc
import Linux

/// What this process was given and has changed for its own safety: a program that takes its place gets it back.
enum ProcessState {
    private static let hardening = ProcessHardening()

    /// Before anything is read.
    static func harden() { _ = hardening }

    /// Whether what this process was called with is UTF-8, up to a command that it is to run.
    static var argumentsAreText: Bool {
        for index in 0..<Int(CommandLine.argc) {
            guard let word = unsafe CommandLine.unsafeArgv[index] else { return true }
            guard let text = unsafe String(validatingCString: word) else { return false }
            if text == "--" { return true }
        }
        return true
    }

    /// Whoever waits for the end of our streams has it now.
    static func detachStreams() { try? ProcessHardening.detachStreams() }

    /// Replaces this process by another program, which is found in `$PATH`; nothing of ours stays in its environment.
    /// - Parameters:
    ///   - argv: its name and its arguments, as bytes, and a null.
    ///   - variables: what it is given besides.
    /// - Throws: a problem if it can't be started.
    static func replaceProcess(
        _ argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, variables: [String: String] = [:]
    ) throws -> Never {
        prepare(variables)
        throw unsafe cannotRun(ChildProcess.replaceThisProcess(argv))
    }

    static func replaceProcess(_ command: [String]) throws -> Never {
        prepare([:])
        throw cannotRun(
            ChildProcess.replaceThisProcess(command[0], name: command[0], arguments: Array(command.dropFirst())))
    }

    /// The same as process 1 of a PID namespace, which stays: the command is its child, and ends as this process does then.
    /// - Parameters:
    ///   - end: told when the command has ended.
    ///   - companion: waited for after that.
    static func runChild(
        _ argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, variables: [String: String], end: File,
        companion: ChildProcess.Running
    ) throws -> Never {
        prepare(variables)
        do {
            let first = try FirstProcess()
            let command = try unsafe first.start(argv)
            let status = first.wait(for: command)
            end.shutDownWriting()
            _ = first.wait(for: companion)
            exit(status)
        } catch {
            throw cannotRun(error)
        }
    }

    private static func prepare(_ variables: [String: String]) {
        for name in Session.environment.keys where name.hasPrefix("CLAVIGER_") { ChildProcess.setVariable(name, nil) }
        for (name, value) in variables { ChildProcess.setVariable(name, value) }
        hardening.undo()
    }

    private static func cannotRun(_ error: FileError) -> Problem {
        Problem.cannotRun(error.path, errno: error.code)
    }
}
