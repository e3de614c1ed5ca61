import Access
import FoundationEssentials
public import OAuth
import Sodium
public import TokenEngine
public import Vault

/// Does the work in this process, on an unlocked vault.
public struct LocalAgent: CredentialAgent {
    private let vault: UnlockedVault
    private let store: VaultTokenStore
    private let broker: TokenBroker
    private let clock: any WallClock

    public init(vault: UnlockedVault, transport: any HTTPTransport, clock: any WallClock = SystemClock()) {
        self.vault = vault
        self.clock = clock
        store = VaultTokenStore(vault: vault)
        broker = TokenBroker(store: store, transport: transport, clock: clock)
    }

    public func token(_ name: String, _ ask: TokenAsk) async throws -> CachedToken {
        try await broker.token(name, ask)
    }

    public func list() throws -> [CredentialSummary] {
        var all: [CredentialSummary] = []
        try vault.forEachRecord { name, record in
            all.append(CredentialSummary(name: name, try CredentialCoding.credential(record, name: name)))
        }
        return all
    }

    public func show(_ name: String) throws -> CredentialSummary {
        CredentialSummary(name: name, try store.credential(name))
    }

    // MARK: Adding and changing

    public func add(_ name: String, _ new: NewCredential, verify: Bool) async throws -> CredentialSummary {
        // Refused before anything is sent; the commit checks again.
        try CredentialName.validate(name)
        if vault.names().contains(name) { throw VaultError.nameTaken(name) }
        let now = clock.now()
        var credential = Credential(
            provider: new.provider, settings: new.settings, keyPair: KeyPair(client: new.client, since: now))
        credential.login = new.refreshToken.map {
            Login(refreshToken: $0, since: now, renewed: now, owner: MachineIdentity.current)
        }
        guard verify, !new.settings.grant.needsLogin else { return try await addUnproven(name, credential, verify: verify) }
        credential.keep(try await broker.prove(credential).token, now: clock.now())
        try store(name, credential)
        return CredentialSummary(name: name, credential)
    }

    /// A credential that needs a login is stored first: proving a refresh token may spend it, and what the server gives
    /// instead must have its place. One that the server refuses is taken out again; it is of no use to anybody.
    private func addUnproven(_ name: String, _ credential: Credential, verify: Bool) async throws -> CredentialSummary {
        try store(name, credential)
        guard verify, credential.login != nil else { return CredentialSummary(name: name, credential) }
        do {
            _ = try await broker.token(name, TokenAsk(mode: .fresh))
        } catch {
            if try store.credential(name).login?.spending == nil { try await remove(name) }
            throw error
        }
        return try show(name)
    }

    private func store(_ name: String, _ credential: Credential) throws {
        let record = try CredentialCoding.record(credential)
        try vault.update { try $0.add(name, record) }
    }

    // MARK: Logging in

    public func logIn(_ name: String, with grant: AuthorizationGrant) async throws -> CredentialSummary {
        try await broker.withLock(name) {
            let credential = try store.credential(name)
            let room = try store.reserveRoom()
            let proof = try await broker.logIn(credential, with: grant)
            let now = clock.now()
            try await storeAnswer(name, in: room) {
                $0.tokens = []
                $0.login = proof.login
                $0.keep(proof.token, now: now)
            }
            return try show(name)
        }
    }

    public func deviceCodes(_ name: String) async throws -> DeviceCodes {
        try await broker.deviceCodes(try store.credential(name))
    }

    public func edit(
        _ name: String, clientID: String, settings: ClientSettings, verify: Bool
    ) async throws -> CredentialSummary {
        try await broker.withLock(name) {
            var edited = try store.credential(name)
            let changesTokens = edited.keyPair.client.id != clientID || edited.settings.differsInTokenRequests(from: settings)
            edited.keyPair.client.id = clientID
            edited.settings = settings
            if changesTokens {
                edited.tokens = []
                if verify, edited.isProvable { edited.adopt(try await prove(edited, name), now: clock.now()) }
            }
            let result = edited
            try store.update(name) { $0 = result }
            return CredentialSummary(name: name, result)
        }
    }

