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
            It listens on $CLAVIGER_SOCKET, else on claviger/agent.sock below $XDG_RUNTIME_DIR or /run/user/UID, and goes to the background, \
            unless --foreground is given or systemd has handed it a socket. It starts unlocked where a key file or a \
            passphrase source is named, else locked: claviger unlock opens it. See claviger-agent(1).
            """,
        subcommands: [Run.self, Stop.self, Status.self, Unlock.self, Lock.self], defaultSubcommand: Run.self)

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "run", abstract: "Run the agent (what agent alone does, too).")

        @Flag(help: "Stay in the foreground.")
        var foreground = false

        @Flag(help: "Print what a shell needs to find the agent: eval \"$(claviger agent --shell)\".")
        var shell = false

        @Flag(help: .private)
        var detached = false

        @Flag(help: .private)
        var yields = false

        @OptionGroup var keeping: RenewalOptions
        @OptionGroup var times: LockTimes
        @OptionGroup var vaultOptions: VaultOptions

        func run() async throws {
            if MachineVault.serves(Session(vaultOptions)) { throw Problem.machineVaultIsKept }
            let socket = try AgentLauncher.socket()
            // What is wrong with a sink is better said here than in the background.
            _ = try keeping.settings()
            if foreground || detached || AgentLauncher.inheritedSocket != nil {
                try await AgentLauncher(
                    session: Session(vaultOptions), socket: socket, times: times, keeping: keeping, isDetached: detached,
                    yields: yields
                ).serve()
                return
            }
            try AgentLauncher.start(session: Session(vaultOptions), socket: socket, times: times, keeping: keeping)
            if shell {
                try Terminal.output("CLAVIGER_SOCKET=\(ShellQuotes.quoted(socket)); export CLAVIGER_SOCKET;")
            } else {
                Terminal.note("the agent listens on \(Terminal.plain(socket))")
            }
        }
    }

    struct Stop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "stop", abstract: "Lock the agent's vault and end the agent.")

        @OptionGroup var finishing: FinishingOptions
        @OptionGroup var common: CommonOptions

        func run() async throws {
            try await FinishingRefreshers.lock(waits: finishing.wait) {
                try await Session.ownAgent().shutDown()
                Terminal.note("the agent has ended")
            }
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "status", abstract: "Say whether the agent runs, and whether it is unlocked.")

        @Flag(help: "Print JSON.")
        var json = false

        @OptionGroup var common: CommonOptions

        func run() async throws {
            let status = try await Session.agent().status()
            if json { return try Terminal.output(Report.json(status)) }
            let lock = status.locked ? "locked" : "unlocked" + (status.locksAt.map { ", locks at \(Report.time($0))" } ?? "")
            try Terminal.output(
                Report.table([
                    ["agent", lock], ["vault", Terminal.plain(status.vault)], ["process", "\(status.pid)"],
                    ["since", Report.time(status.since)],
                ]))
        }
    }
}
