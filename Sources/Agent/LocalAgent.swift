import FoundationEssentials
public import OAuth
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
        var credential = Credential(
            provider: new.provider, settings: new.settings, keyPair: KeyPair(client: new.client, since: clock.now()))
        if verify { credential.keep(try await broker.prove(credential), now: clock.now()) }
        let record = try CredentialCoding.record(credential)
        try vault.update { try $0.add(name, record) }
        return CredentialSummary(name: name, credential)
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
                if verify { edited.keep(try await broker.prove(edited), now: clock.now()) }
            }
            let result = edited
            try store.update(name) { $0 = result }
            return CredentialSummary(name: name, result)
        }
    }

    public func rename(_ name: String, to newName: String) async throws {
        try await broker.withLock(name) {
            try vault.update { try $0.rename(name, to: newName) }
        }
    }

    public func remove(_ name: String) async throws {
        try await broker.withLock(name) {
            try vault.update { try $0.remove(name) }
        }
    }

    // MARK: Rotating

    public func rotate(_ name: String, _ rotation: Rotation, verify: Bool) async throws -> CredentialSummary {
        try await broker.withLock(name) {
            let old = try store.credential(name)
            let pair = try newPair(rotation, of: old)
            try store.update(name) { $0.stagedKeyPair = pair }
            let proof = verify ? try await prove(pair, name, old) : nil
            let now = clock.now()
            try store.update(name) { $0.promoteStaged(proof: proof, now: now) }
            return try show(name)
        }
    }

    private func newPair(_ rotation: Rotation, of old: Credential) throws -> KeyPair {
        switch rotation {
        case .to(let client):
            let current = old.keyPair.client
            let sameSecret = current.secret.flatMap { secret in client.secret.map(secret.equals) } ?? (client.secret == nil)
            if current.id == client.id, sameSecret { throw AgentError.samePair }
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
    /// shown to the person only once.
    private func prove(_ pair: KeyPair, _ name: String, _ old: Credential) async throws -> CachedToken {
        var candidate = old
        candidate.keyPair = pair
        do {
            return try await broker.prove(candidate)
        } catch let failure as TokenFailure {
            guard failure.isRefusal else { throw AgentError.rotationUnfinished(cause: failure) }
            try store.update(name) { $0.stagedKeyPair = nil }
            throw failure
        }
    }

    // MARK: Revoking

    public func revoke(_ name: String) async throws -> RevocationReport {
        try await broker.withLock(name) {
            let credential = try store.credential(name)
            var report = RevocationReport()
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
    fileprivate mutating func promoteStaged(proof: CachedToken?, now: Date) {
        guard let staged = stagedKeyPair else { return }
        previousKeyPair = keyPair
        keyPair = staged
        stagedKeyPair = nil
        tokens = []
        refusedSince = nil
        if let proof { keep(proof, now: now) }
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
    fileprivate func differsInTokenRequests(from other: ClientSettings) -> Bool {
        var (a, b) = (self, other)
        (a.revocationURL, a.introspectionURL) = (nil, nil)
        (b.revocationURL, b.introspectionURL) = (nil, nil)
        return a != b
    }
}
