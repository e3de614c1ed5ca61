import FoundationEssentials
import OAuth
import Sodium
public import TokenEngine

/// What a store of token states must do, whatever it keeps them in. Each check makes a store of its own and throws if the
/// store does something else.
public struct TokenStateStoreContract: Sendable {
    /// A store under test, with the credential `a`, which has a login.
    public struct Subject {
        /// Two ways to the same credentials, as two processes have them.
        public var store: any TokenStateStore
        public var other: any TokenStateStore
        /// Fills the disk, or what the store has in place of one: nothing can be reserved, nor written without reservation.
        public var fill: @Sendable (Bool) -> Void
        /// Makes the next commits fail, so many.
        public var failCommits: @Sendable (Int) -> Void
        /// Changes `a` as another program would.
        public var change: @Sendable (@Sendable (inout Credential) -> Void) throws -> Void

        public init(
            store: any TokenStateStore, other: any TokenStateStore, fill: @escaping @Sendable (Bool) -> Void,
            failCommits: @escaping @Sendable (Int) -> Void,
            change: @escaping @Sendable (@Sendable (inout Credential) -> Void) throws -> Void
        ) {
            (self.store, self.other, self.fill, self.failCommits, self.change) = (store, other, fill, failCommits, change)
        }
    }

    public enum Check: String, CaseIterable, Sendable {
        case exclusion = "a claim keeps others from claiming, until nobody refers to it"
        case absence = "a credential that is not there can be neither read nor claimed, however often"
        case rereading = "a claim holds what was stored when it was taken, and reads again what others have changed since"
        case journal = "beginning to send journals the refresh token that is stored now, and permits it"
        case nothingSpent = "beginning to send without a refresh token writes nothing"
        case noLogin = "no permit is given for a refresh token that is not stored"
        case noRoom = "without room for an answer, beginning to send throws, and journals nothing"
        case failingJournal = "if the journal can't be written, beginning to send throws, and permits nothing"
        case room = "an answer is stored on a disk that has become full meanwhile"
        case retry = "an answer that could not be stored keeps its room, and can be stored again"
        case lineage = "the answer to the stored refresh token is stored, and settles the journal"
        case foreignLineage = "the answer to a refresh token that is no longer stored changes nothing"
        case login = "a new login takes the place of the old one"
        case update = "an update changes the state, and keeps what people have changed meanwhile"
        case failingUpdate = "an update that fails throws, and changes nothing"
    }

    /// Why a store breaks the contract.
    public struct Violation: Error, CustomStringConvertible {
        public let description: String
    }

    private let make: @Sendable ([String: Credential]) async throws -> Subject

    /// - Parameter make: makes a store that holds these credentials.
    public init(_ make: @escaping @Sendable ([String: Credential]) async throws -> Subject) { self.make = make }

    /// - Throws: `Violation`, or what the store throws where it must not.
    public func run(_ check: Check) async throws {
        let subject = try await make(["a": Self.credential()])
        switch check {
        case .exclusion: try await exclusion(subject)
        case .absence: try await absence(subject)
        case .rereading: try await rereading(subject)
        case .journal: try await journal(subject)
        case .nothingSpent: try await nothingSpent(subject)
        case .noLogin: try await noLogin(subject)
        case .noRoom: try await noRoom(subject)
        case .failingJournal: try await failingJournal(subject)
        case .room: try await room(subject)
        case .retry: try await retry(subject)
        case .lineage: try await lineage(subject)
        case .foreignLineage: try await foreignLineage(subject)
        case .login: try await login(subject)
        case .update: try await update(subject)
        case .failingUpdate: try await failingUpdate(subject)
        }
    }

    // MARK: Claims

    private func exclusion(_ subject: Subject) async throws {
        var claim = try await subject.store.tryClaim("a")
        try expect(claim != nil, "a free credential can't be claimed")
        try expect(try await subject.other.tryClaim("a") == nil, "two claims at the same time")
        try expect(try await subject.store.tryClaim("a") == nil, "two claims at the same time in one process")
        _ = try await subject.other.credential("a")
        withExtendedLifetime(claim) {}
        claim = nil
        try expect(try await subject.other.tryClaim("a") != nil, "a claim that was let go is held still")
    }

