import Agent
import AgentProtocol
import Credentials
import Dispatch
import Glibc
import HTTP
import Linux
import TokenEngine

/// The agent as a process: one for each socket, in the background or the foreground, with its signals.
struct AgentLauncher {
    let session: Session
    let socket: String
    let times: LockTimes
    let keeping: RenewalOptions
    let isDetached: Bool
    /// Whether another agent that takes the socket first is as good.
    var yields = false

    /// Where to listen.
    static func socket() throws -> String {
        guard let path = Locations.socket else { throw Problem.noHome }
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
    /// - Parameter isLocked: start it locked although there is a key; one that somebody else starts meanwhile is as good.
    /// - Throws: a failure; what went wrong has been written to standard error by the agent itself.
    static func start(
        session: Session, socket: String, times: LockTimes, keeping: RenewalOptions? = nil, isLocked: Bool = false
    ) throws {
        var arguments = ["agent", "run", "--detached", "--socket", socket, "--vault", try session.absoluteVaultPath()]
        var handed: File?
        if let file = session.options.keyFile, !isLocked {
            handed = descriptor(file)
            arguments += ["--key-file", handed == nil ? file : "/dev/fd/3"]
        }
        if let ttl = times.ttl { arguments += ["--ttl", "\(Int(ttl.seconds))"] }
        if let idle = times.idle { arguments += ["--idle", "\(Int(idle.seconds))"] }
        if isLocked { arguments.append("--yields") }
        if keeping?.keepFresh == true { arguments.append("--keep-fresh") }
        for sink in keeping?.sink ?? [] { arguments += ["--sink", sink.text] }
        var variables = Session.environment
        if isLocked {
            for name in ["CLAVIGER_KEY_FILE", "CLAVIGER_PASSPHRASE_FILE", "CLAVIGER_PASSPHRASE_COMMAND"] { variables[name] = nil }
        }
        do {
            let (signs, agent) = try spawn(arguments, variables, handed)
            guard try signs.readToEnd(limit: 1).isEmpty else { return }
            // It has said why.
            let status = agent.wait()
            if (1...125).contains(status) { exit(status) }
            throw Problem("the agent has ended before it could listen", .unavailable)
        } catch let error as FileError {
            throw Problem.system("start the agent", error.code)
        }
    }

    /// What a shell has opened for a key file, as `<(...)` does: the agent has none of the caller's other descriptors.
    private static func descriptor(_ path: String) -> File? {
        let folders = ["/dev/fd/", "/proc/self/fd/"]
        guard let folder = folders.first(where: path.hasPrefix), let number = Int32(path.dropFirst(folder.count)) else {
            return nil
        }
        return number > 2 ? .borrowing(number, path: path) : nil
    }

    /// - Parameter further: the agent's descriptor 3.
    /// - Returns: what the agent writes to its standard output. It holds that open until it listens.
    private static func spawn(
        _ arguments: [String], _ environment: [String: String], _ further: File?
    ) throws(FileError) -> (signs: File, agent: ChildProcess.Running) {
        let (reading, writing) = try File.pipe()
        var agent = ChildProcess("/proc/self/exe", arguments, environment: environment)
        agent.name = "claviger"
        agent.streams = [.null, .file(writing), .inherited] + (further.map { [.file($0)] } ?? [])
        agent.startsSession = true
        return (reading, try agent.start())
    }

    // MARK: In the foreground

    func serve() async throws {
        try scrubFreedMemory()
        let path = try session.absoluteVaultPath()
        // A vault that is not there, or none, is better known now.
        try session.examineVault()
        guard let lock = try await takeSocket() else { return ready() }
        defer { withExtendedLifetime(lock) {} }
        let unlocked = session.hasStoredKey ? try session.unlock() : nil
        var refresh = try keeping.settings()
        // Who has it in the foreground, as systemd has, reads of what goes wrong.
        if !isDetached { refresh.report = { Terminal.note(Terminal.plain($0)) } }
        let settings = refresh
        try await Session.withTransport { transport in
            let server = AgentServer(
                vault: path, memory: Session.memory(), transport: transport, host: Session.host, refresh: settings
            )
            if let unlocked { try server.open(unlocked, ttl: times.ttl?.seconds, idle: times.idle?.seconds) }
            let signals = watchSignals(server)
            defer { withExtendedLifetime(signals) {} }
            if let inherited = Self.inheritedSocket {
                try await server.run(on: .inherited(inherited)) { ready() }
            } else {
                try await listening { try await server.run(on: .path(socket)) { ready() } }
            }
        }
    }

    private func ready() {
        // Everything that was named by a relative path has been read.
        ProcessHardening.leaveFolder()
        guard Self.inheritedSocket == nil else { return Terminal.note("listening on the socket that was handed over") }
        // Everybody of this machine may connect to the system agent: the kernel says who it is.
        if socket == Locations.systemSocket { try? Path.setPermissions(socket, 0o666) }
        guard isDetached else { return Terminal.note("listening on \(Terminal.plain(socket))") }
        try? Terminal.write([UInt8(ascii: "+")], to: STDOUT_FILENO)
        ProcessState.detachStreams()
    }

    private func listening(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as FileError where error.path == socket {
            throw cannotListen(error.code)
        }
    }

    private func cannotListen(_ code: Int32) -> Problem {
        let kind = (try? Path.status(of: socket))?.kind ?? .socket
        let reason = kind == .socket ? PlainText.reason(errno: code) : "there is a \(kind.rawValue)"
        return Problem(
            "cannot listen on \(Terminal.plain(socket)): \(reason)",
            hint: socket == Locations.systemSocket
                ? "systemctl start claviger-agent makes its folder" : "name another place with $CLAVIGER_SOCKET",
            .cannotCreate)
    }

    /// The right to listen: whoever holds the lock beside a socket may replace one that an ended agent left.
    private enum Right {
        case lock(File)
        case handedOver
    }

    /// - Returns: nil where another agent listens, which is as good.
    private func takeSocket() async throws -> Right? {
        if Self.inheritedSocket != nil { return .handedOver }
        do {
            try Path.makeFolders(Path.folder(of: socket))
            let lock = try File.openLock(socket + ".lock")
            for _ in 0..<(yields ? 1000 : 1) {
                if try lock.tryLock() { return .lock(lock) }
                if yields, (try? AgentSocket(path: socket).send(.status())) != nil { return nil }
                if yields { try await Task.sleep(for: .milliseconds(10)) }
            }
        } catch let error as FileError {
            if socket == Locations.systemSocket { throw cannotListen(error.code) }
            throw Problem.system("\(error.operation) \(Terminal.plain(error.path))", error.code)
        }
        throw Problem(
            "another agent listens on \(Terminal.plain(socket)) already", hint: "end it with claviger agent stop", .alreadyExists)
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

    static let scrubbing = "glibc.malloc.perturb=170:glibc.malloc.tcache_count=0"

    /// Says that this process was started again already.
    private static let startedAgain = "CLAVIGER_STARTED_AGAIN"

    /// What the heap gives back keeps its bytes unless glibc is told to overwrite them, which it reads at the start only. Where
    /// the program has privileges of its own, as by setcap(8), glibc does not listen: then what can be set later must do.
    private func scrubFreedMemory() throws {
        let wanted = Self.scrubbing
        if Session.environment[Self.startedAgain] != nil {
            ChildProcess.setVariable(Self.startedAgain, nil)
            if Session.environment["GLIBC_TUNABLES"] != wanted { ProcessHardening.scrubFreedMemory() }
            return
        }
        guard Session.environment["GLIBC_TUNABLES"] != wanted else { return }
        ChildProcess.setVariable("GLIBC_TUNABLES", wanted)
        ChildProcess.setVariable(Self.startedAgain, "1")
        let words = CommandLine.arguments
        let error = ChildProcess.replaceThisProcess("/proc/self/exe", name: words[0], arguments: Array(words.dropFirst()))
        throw Problem.system("start the agent again", error.code)
    }
}
