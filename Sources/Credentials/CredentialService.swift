public import Access
import FoundationEssentials
public import OAuth
import Sodium
public import TokenEngine
public import Vault

/// Everything that can be done with the credentials of an unlocked vault.
public struct CredentialService: CredentialManager {
    let vault: UnlockedVault
    let log: AuditLog
    package let store: FileStateStore
    package let driver: TokenDriver
    let endpoints: EndpointClient
    private let idTokens: IDTokenVerifier
    let clock: any WallClock
    let host: Host

    /// - Parameters:
    ///   - log: the vault's, whose head is sealed with every commit. What is done is recorded by `AuditedService`.
    ///   - host: the same for everybody who works on this vault here, or each takes the others' logins for foreign ones.
    ///   - caller: in whose name the log says that a refresh token is sent.
    ///   - mayBegin: throws when nothing new is to be begun any more, as in `TokenDriver`.
    public init(
        vault: UnlockedVault, log: AuditLog, transport: any HTTPTransport, clock: any WallClock = SystemClock(),
        host: Host, caller: Caller = .own, mayBegin: @escaping @Sendable () throws -> Void = {}
    ) {
        self.vault = vault
        self.log = log
        self.clock = clock
        self.host = host
        store = FileStateStore(vault: vault, log: log, caller: caller, clock: clock)
        let clocks = ServerClocks()
        driver = TokenDriver(
            store: store, transport: transport, clock: clock, host: host, clocks: clocks, mayBegin: mayBegin)
        endpoints = EndpointClient(transport: transport, clock: clock, clocks: clocks)
        idTokens = IDTokenVerifier(endpoints: endpoints, clock: clock)
    }

    public func token(_ name: String, _ ask: TokenQuery) async throws -> CachedToken {
        var plain = ask
        // Whoever wants a proof has the same token as all others.
        plain.proof = nil
        let token = try await driver.token(name, plain)
        if let proof = ask.proof {
            return try await driver.prove(proof, with: token, of: try store.credential(name).configuration)
        }
        guard let field = ask.field else { return token }
        let credential = try store.credential(name)
        let configuration = credential.configuration
        let shown = try token.only(field, format: configuration.settings.answer)
        let text = try field.text(in: shown.extras)
        // Whatever a server calls it: no secret of the credential's is anything that came with a token.
        guard !credential.secrets.contains(where: { $0.count > 0 && text.contains($0.revealed()) }) else {
            throw TokenError.notShown(.secret(field.name))
        }
        if field == .idToken { try await idTokens.verify(text, of: configuration) }
        return shown
    }

    public func list() throws -> [ListedCredential] { try list { _ in true } }

    /// - Parameter isWanted: of a credential's name; the records of others are not read.
    package func list(where isWanted: (String) -> Bool) throws -> [ListedCredential] {
        var all: [ListedCredential] = []
        try vault.forEachRecord(where: isWanted) { name, record in
            do {
                all.append(.readable(CredentialView(name: name, try CredentialRecord.credential(record.get(), name: name))))
            } catch {
                guard let reason = UnreadableRecord(error) else { throw error }
                all.append(.unreadable(name: name, reason))
            }
        }
        return all
    }

    public func show(_ name: String) throws -> CredentialView {
        CredentialView(name: name, try store.credential(name))
    }

    // MARK: Adding

    public func add(_ name: String, _ new: NewCredential, verify: Bool) async throws -> CredentialView {
        // Refused before anything is sent; the commit checks again.
        try CredentialName.validate(name)
        if vault.names().contains(name) { throw VaultError.nameTaken(name) }
        let now = clock.now()
        var configuration = CredentialConfiguration(
            provider: new.provider, settings: new.settings, secretFields: try new.secretFields.values(for: new.settings),
            keyPair: KeyPair(client: new.client, since: now, expires: new.secretExpires))
        configuration.registration = new.registration
        if new.settings.dpop == true { configuration.dpopKey = try DPoPKey.make() }
        var state = TokenState()
        state.login = new.refreshToken.map { Login(refreshToken: $0, since: now, renewed: now, owner: host.id) }
        if verify, !new.settings.grant.needsLogin {
            let token: CachedToken
            (token, configuration) = try await BasicForm.proving(configuration) { try await driver.prove($0) }
            state.keep(token, now: clock.now())
        }
        try store(name, Credential(configuration, state))
        if verify, let login = state.login { try await proveStored(name, login) }
        return try changed(name)
    }

    /// A credential as a change has left it.
    /// - Throws: `CredentialError.notShown`: the change is made.
    func changed(_ name: String) throws -> CredentialView {
        do {
            return try show(name)
        } catch let error as VaultError {
            throw CredentialError.notShown(error)
        }
    }