    private func absence(_ subject: Subject) async throws {
        for _ in 0..<2 {
            try await expectError("an absent credential was read") { _ = try await subject.store.credential("nobody") }
            try await expectError("an absent credential was claimed") { _ = try await subject.store.tryClaim("nobody") }
        }
    }

    private func rereading(_ subject: Subject) async throws {
        try subject.change { $0.configuration.provider = "first" }
        let claim = try await claimed(subject)
        try expect(claim.credential.configuration.provider == "first", "a claim holds an older state")
        try subject.change { $0.configuration.provider = "second" }
        try expect(claim.credential.configuration.provider == "first", "a claim's state has changed under it")
        try expect(try await claim.reread().configuration.provider == "second", "a claim does not see a change of another")
    }

    // MARK: Before sending

    private func journal(_ subject: Subject) async throws {
        let claim = try await claimed(subject)
        let newer = try Secret(utf8: "made-up-newer")
        try subject.change { $0.state.login?.refreshToken = newer }
        let permit = try await claim.beginSending(Self.sending)
        try expect(permit.refreshToken?.equals(newer) == true, "a permit holds another refresh token than the stored one")
        let stored = try await subject.other.credential("a").state.login
        try expect(stored?.sending == Self.sending, "the journal is not stored when sending begins")
    }

    private func nothingSpent(_ subject: Subject) async throws {
        let claim = try await claimed(subject)
        try expect(try await claim.beginSending(nil).refreshToken == nil, "a permit holds a refresh token that nobody asked for")
        try expect(try await subject.other.credential("a").state.login?.sending == nil, "something was journaled")
    }

    private func noLogin(_ subject: Subject) async throws {
        let claim = try await claimed(subject)
        try subject.change { $0.state.login = nil }
        try await expectError("a permit without a refresh token") { _ = try await claim.beginSending(Self.sending) }
    }

    private func noRoom(_ subject: Subject) async throws {
        let claim = try await claimed(subject)
        subject.fill(true)
        try await expectError("a permit on a full disk") { _ = try await claim.beginSending(Self.sending) }
        try await expectError("a permit for a code on a full disk") { _ = try await claim.beginSending(nil) }
        try expect(try await subject.other.credential("a").state.login?.sending == nil, "something was journaled")
    }

    private func failingJournal(_ subject: Subject) async throws {
        let claim = try await claimed(subject)
        subject.failCommits(1)
        try await expectError("a permit without a journal") { _ = try await claim.beginSending(Self.sending) }
        try expect(try await subject.other.credential("a").state.login?.sending == nil, "something was journaled")
    }

    // MARK: Storing

    private func room(_ subject: Subject) async throws {
        let claim = try await claimed(subject)
        let permit = try await claim.beginSending(Self.sending)
        subject.fill(true)
        try expect(try await claim.store(Self.acquired(), permit), "an answer of the stored lineage was refused")
        try await expectAnswer(subject)
    }

    private func retry(_ subject: Subject) async throws {
        let claim = try await claimed(subject)
        let permit = try await claim.beginSending(Self.sending)
        subject.fill(true)
        subject.failCommits(2)
        for _ in 0..<2 {
            try await expectError("a commit that failed was told as done") { _ = try await claim.store(Self.acquired(), permit) }
        }
        try expect(try await subject.other.credential("a").state.tokens.isEmpty, "a commit that failed has changed something")
        try expect(try await claim.store(Self.acquired(), permit), "an answer of the stored lineage was refused")
        try await expectAnswer(subject)
    }

    private func lineage(_ subject: Subject) async throws {
        let claim = try await claimed(subject)
        let permit = try await claim.beginSending(Self.sending)
        try subject.change { $0.configuration.provider = "changed meanwhile" }
        try expect(try await claim.store(Self.acquired(), permit), "an answer of the stored lineage was refused")
        try await expectAnswer(subject)
        let provider = try await subject.other.credential("a").configuration.provider
        try expect(provider == "changed meanwhile", "an answer has undone what people changed")
    }