    public func rename(_ name: String, to newName: String) async throws {
        try await broker.withLock(name) {
            let exchanges = try list().filter { $0.settings.exchangesToken(of: name) }.map(\.name)
            try vault.update { transaction in
                for other in exchanges {
                    var credential = try CredentialCoding.credential(transaction.record(other), name: other)
                    credential.settings.renameExchanged(name, to: newName)
                    try transaction.replace(other, with: CredentialCoding.record(credential))
                }
                try transaction.rename(name, to: newName)
            }
            // What was allowed of the old name is allowed of the new one, and of nothing that takes the old name later.
            let policy = VaultPolicy(vault: vault)
            if try policy.read().rules.contains(where: { $0.credential == name }) {
                try policy.update { policy in
                    for rule in policy.rules where rule.credential == name {
                        policy.deny(name, rule.subject)
                        var renamed = rule
                        renamed.credential = newName
                        policy.allow(renamed)
                    }
                }
            }
        }
    }

    public func remove(_ name: String) async throws {
        try await broker.withLock(name) {
            try vault.update { try $0.remove(name) }
            // A credential that gets this name later is another: nobody is allowed anything of it.
            let policy = VaultPolicy(vault: vault)
            if try policy.read().rules.contains(where: { $0.credential == name }) {
                try policy.update { $0.rules.removeAll { $0.credential == name } }
            }
        }
    }

    // MARK: Rotating

    public func rotate(_ name: String, _ rotation: Rotation, verify: Bool) async throws -> CredentialSummary {
        try await broker.withLock(name) {
            let old = try store.credential(name)
            let pair = try newPair(rotation, of: old)
            try store.update(name) { $0.stagedKeyPair = pair }
            let proof = verify ? try await proveStaged(pair, name, old) : nil
            let now = clock.now()
            try store.update(name) { $0.promoteStaged(proof: proof, now: now) }
            return try show(name)
        }
    }

    private func newPair(_ rotation: Rotation, of old: Credential) throws -> KeyPair {
        switch rotation {
        case .to(let client):
            if client.isSame(as: old.keyPair.client) { throw AgentError.samePair }
            return KeyPair(client: client, since: clock.now())
        case .staged:
            guard let pair = old.stagedKeyPair else { throw AgentError.nothingStaged }
            return pair
        case .previous:
            guard let pair = old.previousKeyPair else { throw AgentError.nothingToRollBack }
            return pair
        }
    }

    /// A pair that the server refuses is dropped. One that could not be tried stays staged: its secret may have been
    /// shown to the person only once. Where nobody is logged in there is nothing to prove it with.
    private func proveStaged(_ pair: KeyPair, _ name: String, _ old: Credential) async throws -> TokenBroker.Proof? {
        var candidate = old
        candidate.keyPair = pair
        guard candidate.isProvable else { return nil }
        do {
            return try await prove(candidate, name)
        } catch TokenFailure.refused(.invalidGrant) where candidate.login != nil {
            // The client was let in, and its login was not: the pair is good, and the person has to log in again.
            let now = clock.now()
            try store.update(name) { $0.login?.ended = now }
            return nil
        } catch let failure as TokenFailure {
            guard failure.isRefusal else { throw AgentError.rotationUnfinished(cause: failure) }
            try store.update(name) { $0.stagedKeyPair = nil }
            throw failure
        }
    }

    /// Proves a credential whose lock is held. Where that spends a refresh token, the new one is stored at once.
    private func prove(_ candidate: Credential, _ name: String) async throws -> TokenBroker.Proof {
        guard let login = candidate.login else { return try await broker.prove(candidate) }
        if login.rotates, login.owner != MachineIdentity.current { throw TokenFailure.ownedElsewhere }
        let now = clock.now()
        let room = try store.reserveRoom()
        try store.update(name) { $0.login?.spending = now }
        do {
            let proof = try await broker.prove(candidate)
            try await storeAnswer(name, in: room) { $0.login = proof.login }
            return proof
        } catch let failure as TokenFailure where failure.isRefusal {
            try store.update(name) { $0.login?.spending = nil }
            throw failure
        }
    }

    /// Stores what a server gave that it will not give again: tried as often as the engine tries it.
    private func storeAnswer(
        _ name: String, in room: any Sendable, _ change: @Sendable (inout Credential) -> Void
    ) async throws {
        do {
            return try store.update(name, in: room, change)
        } catch {
            for _ in 1..<10 {
                try await clock.sleep(seconds: 0.5)
                if (try? store.update(name, change)) != nil { return }
            }
            throw TokenFailure.notStored
        }
    }

    // MARK: Checking

