import Agent
import AgentProtocol
import ArgumentParser
import FoundationEssentials
import Glibc
import TokenEngine

struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Run the agent, which holds an unlocked vault and hands out its tokens.",
        discussion: """
            It listens on $CLAVIGER_SOCKET, else on claviger/agent.sock below $XDG_RUNTIME_DIR, and goes to the background, \
            unless --foreground is given or systemd has handed it a socket. It starts unlocked where a key file or a \
            passphrase source is named, else locked: claviger unlock opens it. See claviger-agent(1).
            """,
        subcommands: [Run.self, Stop.self], defaultSubcommand: Run.self)

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "run", abstract: "Run the agent (what agent alone does, too).")

        @Flag(help: "Stay in the foreground.")
        var foreground = false

        @Flag(help: "Print what a shell needs to find the agent: eval \"$(claviger agent --shell)\".")
        var shell = false

        @Option(help: ArgumentHelp("Where to listen.", valueName: "path"), completion: .file())
        var socket: String?

        @Flag(help: .private)
        var detached = false

        @OptionGroup var keeping: KeepingOptions
        @OptionGroup var times: LockTimes
        @OptionGroup var vaultOptions: VaultOptions

        func run() async throws {
            let socket = try AgentProcess.socket(socket)
            // What is wrong with a sink is better said here than in the background.
            _ = try keeping.settings()
            if foreground || detached || AgentProcess.inheritedSocket != nil {
                try await AgentProcess(
                    session: Session(vaultOptions), socket: socket, times: times, keeping: keeping, isDetached: detached
                ).serve()
                return
            }
            try AgentProcess.start(session: Session(vaultOptions), socket: socket, times: times, keeping: keeping)
            if shell {
                try Terminal.output("CLAVIGER_SOCKET=\(ShellQuotes.quoted(socket)); export CLAVIGER_SOCKET;")
            } else {
                Terminal.note("the agent listens on \(Terminal.plain(socket))")
            }
        }
    }

    struct Stop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lock the agent's vault and end the agent.")

        func run() async throws {
            try await Session.agent().shutDown()
            Terminal.note("the agent has ended")
        }
    }
}

/// What an agent keeps fresh by itself.
struct KeepingOptions: ParsableArguments {
    @Flag(help: "Keep tokens valid of credentials, too, that nobody has asked for in a day.")
    var keepFresh = false

    @Option(
        help: ArgumentHelp(
            "Keep a file with a credential's token in it; may be repeated.", valueName: "name=path[,format=f][,owner=user]"))
    var sink: [SinkOption] = []

    /// - Throws: a failure for an owner that there is not.
    func settings() throws -> RefreshSettings {
        var settings = RefreshSettings()
        settings.keepsAllFresh = keepFresh
        settings.sinks = try sink.map { try $0.sink() }
        let paths = settings.sinks.map(\.path)
        guard Set(paths).count == paths.count else { throw Problem("one file can't be the sink of two credentials", .usage) }
        return settings
    }
}

/// `torq=/run/app/token,format=header,owner=app:web`.
struct SinkOption: ExpressibleByArgument {
    let text: String
    private let name: String
    private let path: String
    private var format = TokenFormat.raw
    private var owner: String?

    init?(argument: String) {
        text = argument
        guard let equals = argument.firstIndex(of: "=") else { return nil }
        name = String(argument[..<equals])
        var rest = argument[argument.index(after: equals)...]
        while let comma = rest.lastIndex(of: ",") {
            let setting = rest[rest.index(after: comma)...]
            if setting.hasPrefix("format=") {
                guard let format = TokenFormat(word: String(setting.dropFirst(7))) else { return nil }
                self.format = format
            } else if setting.hasPrefix("owner="), setting.count > 6 {
                owner = String(setting.dropFirst(6))
            } else {
                break
            }
            rest = rest[..<comma]
        }
        path = String(rest)
        guard !name.isEmpty, path.hasPrefix("/"), !path.hasSuffix("/") else { return nil }
    }

    /// - Throws: a failure for an owner that there is not.
    func sink() throws -> TokenSink {
        let (format, name) = (format, name)
        return TokenSink(credential: name, path: path, owner: try owner.map(Self.account)) { token in
            Array(format.text(token, of: name, at: .now).utf8)
        }
    }

    /// A user, with a group of that user's or another.
    private static func account(_ text: String) throws -> (uid: UInt32, gid: UInt32) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let user = getpwnam(parts[0]) else { throw Problem("there is no user \(Problem.quoted(parts[0]))", .usage) }
        var account = (uid: user.pointee.pw_uid, gid: user.pointee.pw_gid)
        if parts.count == 2 {
            guard let group = getgrnam(parts[1]) else { throw Problem("there is no group \(Problem.quoted(parts[1]))", .usage) }
            account.gid = group.pointee.gr_gid
        }
        return account
    }
}

/// When an open vault locks by itself.
struct LockTimes: ParsableArguments {
    @Option(help: ArgumentHelp("Lock after this time: 8h, 30m, 90s or seconds.", valueName: "time"))
    var ttl: Span?

    @Option(help: ArgumentHelp("Lock after this time without a request.", valueName: "time"))
    var idle: Span?
}

/// A length of time on the command line: `90`, `90s`, `30m`, `8h`, `7d`.
struct Span: ExpressibleByArgument {
    let seconds: Double

    init?(argument: String) {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        let unit = argument.last.flatMap { units[$0] }
        let digits = unit == nil ? argument[...] : argument.dropLast()
        guard let number = UInt32(digits), number > 0 else { return nil }
        seconds = Double(number) * (unit ?? 1)
    }
}

struct Unlock: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Open the agent's vault, and start the agent if none runs.",
        discussion: "The passphrase is asked for, or comes from the same places as for every command.")

    @OptionGroup var times: LockTimes
    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        let socket = try AgentProcess.socket(nil)
        let path = try Session(vaultOptions).absoluteVaultPath()
        let client = AgentClient(socket: AgentSocket(path: socket), vault: path)
        do {
            _ = try await client.status()
        } catch AgentSocket.Failure.nobody {
            try AgentProcess.start(session: Session(vaultOptions), socket: socket, times: times, isLocked: true)
        }
        let (ttl, idle) = (times.ttl?.seconds, times.idle?.seconds)
        switch try Session(vaultOptions).unlockKey() {
        case .keyFile(let key): try await client.unlock(UnlockRequest(keyFile: key, ttl: ttl, idle: idle))
        case .passphrase(let passphrase): try await client.unlock(UnlockRequest(passphrase: passphrase, ttl: ttl, idle: idle))
        }
        let status = try await client.status()
        Terminal.note("unlocked" + (status.locksAt.map { "; locks at \(Report.time($0))" } ?? ""))
    }
}

struct Lock: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lock the agent's vault: its keys are wiped from memory.")

    func run() async throws {
        try await Session.agent().lock()
        Terminal.note("locked")
    }
}