    private func foreignLineage(_ subject: Subject) async throws {
        let claim = try await claimed(subject)
        let permit = try await claim.beginSending(Self.sending)
        let newer = try Secret(utf8: "made-up-newer")
        try subject.change { $0.state.login?.refreshToken = newer }
        try expect(try await !claim.store(Self.acquired(), permit), "an answer of another lineage was accepted")
        let state = try await subject.other.credential("a").state
        try expect(state.tokens.isEmpty && state.login?.refreshToken.equals(newer) == true, "a refused answer changed something")
    }

    private func login(_ subject: Subject) async throws {
        let claim = try await claimed(subject)
        let permit = try await claim.beginSending(nil)
        subject.fill(true)
        let token = try Self.token()
        let login = Login(refreshToken: try Secret(utf8: "made-up-new"), since: token.sent, renewed: token.sent, owner: "here")
        try await claim.store(login, with: token, permit)
        try await expectAnswer(subject)
    }

    private func update(_ subject: Subject) async throws {
        let claim = try await claimed(subject)
        try subject.change { $0.configuration.provider = "changed meanwhile" }
        try await claim.update { $0.login?.ended = Self.date }
        let stored = try await subject.other.credential("a")
        try expect(stored.state.login?.ended == Self.date, "an update is not stored when it returns")
        try expect(stored.configuration.provider == "changed meanwhile", "an update has undone what people changed")
    }

    private func failingUpdate(_ subject: Subject) async throws {
        let claim = try await claimed(subject)
        subject.failCommits(1)
        try await expectError("a commit that failed was told as done") { try await claim.update { $0.login?.ended = Self.date } }
        try expect(try await subject.other.credential("a").state.login?.ended == nil, "a failed update changed something")
    }
}

// MARK: - What the checks work with

extension TokenStateStoreContract {
    private static let date = Date(timeIntervalSince1970: 1_000_000)
    private static let sending = Login.Sending(began: date, boot: "made-up boot")

    private static func credential() throws -> Credential {
        var settings = ClientSettings(tokenURL: try EndpointURL("https://example.com/token"))
        settings.grant = .refreshToken
        let client = ClientCredentials(id: "id", secret: try Secret(utf8: "made-up-secret"))
        let login = Login(refreshToken: try Secret(utf8: "made-up-old"), since: date, renewed: date, owner: "here")
        return Credential(
            CredentialConfiguration(provider: nil, settings: settings, keyPair: KeyPair(client: client, since: date)),
            TokenState(login: login))
    }

    private static func token() throws -> CachedToken {
        CachedToken(
            access: RequestedAccess(), token: try Secret(utf8: "made-up-token"), type: "Bearer", scopes: nil, sent: date,
            expires: date.addingTimeInterval(3600), extras: nil)
    }

    private static func acquired() throws -> AcquiredTokens {
        AcquiredTokens(token: try token(), refreshToken: try Secret(utf8: "made-up-new"), received: date, owner: "here")
    }

    private func claimed(_ subject: Subject) async throws -> any TokenClaim {
        guard let claim = try await subject.store.tryClaim("a") else {
            throw Violation(description: "a free credential can't be claimed")
        }
        return claim
    }

    private func expectAnswer(_ subject: Subject) async throws {
        let state = try await subject.other.credential("a").state
        try expect(state.tokens.map { $0.token.revealed() } == ["made-up-token"], "the token is not stored")
        try expect(state.login?.refreshToken.revealed() == "made-up-new", "the refresh token is not stored")
        try expect(state.login?.sending == nil, "the journal is not settled")
    }

    private func expect(_ condition: Bool, _ violation: String) throws {
        if !condition { throw Violation(description: violation) }
    }

    private func expectError(_ violation: String, _ body: () async throws -> Void) async throws {
        do { try await body() } catch { return }
        throw Violation(description: violation)
    }
}