    /// A key pair is proven by a new token, which is not stored. A login is not refreshed for nothing: its stored token
    /// is shown to the server where that can be asked, and renewed where not.
    public func check(_ name: String) async throws -> CheckResult {
        let credential = try store.credential(name)
        guard credential.settings.grant.needsLogin else { return try await checkKeyPair(name, credential) }
        guard credential.settings.introspectionURL != nil else {
            _ = try await broker.token(name, TokenAsk(mode: .fresh))
            return .granted
        }
        let token = try await broker.token(name, TokenAsk())
        guard try await broker.isActive(token.token, of: store.credential(name)) else { throw AgentError.inactive }
        return .active
    }

    private func checkKeyPair(_ name: String, _ credential: Credential) async throws -> CheckResult {
        do {
            let token = try await broker.prove(credential).token
            if credential.refusedSince != nil { try store.update(name) { $0.refusedSince = nil } }
            guard credential.settings.introspectionURL != nil else { return .granted }
            guard try await broker.isActive(token.token, of: credential) else { throw AgentError.inactive }
            return .active
        } catch TokenFailure.keyPairRefused {
            let now = clock.now()
            try store.update(name) { $0.refusedSince = $0.refusedSince ?? now }
            throw TokenFailure.keyPairRefused
        }
    }

    // MARK: Revoking

    public func revoke(_ name: String) async throws -> RevocationReport {
        try await broker.withLock(name) {
            let credential = try store.credential(name)
            var report = RevocationReport()
            // The refresh token first: it could buy new access tokens meanwhile.
            if let login = credential.login {
                let atServer = try await broker.revoke(login.refreshToken, hint: "refresh_token", of: credential)
                try store.update(name) { $0.login = nil }
                (report.endedLogin, report.forgotLogin) = (atServer, !atServer)
            }
            for token in credential.tokens {
                let atServer = try await broker.revoke(token.token, hint: "access_token", of: credential)
                try store.update(name) { $0.forget(token) }
                report.count(token, revokedAtServer: atServer, now: clock.now())
            }
            return report
        }
    }
}

extension RevocationReport {
    fileprivate mutating func count(_ token: CachedToken, revokedAtServer: Bool, now: Date) {
        if revokedAtServer {
            revoked += 1
        } else if !token.hasExpired(at: now) {
            forgotten += 1
            validUntil = [validUntil, token.expires].compactMap { $0 }.max()
        }
    }
}

extension Credential {
    /// The staged pair becomes the one in use, and the one in use the previous. Tokens bought with the old pair go.
    fileprivate mutating func promoteStaged(proof: TokenBroker.Proof?, now: Date) {
        guard let staged = stagedKeyPair else { return }
        previousKeyPair = keyPair
        keyPair = staged
        stagedKeyPair = nil
        tokens = []
        refusedSince = nil
        if let proof { adopt(proof, now: now) }
    }

    fileprivate mutating func adopt(_ proof: TokenBroker.Proof, now: Date) {
        keep(proof.token, now: now)
        if let login = proof.login { self.login = login }
    }

    /// Whether a token can be acquired without a person.
    fileprivate var isProvable: Bool {
        !settings.grant.needsLogin || login.map { $0.ended == nil } ?? false
    }
}

extension ClientIdentity {
    fileprivate func isSame(as other: ClientIdentity) -> Bool {
        func same(_ a: Secret?, _ b: Secret?) -> Bool {
            guard let a, let b else { return a == nil && b == nil }
            return a.equals(b)
        }
        return id == other.id && username == other.username && same(secret, other.secret) && same(password, other.password)
    }
}

extension TokenFailure {
    /// Whether the server has spoken against this very pair.
    fileprivate var isRefusal: Bool {
        switch self {
        case .keyPairRefused, .refused: true
        default: false
        }
    }
}

extension ClientSettings {
    fileprivate func exchangesToken(of name: String) -> Bool {
        subject?.source == .credential(name: name) || actor?.source == .credential(name: name)
    }

    fileprivate mutating func renameExchanged(_ name: String, to newName: String) {
        if subject?.source == .credential(name: name) { subject?.source = .credential(name: newName) }
        if actor?.source == .credential(name: name) { actor?.source = .credential(name: newName) }
    }

    fileprivate func differsInTokenRequests(from other: ClientSettings) -> Bool {
        var (a, b) = (self, other)
        (a.revocationURL, a.introspectionURL, a.apiURL) = (nil, nil, nil)
        (b.revocationURL, b.introspectionURL, b.apiURL) = (nil, nil, nil)
        return a != b
    }
}
