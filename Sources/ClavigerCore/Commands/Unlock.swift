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
        let socket = try AgentLauncher.socket(nil)
        let path = try Session(vaultOptions).absoluteVaultPath()
        let client = AgentClient(socket: AgentSocket(path: socket), vault: path)
        do {
            _ = try await client.status()
        } catch AgentSocket.Failure.nobody {
            try AgentLauncher.start(session: Session(vaultOptions), socket: socket, times: times, isLocked: true)
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
