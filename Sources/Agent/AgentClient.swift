public import AgentSocket
import Dispatch
import FoundationEssentials
import OAuth
import Sodium
public import TokenEngine

/// Asks a running agent. What it answers is believed because the kernel says who it is; see `AgentSocket`.
public struct AgentClient: TokenAgent {
    private let socket: AgentSocket
    private let vault: String?
    private let reason: String?

    /// - Parameters:
    ///   - vault: the absolute path of the vault that is meant, or nil for whichever the agent serves.
    ///   - reason: what the log says that it was for.
    public init(socket: AgentSocket, vault: String? = nil, reason: String? = nil) {
        self.socket = socket
        self.vault = vault
        self.reason = reason
    }

    public func token(_ name: String, _ ask: TokenAsk) async throws -> CachedToken {
        var query: [String] = []
        if let seconds = ask.minimumLifetime { query.append("min_ttl=\(seconds)") }
        switch ask.mode {
        case .cached: break
        case .fresh: query.append("fresh=1")
        case .rejected: query.append("rejected=1")
        }
        if ask.takesOver { query.append("take_over=1") }
        query += ask.access.scopes.map { "scope=" + AgentSocket.encode($0) }
        query += ask.access.audiences.map { "audience=" + AgentSocket.encode($0) }
        let target = "/v1/tokens/" + AgentSocket.encode(name) + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
        return try await fetch(TokenDocument.self, "GET", target).token(access: ask.access)
    }

    public func list() async throws -> [CredentialSummary] {
        try await fetch([CredentialSummary].self, "GET", "/v1/credentials")
    }

    public func show(_ name: String) async throws -> CredentialSummary {
        try await fetch(CredentialSummary.self, "GET", "/v1/credentials/" + AgentSocket.encode(name))
    }

    // MARK: The agent itself

    public func status() async throws -> AgentStatus {
        try await fetch(AgentStatus.self, "GET", "/v1/status")
    }

    public func unlock(_ request: UnlockRequest) async throws {
        var body = Array(try AgentJSON.encoder().encode(request))
        defer { body.wipe() }
        _ = try await exchange("POST", "/v1/unlock", body)
    }

    public func lock() async throws { _ = try await exchange("POST", "/v1/lock") }
    public func shutDown() async throws { _ = try await exchange("POST", "/v1/shutdown") }

    private func fetch<T: Decodable>(_ type: T.Type, _ method: String, _ target: String) async throws -> T {
        let body = try await exchange(method, target)
        guard let value = try? AgentJSON.decoder().decode(T.self, from: Data(body)) else { throw AgentSocket.Failure.broken }
        return value
    }

    /// Where it may block: an agent that acquires a token takes its time.
    private func exchange(_ method: String, _ target: String, _ body: [UInt8] = []) async throws -> [UInt8] {
        var headers = ["Accept: application/json"]
        if let vault { headers.append("Claviger-Vault: " + AgentSocket.encode(vault)) }
        if let reason { headers.append("Claviger-Reason: " + AgentSocket.encode(reason)) }
        let lines = headers
        let answer = try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(with: Result { try socket.exchange(method, target, headers: lines, body: body) })
            }
        }
        guard (200..<300).contains(answer.status) else {
            throw (try? AgentJSON.decoder().decode(AgentProblem.self, from: Data(answer.body))) ?? AgentSocket.Failure.broken
        }
        return answer.body
    }
}
