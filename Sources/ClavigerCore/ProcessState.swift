import AgentProtocol
import CLinux
import Glibc

/// What this process was given and has changed for its own safety: a program that takes its place gets it back.
enum ProcessState {
    nonisolated(unsafe) private static var coreLimit = rlimit()
    nonisolated(unsafe) private static var mask: mode_t = 0o022
    nonisolated(unsafe) private static var signals = sigset_t()
    nonisolated(unsafe) private static var handlers: [(Int32, sigaction)] = []
    private static let crashes = [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGQUIT]

    /// Before anything is read: no core dump and no debugger of the same user, no crash report with registers and
    /// memory in it, and no file of ours under the number of a closed stream.
    static func harden() {
        _ = claviger_clear_dumpable()
        getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &coreLimit)
        var none = rlimit(rlim_cur: 0, rlim_max: coreLimit.rlim_max)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        // SIGPIPE is ignored by the network's library.
        for number in crashes + [SIGPIPE] {
            var handler = sigaction()
            sigaction(number, nil, &handler)
            handlers.append((number, handler))
        }
        for crash in crashes { signal(crash, SIG_DFL) }
        // A closed stream becomes one that can't be read (0) or written (1, 2).
        for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(stream, F_GETFD) == -1 {
            _ = open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
        mask = umask(0o077)
        pthread_sigmask(SIG_BLOCK, nil, &signals)
    }

    /// Whoever waits for the end of our streams has it now.
    static func letGoOfStreams() {
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] { dup2(null, stream) }
        close(null)
    }

    /// Becomes another program, which is found in `$PATH`; nothing of ours stays in its environment.
    /// - Parameters:
    ///   - argv: its name and its arguments, as bytes, and a null.
    ///   - variables: what it is given besides.
    /// - Throws: a failure if it can't be started.
    static func become(_ argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, variables: [String: String] = [:]) throws
        -> Never
    {
        for name in Session.environment.keys where name.hasPrefix("CLAVIGER_") { unsetenv(name) }
        for (name, value) in variables { setenv(name, value, 1) }
        for (number, handler) in handlers {
            var handler = handler
            sigaction(number, &handler, nil)
        }
        var limit = coreLimit
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
        umask(mask)
        // The threads of the pool block signals, and a program inherits that from the thread that becomes it.
        var signals = signals
        pthread_sigmask(SIG_SETMASK, &signals, nil)
        _ = execvp(argv[0]!, argv)
        let code = errno
        throw Problem.cannotRun(String(cString: argv[0]!), errno: code)
    }

    static func become(_ command: [String]) throws -> Never {
        var argv = command.map { strdup($0) } + [nil]
        try become(&argv)
    }
}
