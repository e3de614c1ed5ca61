public import AgentProtocol
public import Credentials
import Dispatch
import FoundationEssentials
import OAuth
import Sodium
public import TokenEngine

/// Asks a running agent. What it answers is believed because the kernel says who it is; see `AgentSocket`.
public struct AgentClient: TokenSource {
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

    public func token(_ name: String, _ ask: TokenQuery) async throws -> CachedToken {
        var parameters = AgentRequest.TokenParameters()
        parameters.minimumLifetime = ask.minimumLifetime
        switch ask.mode {
        case .cached: break
        case .fresh: parameters.isFresh = true
        case .rejected: parameters.rejected = ask.rejectedToken.flatMap { TokenName($0.hex) }.map(RejectedToken.named) ?? .stored
        }
        parameters.takesOver = ask.takesOver
        parameters.resends = ask.resends
        parameters.field = ask.field?.name
        parameters.proof = ask.proof?.text
        (parameters.scopes, parameters.audiences) = (ask.access.scopes, ask.access.audiences)
        return try await fetch(TokenDocument.self, .token(name, parameters)).token(access: ask.access)
    }

    public func list() async throws -> [ListedCredential] {
        try await fetch([ListedCredential].self, .list())
    }

    public func credential(_ name: String) async throws -> ListedCredential {
        try await fetch(ListedCredential.self, .show(name))
    }

    // MARK: The agent itself

    /// Says that this process is about to store a new key pair. Until it ends, whoever can't have a token meanwhile is told so.
    public func rotates(_ name: String) async throws { _ = try await send(.rotation(name)) }

    public func status() async throws -> AgentStatus {
        try await fetch(AgentStatus.self, .status())
    }

    public func unlock(_ request: UnlockRequest) async throws {
        var body = Array(try AgentJSON.encoder().encode(request))
        defer { body.wipe() }
        _ = try await send(.unlock(body))
    }

    public func lock() async throws { _ = try await send(.lock()) }
    public func shutDown() async throws { _ = try await send(.shutDown()) }

    private func fetch<T: Decodable>(_ type: T.Type, _ request: AgentRequest) async throws -> T {
        let body = try await send(request)
        guard let value = try? AgentJSON.decoder().decode(T.self, from: Data(body)) else { throw AgentSocket.Failure.broken }
        return value
    }

    /// Where it may block: an agent that acquires a token takes its time.
    private func send(_ request: AgentRequest) async throws -> [UInt8] {
        let request = request.with(vault: vault, reason: reason, accept: .json)
        let answer = try await withCheckedThrowingContinuation { continuation in
            // A serial queue has a thread of its own for as long as it needs one. The global queues share theirs, one for each
            // core, with every task of this process, which would stand still meanwhile.
            DispatchQueue(label: "claviger.agent").async { continuation.resume(with: Result { try socket.send(request) }) }
        }
        guard (200..<300).contains(answer.status) else {
            let document = try? AgentJSON.decoder().decode(ProblemDocument.self, from: Data(answer.body))
            throw document?.problem ?? AgentSocket.Failure.broken
        }
        return answer.body
    }
}
