import Agent
import AgentProtocol
import ArgumentParser
import Vault

struct Unlock: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unlock",
        abstract: "Open the agent's vault, and start the agent if none runs.",
        discussion: "The passphrase is asked for, or comes from the same places as for every command.")

    @OptionGroup var times: LockTimes
    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        let session = Session(vaultOptions)
        if MachineVault.serves(session) { throw Problem.machineVaultIsKept }
        let (socket, path) = (try AgentLauncher.socket(), try session.absoluteVaultPath())
        let client = AgentClient(socket: AgentSocket(path: socket), vault: path)
        do {
            _ = try await client.status()
        } catch AgentSocket.Failure.nobody {
            // Its service starts it, with the folder that it listens in.
            if socket == Locations.systemSocket { throw Problem.machineAgentIsAway }
            try AgentLauncher.start(session: session, socket: socket, times: times, isLocked: true)
        }
        try await unlock(client)
        let status = try await client.status()
        Terminal.note("unlocked" + (status.locksAt.map { "; locks at \(Report.time($0))" } ?? ""))
    }

    private func unlock(_ client: AgentClient) async throws {
        let (ttl, idle) = (times.ttl?.seconds, times.idle?.seconds)
        var isFirst = true
        try await Session(vaultOptions).trying { key in
            let request: UnlockRequest =
                switch key {
                case .keyFile(let key): UnlockRequest(keyFile: key, ttl: ttl, idle: idle)
                case .passphrase(let passphrase): UnlockRequest(passphrase: passphrase, ttl: ttl, idle: idle)
                }
            // After a wrong one the agent takes none for a moment: 1 s, then 2 s. Whoever types fast does not hear of it.
            for _ in 0..<(isFirst ? 0 : 3) {
                do { return try await client.unlock(request) } catch let problem as Problem where problem.code == .tooManyGuesses
                {
                    try await Task.sleep(for: .seconds(1))
                }
            }
            isFirst = false
            try await client.unlock(request)
        }
    }
}
