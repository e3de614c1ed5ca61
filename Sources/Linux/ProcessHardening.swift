import CLinux
import Glibc

/// What a process that holds secrets changes about itself and about what it has inherited, and can undo for the program that
/// takes its place. This is the one place that does so:
///
/// | inherited | what becomes of it |
/// |---|---|
/// | dumpable, the limit of core dumps | off: no core dump, no debugger of the same user |
/// | signals on which Swift's runtime reports a crash | their usual effect: no report with registers and memory |
/// | SIGCHLD ignored | its usual effect: else nobody could tell how a child ended |
/// | SIGXFSZ | ignored: a write behind the limit of file sizes fails, and can be told |
/// | blocked signals | none is: a question can be interrupted, an agent be ended |
/// | a closed standard stream | filled: no file of ours gets its number |
/// | umask | new files are for their owner alone |
///
/// What a caller means stays: which other signals are ignored (nohup(1)), all other limits. Streams that are non-blocking stay
/// so, for others have them, too; `File` waits.
public struct ProcessHardening: @unchecked Sendable {
    // `sigaction` holds a pointer to a handler, which is code: any thread may have it.
    private let handlers: [(signal: Int32, action: sigaction)]
    private let coreLimit: rlimit
    private let mask: mode_t
    private let blocked: sigset_t
    private let filledStreams: [Int32]

    private static let crashes = [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGQUIT]

    /// Call it before anything else is read or opened.
    public init() {
        _ = claviger_clear_dumpable()
        // One that is started by way of /proc would be called "exe".
        unsafe claviger_set_process_name("claviger")
        coreLimit = Self.disableCoreDumps()
        // SIGPIPE is ignored by the network's library.
        handlers = (Self.crashes + [SIGPIPE, SIGCHLD, SIGXFSZ]).map { ($0, Self.action(of: $0)) }
        for number in Self.crashes + [SIGCHLD] { signal(number, SIG_DFL) }
        signal(SIGXFSZ, SIG_IGN)
        filledStreams = Self.fillStandardStreams()
        mask = umask(0o077)
        var (none, blocked) = (sigset_t(), sigset_t())
        unsafe sigemptyset(&none)
        unsafe pthread_sigmask(SIG_SETMASK, &none, &blocked)
        self.blocked = blocked
    }

    private static func disableCoreDumps() -> rlimit {
        var before = rlimit()
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &before)
        var none = rlimit(rlim_cur: 0, rlim_max: before.rlim_max)
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        return before
    }

    private static func action(of number: Int32) -> sigaction {
        var action = sigaction()
        unsafe sigaction(number, nil, &action)
        return action
    }

    /// A closed stream becomes one that can't be read (0) or written (1, 2).
    /// - Returns: which they were.
    private static func fillStandardStreams() -> [Int32] {
        [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO].filter { stream in
            guard fcntl(stream, F_GETFD) == -1 else { return false }
            return unsafe open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) == stream
        }
    }

    /// Puts back what was found, for a program that takes this process's place. Core dumps and debuggers come back with
    /// exec(2).
    public func undo() {
        for (number, action) in handlers {
            var action = action
            unsafe sigaction(number, &action, nil)
        }
        var limit = coreLimit
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
        umask(mask)
        for stream in filledStreams { close(stream) }
        // The threads of the pool block signals, and a program inherits that from the thread that it replaces.
        var blocked = blocked
        unsafe pthread_sigmask(SIG_SETMASK, &blocked, nil)
    }

    /// From now on freed memory is overwritten, but for small pieces that glibc keeps for each thread (mallopt(3)).
    public static func scrubFreedMemory() { claviger_fill_freed_memory(170) }

    /// Holds no folder any more: one on which a process stands can't be unmounted.
    public static func leaveFolder() { _ = unsafe chdir("/") }

    /// Lets go of the standard streams: whoever waits for their end has it now.
    public static func detachStreams() throws(FileError) {
        let null = try File.null()
        for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where dup2(null.descriptor, stream) < 0 {
            throw FileError("close", "a standard stream")
        }
    }

    /// The process that traces this one (`TracerPid`, proc_pid_status(5)): 0 if none does, nil if that can't be told. Who
    /// traces a process reads its memory, so nil is no better than a number.
    public static var tracer: Int32? {
        guard let bytes = try? File.open("/proc/self/status").readToEnd(limit: 64 << 10) else { return nil }
        return tracer(inStatus: String(decoding: bytes, as: UTF8.self))
    }

    static func tracer(inStatus text: String) -> Int32? {
        let name = "TracerPid:"
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name) }) else { return nil }
        return Int32(line.dropFirst(name.count).filter { $0 != "\t" && $0 != " " })
    }
}
