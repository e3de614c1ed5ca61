import Agent
import AgentProtocol
import CLinux
import Dispatch
import Glibc
import TokenEngine

/// The agent as a process: one for each socket, in the background or the foreground, with its signals.
struct AgentProcess {
    let session: Session
    let socket: String
    let times: LockTimes
    let keeping: KeepingOptions
    let isDetached: Bool

    /// Where to listen.
    static func socket(_ wanted: String?) throws -> String {
        guard let path = wanted ?? Locations.socket else { throw Problem.noHome }
        guard path.hasPrefix("/") else { throw Problem("the agent's socket needs an absolute path", .usage) }
        guard path.utf8.count <= AgentSocket.maximumPath else {
            throw Problem(
                "the socket's path is longer than \(AgentSocket.maximumPath) bytes, which no socket's may be",
                hint: "choose a shorter one with $CLAVIGER_SOCKET", .usage)
        }
        return path
    }

    /// The socket that systemd has handed over (sd_listen_fds(3)), if it has.
    static let inheritedSocket: Int32? = {
        let environment = Session.environment
        guard environment["LISTEN_PID"].flatMap(Int32.init) == getpid(), environment["LISTEN_FDS"] == "1" else { return nil }
        return 3
    }()

    // MARK: In the background

    /// Starts the agent as a process of its own, and waits until it listens.
    /// - Parameter isLocked: start it locked although there is a key.
    /// - Throws: a failure; what went wrong has been written to standard error by the agent itself.
    static func start(
        session: Session, socket: String, times: LockTimes, keeping: KeepingOptions? = nil, isLocked: Bool = false
    ) throws {
        var arguments = [
            "/proc/self/exe", "agent", "run", "--detached", "--socket", socket, "--vault", try session.absoluteVaultPath(),
        ]
        if let file = session.options.keyFile { arguments += ["--key-file", file] }
        if let ttl = times.ttl { arguments += ["--ttl", "\(Int(ttl.seconds))"] }
        if let idle = times.idle { arguments += ["--idle", "\(Int(idle.seconds))"] }
        if keeping?.keepFresh == true { arguments.append("--keep-fresh") }
        for sink in keeping?.sink ?? [] { arguments += ["--sink", sink.text] }
        var pipes: [Int32] = [0, 0]
        guard pipe(&pipes) == 0 else { throw Problem.system("start the agent", errno) }
        for end in pipes { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0)
        // It holds standard output open until it listens: its end is the sign.
        posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO)
        _ = claviger_spawn_streams_only(&actions)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, 0x80 /* POSIX_SPAWN_SETSID */)
        let argv = arguments.map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        var variables = Session.environment
        if isLocked {
            for name in ["CLAVIGER_KEY_FILE", "CLAVIGER_PASSPHRASE_FILE", "CLAVIGER_PASSPHRASE_COMMAND"] { variables[name] = nil }
        }
        let environment = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { environment.forEach { free($0) } }
        var child = pid_t()
        let status = posix_spawn(&child, "/proc/self/exe", &actions, &attributes, argv, environment)
        close(pipes[1])
        defer { close(pipes[0]) }
        guard status == 0 else { throw Problem.system("start the agent", status) }
        var byte: UInt8 = 0
        while read(pipes[0], &byte, 1) < 0 && errno == EINTR {}
        guard byte == UInt8(ascii: "+") else { throw Problem("the agent could not be started", .unavailable) }
    }

    // MARK: In the foreground

    func serve() async throws {
        try scrubFreedMemory()
        let path = try session.absoluteVaultPath()
        // A vault that is not there, or none, is better known now.
        try session.examineVault()
        let lock = try takeSocket()
        defer { close(lock) }
        let unlocked = session.hasStoredKey ? try session.unlock() : nil
        var refresh = try keeping.settings()
        // Who has it in the foreground, as systemd has, reads of what goes wrong.
        if !isDetached { refresh.report = { Terminal.note(Terminal.plain($0)) } }
        let settings = refresh
        try await Session.withTransport { transport in
            let server = AgentServer(
                vault: path, memory: Session.memory(), transport: transport, refresh: settings
            )
            if let unlocked { try server.open(unlocked, ttl: times.ttl?.seconds, idle: times.idle?.seconds) }
            let signals = watchSignals(server)
            defer { withExtendedLifetime(signals) {} }
            if let inherited = Self.inheritedSocket {
                try await server.run(on: .inherited(inherited)) { ready() }
            } else {
                try await server.run(on: .path(socket)) { ready() }
                unlink(socket)
            }
        }
    }

    private func ready() {
        guard Self.inheritedSocket == nil else { return Terminal.note("listening on the socket that was handed over") }
        // Everybody of this machine may connect to the system agent: the kernel says who it is.
        if socket == Locations.systemSocket { chmod(socket, 0o666) }
        guard isDetached else { return Terminal.note("listening on \(Terminal.plain(socket))") }
        try? Terminal.write([UInt8(ascii: "+")], to: STDOUT_FILENO)
        ProcessState.letGoOfStreams()
    }

    /// One agent for each socket: whoever holds the lock beside it may replace a socket that an ended agent left.
    private func takeSocket() throws -> Int32 {
        if Self.inheritedSocket != nil { return open("/dev/null", O_RDONLY | O_CLOEXEC) }
        let folder = String(socket[..<(socket.lastIndex(of: "/") ?? socket.startIndex)])
        try makeFolders(folder)
        let lock = open(socket + ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw Problem.system("create \(Terminal.plain(socket)).lock", errno) }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            close(lock)
            throw Problem(
                "another agent listens on \(Terminal.plain(socket)) already", hint: "end it with claviger agent stop",
                .alreadyExists)
        }
        return lock
    }

    private func makeFolders(_ folder: String) throws {
        guard !folder.isEmpty, access(folder, F_OK) != 0 else { return }
        try makeFolders(String(folder[..<(folder.lastIndex(of: "/") ?? folder.startIndex)]))
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
            throw Problem.system("create the folder \(Terminal.plain(folder))", errno)
        }
    }

    /// SIGTERM and SIGINT end it; SIGUSR1 locks it; a terminal that goes away is nothing to it.
    private func watchSignals(_ server: AgentServer) -> [any DispatchSourceSignal] {
        signal(SIGHUP, SIG_IGN)
        let actions: [(Int32, @Sendable () -> Void)] = [
            (SIGTERM, { server.shutDown() }), (SIGINT, { server.shutDown() }), (SIGUSR1, { server.lock() }),
        ]
        return actions.map { number, action in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler(handler: action)
            source.resume()
            return source
        }
    }

    /// What the heap gives back keeps its bytes unless glibc is told to overwrite them, which it reads at the start only.
    private func scrubFreedMemory() throws {
        let wanted = "glibc.malloc.perturb=170:glibc.malloc.tcache_count=0"
        guard Session.environment["GLIBC_TUNABLES"] != wanted else { return }
        setenv("GLIBC_TUNABLES", wanted, 1)
        let argv = CommandLine.arguments.map { strdup($0) } + [nil]
        _ = execv("/proc/self/exe", argv)
        throw Problem.system("start the agent again", errno)
    }
}
