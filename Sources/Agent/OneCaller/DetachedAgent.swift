import AgentProtocol
public import Access
public import Credentials
public import Linux
public import OAuth
import Synchronization
public import TokenEngine
public import Vault

/// The vault's credentials for one command: what may spend a refresh token or a code is done by a refresher, everything else
/// in this process.
public final class DetachedAgent: CredentialManager {
    /// What a refresher is told of the command.
    public struct Command: Sendable {
        public var vault: UnlockedVault
        /// The vault's absolute path.
        public var path: String
        /// Where refreshers register: the folder of this user's agent's socket.
        public var runtimeFolder: String?
        public var stateFolder: String?
        public var acceptsOlder: Bool
        public var uid: UInt32
        public var pid: Int32
        public var program: String?
        public var reason: String?
        /// Whether the command may end only after its refresher: the end of process 1 is that of all others.
        public var waitsForEnd: Bool

        public init(
            vault: UnlockedVault, path: String, runtimeFolder: String?, stateFolder: String?, acceptsOlder: Bool, uid: UInt32,
            pid: Int32, program: String?, reason: String?, waitsForEnd: Bool
        ) {
            self.runtimeFolder = runtimeFolder
            (self.vault, self.path, self.stateFolder, self.acceptsOlder) = (vault, path, stateFolder, acceptsOlder)
            (self.uid, self.pid, self.program, self.reason) = (uid, pid, program, reason)
            self.waitsForEnd = waitsForEnd
        }

        /// As the log names it.
        public var caller: Caller {
            Caller(uid: uid, gid: 0, pid: pid, exe: program)
        }
    }

    private let local: AuditedService
    private let service: CredentialService
    private let command: Command
    /// Starts a refresher.
    private let start: @Sendable () throws -> File
    private let connection = Mutex<(task: Task<RefresherConnection, any Error>?, users: Int)>((nil, 0))

    /// - Parameters:
    ///   - local: does what spends nothing.
    ///   - start: starts a refresher, and returns this end of the socket pair.
    public init(
        _ local: AuditedService, _ service: CredentialService, command: Command, start: @escaping @Sendable () throws -> File
    ) {
        self.local = local
        self.service = service
        self.command = command
        self.start = start
    }

    // MARK: Who does it

    public func token(_ name: String, _ ask: TokenQuery) async throws -> CachedToken {
        guard try service.spends(name, ask) else { return try await local.token(name, ask) }
        guard case .token(let token) = try await perform(.token(name: name, ask)) else { throw Problem.refresherEnded }
        return token.cached
    }

    public func list() async throws -> [ListedCredential] { try await local.list() }
    public func show(_ name: String) async throws -> CredentialView { try await local.show(name) }

    public func add(_ name: String, _ credential: NewCredential, verify: Bool) async throws -> CredentialView {
        guard verify, credential.refreshToken != nil || credential.settings.grant == .tokenExchange else {
            return try await local.add(name, credential, verify: verify)
        }
        return try await summary(.add(name: name, NewCredentialDocument(credential), verify: verify))
    }

    public func rotate(_ name: String, _ rotation: Rotation, verify: Bool) async throws -> CredentialView {
        // A registration's answer is to be stored whatever becomes of the command, too: the old secret may have ended with it.
        guard try rotation.isRenewal || (verify && service.mayBeRefreshed(name)) else {
            return try await local.rotate(name, rotation, verify: verify)
        }
        return try await summary(.rotate(name: name, RotationDocument(rotation), verify: verify))
    }

    public func edit(_ name: String, _ edit: SettingsEdit, verify: Bool) async throws -> CredentialView {
        guard verify, try service.mayBeRefreshed(name) || edit.after.settings.grant == .tokenExchange else {
            return try await local.edit(name, edit, verify: verify)
        }
        return try await summary(.edit(name: name, EditDocument(edit), verify: verify))
    }

    public func check(_ name: String) async throws -> CheckResult {
        guard try service.mayBeRefreshed(name) else { return try await local.check(name) }
        guard case .check(let result) = try await perform(.check(name: name)) else { throw Problem.refresherEnded }
        return result
    }

    public func logIn(_ name: String, with grant: AuthorizationGrant) async throws -> CredentialView {
        guard let document = GrantDocument(grant) else { return try await local.logIn(name, with: grant) }
        return try await summary(.logIn(name: name, document))
    }

    public func authorizationRequest(_ name: String, redirectURI: String) async throws -> AuthorizationRequest {
        try await local.authorizationRequest(name, redirectURI: redirectURI)
    }

    public func deviceCodes(_ name: String) async throws -> DeviceCodes { try await local.deviceCodes(name) }
    public func revoke(_ name: String) async throws -> RevocationReport { try await local.revoke(name) }
    public func rename(_ name: String, to newName: String) async throws { try await local.rename(name, to: newName) }

    public func remove(_ name: String, deregister: Bool) async throws {
        try await local.remove(name, deregister: deregister)
    }
    public func block(_ name: String, reason: String?) async throws -> CredentialView {
        try await local.block(name, reason: reason)
    }
    public func unblock(_ name: String) async throws -> CredentialView { try await local.unblock(name) }

    private func summary(_ operation: ServiceRequest.Operation) async throws -> CredentialView {
        guard case .summary(let summary) = try await perform(operation) else { throw Problem.refresherEnded }
        return summary
    }

    // MARK: The refresher

    /// One refresher for all that is asked at the same time. It ends when nobody waits for it any more.
    private func perform(_ operation: ServiceRequest.Operation) async throws -> ServiceResponse.Result {
        let task = connection.withLock { connection in
            connection.users += 1
            let task = connection.task ?? Task { try await self.connect() }
            connection.task = task
            return task
        }
        let result: Result<ServiceResponse.Result, any Error>
        do {
            result = .success(try await task.value.ask(operation))
        } catch {
            result = .failure(error)
        }
        let isLast = connection.withLock { connection in
            connection.users -= 1
            guard connection.users == 0 else { return false }
            connection.task = nil
            return true
        }
        if isLast { (try? await task.value)?.finish(waits: command.waitsForEnd) }
        return try result.get()
    }

    private func connect() async throws -> RefresherConnection {
        let file: File
        do {
            file = try start()
        } catch {
            throw Problem.refresherNotStarted
        }
        let connection = RefresherConnection(file)
        try await connection.waitUntilReady()
        let open = OpenVault(
            path: command.path, keys: SecretDocument(try command.vault.handOver().bytes), seen: command.vault.generation,
            runtimeFolder: command.runtimeFolder, stateFolder: command.stateFolder, acceptsOlder: command.acceptsOlder,
            uid: command.uid, pid: command.pid, program: command.program, reason: command.reason)
        _ = try await connection.ask(.open(open))
        return connection
    }
}

extension CredentialService {
    /// Whether a token can be had only by spending a refresh token, as far as can be told now.
    func spends(_ name: String, _ ask: TokenQuery) throws -> Bool {
        try mayBeRefreshed(name) && !driver.serves(try store.credential(name), ask)
    }

    /// Whether a token request for this credential may spend a refresh token: its own, or that of the credential whose token it
    /// exchanges.
    func mayBeRefreshed(_ name: String) throws -> Bool {
        let credential = try store.credential(name)
        return credential.state.login != nil || credential.configuration.settings.grant == .tokenExchange
    }
}
