import Agent
import AgentSocket
import ArgumentParser
import FoundationEssentials
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

        @OptionGroup var times: LockTimes
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let socket = try AgentProcess.socket(socket)
            if foreground || detached || AgentProcess.inheritedSocket != nil {
                try await AgentProcess(global: global, socket: socket, times: times, isDetached: detached).serve()
                return
            }
            try AgentProcess.start(global: global, socket: socket, times: times)
            if shell {
                try Terminal.output("CLAVIGER_SOCKET='\(socket.replacing("'", with: "'\\''"))'; export CLAVIGER_SOCKET;")
            } else {
                Terminal.note("the agent listens on \(Terminal.plain(socket))")
            }
        }
    }

    struct Stop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lock the agent's vault and end the agent.")

        func run() async throws {
            try await AgentProcess.client().shutDown()
            Terminal.note("the agent has ended")
        }
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
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let socket = try AgentProcess.socket(nil)
        let path = try global.absoluteVaultPath()
        let client = AgentClient(socket: AgentSocket(path: socket), vault: path)
        do {
            _ = try await client.status()
        } catch AgentSocket.Failure.nobody {
            try AgentProcess.start(global: global, socket: socket, times: times, isLocked: true)
        }
        let (ttl, idle) = (times.ttl?.seconds, times.idle?.seconds)
        switch try global.unlockKey() {
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
        try await AgentProcess.client().lock()
        Terminal.note("locked")
    }
}
