import Access
import Agent
import Credentials
import AgentProtocol
import FoundationEssentials
import Glibc
import HTTP
import Linux
import OAuth
import TokenEngine
import Vault

/// What a command works with: the vault that its options name, once it is opened, or a running agent that serves it.
struct Session {
    let options: VaultOptions

    init(_ options: VaultOptions) { self.options = options }

    // MARK: The agent

    /// The running agent that tokens would be asked of.
    static func agent() throws -> AgentClient {
        guard let socket = AgentSocket.toAsk() else { throw AgentSocket.Failure.nobody }
        return AgentClient(socket: socket)
    }

    /// The agent that a command may lock and end: the caller's own, and that of the machine only where it is named.
    static func ownAgent() throws -> AgentClient {
        guard let socket = AgentSocket.toAsk() else { throw Problem("no agent runs: there is nothing to end", .noAgent) }
        guard socket.path == Locations.socket else { throw Problem.noAgentOfYours }
        return AgentClient(socket: socket)
    }

    /// Runs `body` with the running agent, where there is one that answers, is open and serves this vault, else on the vault
    /// itself.
    /// - Parameter reason: what the log says that it was for.
    func withTokenAgent<R>(reason: String? = nil, _ body: (any TokenSource) async throws -> R) async throws -> R {
        guard options.keyFile == nil, !options.acceptOlderVault, let socket = AgentSocket.toAsk() else {
            if MachineVault.serves(self) { throw Problem.machineAgentIsAway }
            return try await withAgent(reason: reason, body)
        }
        let client = AgentClient(socket: socket, vault: isVaultNamed ? try absoluteVaultPath() : nil, reason: reason)
        do {
            if socket.wasSilent { throw AgentSocket.Failure.silent(path: socket.path) }
            return try await body(client)
        } catch {
            let problem = Problem(describing: error)
            if socket.path == Locations.systemSocket, MachineVault.serves(self) { throw MachineVault.problem(problem) ?? error }
            guard isForTheVault(problem) else { throw error }
        }
        return try await withAgent(reason: reason, body)
    }

    /// Whether the vault itself is asked after the agent has not answered for this reason.
    private func isForTheVault(_ problem: Problem) -> Bool {
        switch problem.code {
        case .noAgent: return true
        case .agentNotTrusted:
            Terminal.note("\(problem.title), and is not asked")
            return true
        // An agent that can't answer is no reason not to use a key that is at hand.
        case .agentLocked, .otherVault, .agentSilent:
            return (hasStoredKey || Terminal.isThere) && (try? examineVault()) != nil
        default: return false
        }
    }

    // MARK: The vault

    /// Runs `body` with an agent on the opened vault.
    func withAgent<R>(reason: String? = nil, _ body: (any CredentialManager) async throws -> R) async throws -> R {
        let vault = try unlock()
        let (path, logPath) = (try absoluteVaultPath(), try auditLogPath())
        let log = AuditLog(vault: vault, path: logPath)
        return try await Self.withTransport { transport in
            let service = CredentialService(vault: vault, log: log, transport: transport, host: Self.host)
            let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            let command = DetachedAgent.Command(
                vault: vault, path: path, runtimeFolder: Locations.socket.map(Path.folder), stateFolder: Locations.state,
                acceptsOlder: options.acceptOlderVault, uid: getuid(), pid: getpid(), program: program, reason: reason,
                // The end of process 1 is that of all others, and the end of its child may be the reason for it.
                waitsForEnd: getpid() == 1 || getppid() == 1)
            let local = AuditedService(service, log: log, caller: command.caller, reason: reason)
            return try await body(DetachedAgent(local, service, command: command) { try RefresherProcess.start() })
        }
    }

    /// This machine, as logins name their owner.
    static var host: Host { .current(stateFolder: Locations.state, environment: environment) }

    /// Runs `body` with the network.
    static func withTransport<R>(_ body: (any HTTPTransport) async throws -> R) async throws -> R {
        let transport = HTTPClientTransport(
            proxies: ProxySettings(environment: environment), report: ExchangeWords.areWanted ? ExchangeWords.tell : nil)
        do {
            let result = try await body(transport)
            await transport.close()
            return result
        } catch {
            await transport.close()
            throw error
        }
    }

    /// Changes the vault itself, with a line in the log before it begins and one when it is over.
    /// - Parameter body: gets the log, whose head is to be sealed with the change.
    func record(_ kind: AuditEvent.Kind, in vault: UnlockedVault, _ body: (AuditLog) throws -> Void) throws {
        let log = AuditLog(vault: vault, path: try auditLogPath())
        try log.recordChange(kind, of: nil, caller: .own) { try body(log) }
    }

    /// What this process was given.
    static let environment = ProcessInfo.processInfo.environment
}