    /// A credential with a refresh token is stored first: proving it may spend it, and what the server gives instead must have
    /// its place. One that the server refuses is taken out again, unless it has become another login meanwhile.
    private func proveStored(_ name: String, _ given: Login) async throws {
        do {
            _ = try await driver.token(name, TokenQuery(mode: .fresh))
        } catch {
            let login = try store.credential(name).state.login
            if login?.sending == nil, login?.refreshToken.equals(given.refreshToken) == true {
                do { try await remove(name, deregister: false) } catch VaultError.notDurable
                { /* It is gone, and `error` says why. */  }
            }
            throw error
        }
    }

    private func store(_ name: String, _ credential: Credential) throws {
        let record = try CredentialRecord.record(credential)
        try vault.update(sealing: log) { try $0.add(name, record) }
    }

    // MARK: Logging in

    public func logIn(_ name: String, with grant: AuthorizationGrant) async throws -> CredentialView {
        try await driver.withClaim(name) { claim in
            try await driver.logIn(with: grant, under: claim)
            return try changed(name)
        }
    }

    public func authorizationRequest(_ name: String, redirectURI: String) async throws -> AuthorizationRequest {
        let configuration = try store.credential(name).configuration
        let client = configuration.keyPair.client
        let thumbprint = try configuration.dpopKey.map(DPoPKey.thumbprint)
        guard
            let request = try configuration.settings.authorizationRequest(
                clientID: client.id, redirectURI: redirectURI, keyThumbprint: thumbprint)
        else { throw TokenError.noSuchEndpoint }
        guard configuration.settings.pushedAuthorizationURL != nil else { return request }
        return try await endpoints.push(request, of: configuration)
    }

    public func deviceCodes(_ name: String) async throws -> DeviceCodes {
        try await endpoints.deviceCodes(try store.credential(name).configuration)
    }

    // MARK: Changing

    public func edit(_ name: String, _ edit: SettingsEdit, verify: Bool) async throws -> CredentialView {
        try await driver.withClaim(name) { claim in
            let stored = claim.credential
            guard edit.isBased(on: stored.configuration) else { throw CredentialError.changedMeanwhile }
            var edited = stored.configuration
            try edit.apply(to: &edited)
            edited.dpopKey = try edited.settings.dpop == true ? edited.dpopKey ?? DPoPKey.make() : nil
            var consequences: [TokenState.Consequence] = []
            if edit.changesTokenRequests {
                consequences = [.forgetRenewable]
                if verify, stored.state.canRenew(by: edited.settings) {
                    consequences.append(.keep(try await driver.prove(edited, under: claim)))
                }
            }
            let (result, dpopKey) = (consequences, edited.dpopKey)
            try store.configure(name, now: clock.now()) { configuration in
                guard edit.isBased(on: configuration) else { throw CredentialError.changedMeanwhile }
                try edit.apply(to: &configuration)
                configuration.dpopKey = dpopKey
                return result
            }
            return try changed(name)
        }
    }

    /// The name, the settings of those that exchange its token, and its rules change in one commit.
    public func rename(_ name: String, to newName: String) async throws {
        try await withLock(name) {
            try vault.update(sealing: log) { transaction in
                try transaction.renameExchanged(name, to: newName)
                try transaction.rename(name, to: newName)
                try transaction.renameRules(of: name, to: newName)
            }
        }
    }

    /// The credential goes in one commit with its rules.
    public func remove(_ name: String, deregister: Bool) async throws {
        if deregister { try await self.deregister(name) }
        try await withLock(name) {
            try vault.update(sealing: log) { transaction in
                try transaction.remove(name)
                try transaction.removeRules(of: name)
            }
        }
    }

    /// Runs `body` while nobody acquires a token for the credential. A claim would read the record first, and what `body` does
    /// must be possible with one that this version can't read.
    private func withLock(_ name: String, _ body: () throws -> Void) async throws {
        try await driver.withLock({ try vault.tryLock(credential: name) }, body)
    }
}

extension VaultTransaction {
    /// Gives the credentials that exchange another one's token its new name. A record of a newer version and a damaged one stay
    /// as they are: what they say of others can't be read.
    fileprivate mutating func renameExchanged(_ name: String, to newName: String) throws {
        for other in names() {
            var credential: Credential
            do {
                credential = try CredentialRecord.credential(record(other), name: other)
            } catch {
                guard UnreadableRecord(error) != nil else { throw error }
                continue
            }
            guard credential.configuration.settings.exchangesToken(of: name) else { continue }
            credential.configuration.settings.renameExchanged(name, to: newName)
            try replace(other, with: CredentialRecord.record(credential))
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
}
