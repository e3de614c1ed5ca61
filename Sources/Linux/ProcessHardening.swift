import CLinux
import Glibc

/// What a process that holds secrets changes about itself, and can undo for the program that takes its place.
public struct ProcessHardening: @unchecked Sendable {
    // `sigaction` holds a pointer to a handler, which is code: any thread may have it.
    private let handlers: [(signal: Int32, action: sigaction)]
    private let coreLimit: rlimit
    private let mask: mode_t
    private let blocked: sigset_t

    /// Signals on which Swift's runtime would print a report with registers and the memory that they point at.
    private static let crashes = [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGQUIT]

    /// No core dump and no debugger of the same user; no crash report; no file of this process under the number of a
    /// closed standard stream; and new files for their owner alone. Call it before anything else is read or opened.
    public init() {
        _ = claviger_clear_dumpable()
        // One that is started by way of /proc would be called "exe".
        unsafe claviger_set_process_name("claviger")
        coreLimit = Self.disableCoreDumps()
        // SIGPIPE is ignored by the network's library.
        handlers = (Self.crashes + [SIGPIPE]).map { ($0, Self.action(of: $0)) }
        for crash in Self.crashes { signal(crash, SIG_DFL) }
        Self.fillStandardStreams()
        mask = umask(0o077)
        var blocked = sigset_t()
        unsafe pthread_sigmask(SIG_BLOCK, nil, &blocked)
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
    private static func fillStandardStreams() {
        for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(stream, F_GETFD) == -1 {
            _ = unsafe open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY)
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
