public import Access
public import OAuth
import Sodium
public import TokenEngine

/// The service with every deed in the log: a change before it begins and when it is over, a token before it is handed out.
public struct AuditedService: CredentialManager {
    private let agent: CredentialService
    private let log: AuditLog
    private let clock: any WallClock
    private let reason: String?
    private let caller: Caller

    public init(
        _ agent: CredentialService, log: AuditLog, clock: any WallClock = SystemClock(), caller: Caller, reason: String? = nil
    ) {
        self.caller = caller
        self.agent = agent
        self.log = log
        self.clock = clock
        self.reason = reason
    }

    public func token(_ name: String, _ ask: TokenQuery) async throws -> CachedToken {
        try await log.record(
            .token, of: name, caller: caller, reason: reason, clock: clock, token: { $0.token.withBytes { $0.array() } }
        ) { try await agent.token(name, ask) }
    }

    public func list() async throws -> [ListedCredential] { try agent.list() }
    public func show(_ name: String) async throws -> CredentialView { try agent.show(name) }

    public func add(_ name: String, _ credential: NewCredential, verify: Bool) async throws -> CredentialView {
        try await changing(.add, name) { try await agent.add(name, credential, verify: verify) }
    }

    public func rotate(_ name: String, _ rotation: Rotation, verify: Bool) async throws -> CredentialView {
        try await changing(.rotate, name) { try await agent.rotate(name, rotation, verify: verify) }
    }

    public func logIn(_ name: String, with grant: AuthorizationGrant) async throws -> CredentialView {
        try await changing(.login, name) { try await agent.logIn(name, with: grant) }
    }

    public func authorizationRequest(_ name: String, redirectURI: String) async throws -> AuthorizationRequest {
        try await agent.authorizationRequest(name, redirectURI: redirectURI)
    }

    public func deviceCodes(_ name: String) async throws -> DeviceCodes { try await agent.deviceCodes(name) }

    public func revoke(_ name: String) async throws -> RevocationReport {
        try await changing(.revoke, name) { try await agent.revoke(name) }
    }

    public func check(_ name: String) async throws -> CheckResult {
        try await changing(.check, name) { try await agent.check(name) }
    }

    public func edit(_ name: String, _ edit: SettingsEdit, verify: Bool) async throws -> CredentialView {
        try await changing(.edit, name) { try await agent.edit(name, edit, verify: verify) }
    }

    public func rename(_ name: String, to newName: String) async throws {
        try await changing(.rename, name) { try await agent.rename(name, to: newName) }
    }

    public func remove(_ name: String, deregister: Bool) async throws {
        try await changing(.remove, name) { try await agent.remove(name, deregister: deregister) }
    }

    public func block(_ name: String, reason: String?) async throws -> CredentialView {
        try await changing(.block, name, for: reason) { try await agent.block(name, reason: reason) }
    }

    public func unblock(_ name: String) async throws -> CredentialView {
        try await changing(.unblock, name) { try await agent.unblock(name) }
    }

    /// - Parameter reason: of this change alone.
    private func changing<R>(
        _ kind: AuditEvent.Kind, _ name: String, for reason: String? = nil, _ body: () async throws -> R
    ) async throws -> R {
        try await log.recordChange(kind, of: name, caller: caller, reason: reason ?? self.reason, clock: clock, body)
    }
}
