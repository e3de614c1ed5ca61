import CLinux
import Glibc

/// Process 1 of a PID namespace, as in a container: every process whose parent has ended becomes its child, signals that it
/// does not handle do nothing to it, and its end is that of all others (pid_namespaces(7)).
///
/// A command that starts another process beside itself can't take the place of process 1: what it would have as a child, it
/// never asked for. It runs as a child instead; this process passes signals on to it, and waits for everybody.
public final class FirstProcess {
    private let signals: CaughtSignals
    /// The statuses of those that have ended, and were not asked for yet.
    private var ended: [pid_t: Int32] = [:]

    public static var isThis: Bool { getpid() == 1 }

    public init() throws(FileError) {
        signals = try CaughtSignals(onlySent: true)
    }

    /// Starts the command, with everything that this process has: its environment, streams, terminal and signals.
    /// - Parameter argv: its name or path, and its arguments; a null ends them.
    /// - Throws: with `operation` `run`.
    public func start(_ argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) throws(FileError) -> ChildProcess.Running {
        guard let program = unsafe argv[0] else { throw FileError(operation: "run", path: "", code: EINVAL) }
        var pid: pid_t = 0
        let code = unsafe claviger_spawn_alike(argv, ChildProcess.ignoresChildren ? 1 : 0, &pid)
        signals.catchChildren()
        guard code == 0 else { throw unsafe FileError(operation: "run", path: String(cString: program), code: code) }
        return ChildProcess.Running(pid: pid)
    }

    /// Waits for a child's end, and for that of all others meanwhile. Signals that are sent to this process go to the child.
    /// - Returns: as `Running.wait`.
    public func wait(for child: ChildProcess.Running) -> Int32 {
        while true {
            var status: Int32 = 0
            while case let pid = unsafe waitpid(-1, &status, WNOHANG), pid > 0 { ended[pid] = status }
            if let status = ended.removeValue(forKey: child.pid) { return ChildProcess.Running.code(of: status) }
            for number in signals.next() where number != SIGCHLD { kill(child.pid, number) }
        }
    }
}
