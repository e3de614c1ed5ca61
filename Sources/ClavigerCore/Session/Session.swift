import Access
import Agent
import AgentProtocol
import FoundationEssentials
import HTTP
import OAuth
import TokenEngine
import Vault

/// What a command works with: the vault that its options name, once it is opened, or a running agent that serves it.
struct Session {
    let options: VaultOptions

    init(_ options: VaultOptions) { self.options = options }

    // MARK: The agent

    /// The running agent.
    static func agent() throws -> AgentClient {
        guard let socket = AgentSocket.toAsk() else { throw AgentSocket.Failure.nobody }
        return AgentClient(socket: socket)
    }

    /// Runs `body` with the running agent, where there is one that answers, is open and serves this vault, else on the vault
    /// itself.
    /// - Parameter reason: what the log says that it was for.
    func withTokenAgent<R>(reason: String? = nil, _ body: (any TokenAgent) async throws -> R) async throws -> R {
        guard options.keyFile == nil, !options.acceptOlderVault, let socket = AgentSocket.toAsk() else {
            return try await withAgent(reason: reason, body)
        }
        let client = AgentClient(socket: socket, vault: isVaultNamed ? try absoluteVaultPath() : nil, reason: reason)
        do {
            return try await body(client)
        } catch {
            let problem = Problem(describing: error)
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
    func withAgent<R>(reason: String? = nil, _ body: (any CredentialAgent) async throws -> R) async throws -> R {
        let vault = try unlock()
        let log = AuditLog(vault: vault, path: try auditLogPath())
        return try await Self.withTransport { transport in
            let agent = AuditedAgent(CredentialService(vault: vault, transport: transport), log: log, reason: reason)
            return try await body(agent)
        }
    }

    /// Runs `body` with the network.
    static func withTransport<R>(_ body: (any HTTPTransport) async throws -> R) async throws -> R {
        let transport = HTTPClientTransport(proxies: ProxySettings(environment: environment))
        do {
            let result = try await body(transport)
            await transport.close()
            return result
        } catch {
            await transport.close()
            throw error
        }
    }

    /// Writes into the log what was done with the vault itself.
    func record(_ kind: AuditEvent.Kind, _ credential: String? = nil, in vault: UnlockedVault) throws {
        let event = AuditEvent(kind, of: credential, by: .own, at: Date())
        try AuditLog(vault: vault, path: auditLogPath()).append([event])
    }

    /// What this process was given.
    static let environment = ProcessInfo.processInfo.environment
}
