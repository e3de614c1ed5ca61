import Access
import AgentProtocol
import Foundation
import OAuth
import Sodium
import Synchronization
import TestSupport
import Testing
import TokenEngine

@testable import Credentials
@testable import Vault

/// `a` with a rule for it, and `b`, which exchanges the token of `a`.
private struct Fixture {
    let folder = TemporaryFolder()
    let store: FailingStore
    let vault: UnlockedVault
    let service: CredentialService
    let rules: RuleStore
    static let alice = Subject.user(id: 1001, name: "alice")

    init() async throws {
        let key = UnlockKey.keyFile(Secret(try SecretBytes.random(count: 32)))
        let path = folder.file("vault")
        store = FailingStore(path: path)
        vault = try UnlockedVault(
            store: store, cipher: LockedVault.create(at: path, keys: [(key, "")], memory: nil).cipher, memory: nil)
        service = CredentialService(vault: vault, log: .scratch(vault), transport: Silent(), host: .unnamed)
        rules = RuleStore(vault: vault, log: .scratch(vault))
        _ = try await service.add("a", Self.credential(), verify: false)
        let exchange = try Self.credential {
            $0.grant = .tokenExchange
            $0.subject = ExchangedToken(source: .credential(name: "a"), type: ExchangedToken.registeredType("access_token"))
        }
        _ = try await service.add("b", exchange, verify: false)
        try rules.update(credential: "a") { $0.allow(Rule(credential: "a", subject: Self.alice)) }
    }

    static func credential(_ change: (inout ClientSettings) -> Void = { _ in }) throws -> NewCredential {
        var settings = ClientSettings(clientAuthentication: .post, tokenURL: try EndpointURL("https://example.com/token"))
        change(&settings)
        return NewCredential(
            provider: nil, settings: settings, client: ClientCredentials(id: "id", secret: try Secret(utf8: "made-up-secret")))
    }

    struct Silent: HTTPTransport {
        func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
            throw .certificate(host: "example.com", reason: "made up")
        }
    }

    /// A record as a newer version would write it.
    func makeNewer(_ name: String) throws {
        try vault.update { transaction in
            let record = try transaction.record(name)
            let text = String(decoding: record.description, as: UTF8.self).replacing(
                #""key_pair":"#, with: #""from_the_future":1,"key_pair":"#)
            let secret = try #require(try record.secret("client_secret"))
            try transaction.replace(name, with: Record(description: Array(text.utf8), secrets: ["client_secret": secret]))
        }
    }

    /// Turns a bit of a record's seal.
    func damage(_ name: String) throws {
        let entry = try #require(vault.refreshed().entry(name))
        let length = try vault.refreshed().root.recordsLength
        var file = bytes(ofFile: folder.file("vault"))
        file[file.count - Int(length) + Int(entry.offset)] ^= 1
        folder.write("vault.damaged", file)
        try FileManager.default.removeItem(atPath: folder.file("vault"))
        try FileManager.default.moveItem(atPath: folder.file("vault.damaged"), toPath: folder.file("vault"))
        chmod(folder.file("vault"), 0o600)
    }

    func source(_ name: String) throws -> ExchangedToken.Source? { try service.show(name).settings.subject?.source }
}

@Suite struct OneCommitTests {
    @Test func `renaming changes the credential, those that exchange its token, and its rules in one commit`() async throws {
        let fixture = try await Fixture()
        let generation = fixture.vault.generation
        try await fixture.service.rename("a", to: "c")
        #expect(fixture.vault.generation == generation + 1)
        #expect(fixture.vault.names() == ["b", "c"])
        #expect(try fixture.source("b") == .credential(name: "c"))
        #expect(try fixture.rules.read().rules.map(\.credential) == ["c"])
    }

    @Test func `removing takes the rules along in one commit`() async throws {
        let fixture = try await Fixture()
        let generation = fixture.vault.generation
        try await fixture.service.remove("a")
        #expect(fixture.vault.generation == generation + 1)
        #expect(fixture.vault.names() == ["b"])
        #expect(try fixture.rules.read().rules.isEmpty)
    }

    /// No crash can come between: there is one commit, and when it fails everything is as it was.
    @Test func `a renaming or removal that fails changes nothing`() async throws {
        let fixture = try await Fixture()
        let before = bytes(ofFile: fixture.folder.file("vault"))
        let commits = fixture.store.commits
        fixture.store.failCommits(2)
        await #expect(throws: VaultError.diskFull(path: "made up")) { try await fixture.service.rename("a", to: "c") }
        await #expect(throws: VaultError.diskFull(path: "made up")) { try await fixture.service.remove("a") }
        #expect(fixture.store.commits == commits + 2)
        #expect(bytes(ofFile: fixture.folder.file("vault")) == before)
        #expect(fixture.vault.names() == ["a", "b"])
        #expect(try fixture.source("b") == .credential(name: "a"))
        #expect(try fixture.rules.read().rules.map(\.credential) == ["a"])
    }

    @Test func `a record of a newer version does not keep another credential from being renamed`() async throws {
        let fixture = try await Fixture()
        try fixture.makeNewer("b")
        let newer = try fixture.vault.record("b").description
        try await fixture.service.rename("a", to: "c")
        #expect(fixture.vault.names() == ["b", "c"])
        #expect(try fixture.vault.record("b").description == newer)
        #expect(try fixture.rules.read().rules.map(\.credential) == ["c"])
    }

    @Test func `a damaged record does not keep another credential from being renamed`() async throws {
        let fixture = try await Fixture()
        try fixture.damage("b")
        try await fixture.service.rename("a", to: "c")
        #expect(fixture.vault.names() == ["b", "c"])
    }

    @Test func `a list says which records can't be read, and goes on with the rest`() async throws {
        let fixture = try await Fixture()
        for name in ["c", "d"] { _ = try await fixture.service.add(name, Fixture.credential(), verify: false) }
        try fixture.makeNewer("a")
        try fixture.damage("b")
        let description = Array("no JSON".utf8)
        try fixture.vault.update { try $0.replace("c", with: Record(description: description, secrets: [:])) }
        #expect(
            try fixture.service.list() == [
                .unreadable(name: "a", .newer), .unreadable(name: "b", .damaged), .unreadable(name: "c", .damaged),
                .readable(fixture.service.show("d")),
            ])
    }

    @Test func `a list that can't be read for another reason fails`() async throws {
        #expect(UnreadableRecord(VaultError.memory) == nil)
        #expect(UnreadableRecord(VaultError.damagedRecord(.policy, name: "-", reason: "made up")) == nil)
        let fixture = try await Fixture()
        fixture.folder.write("vault", Array(bytes(ofFile: fixture.folder.file("vault")).dropLast()))
        #expect(throws: VaultError.self) { try fixture.service.list() }
    }

    @Test func `a record of a newer version is renamed and removed with its rules, as it is`() async throws {
        let fixture = try await Fixture()
        try fixture.makeNewer("a")
        let newer = try fixture.vault.record("a")
        try await fixture.service.rename("a", to: "c")
        let renamed = try fixture.vault.record("c")
        #expect(renamed.description == newer.description)
        #expect(renamed.secretNames == newer.secretNames)
        #expect(try renamed.secret("client_secret")?.revealed() == "made-up-secret")
        #expect(try fixture.source("b") == .credential(name: "c"))
        #expect(try fixture.rules.read().rules.map(\.credential) == ["c"])
        try await fixture.service.remove("c")
        #expect(fixture.vault.names() == ["b"])
        #expect(try fixture.rules.read().rules == [])
    }

    @Test func `a damaged record is not renamed, and can be removed`() async throws {
        let fixture = try await Fixture()
        try fixture.damage("a")
        let isDamaged = { @Sendable (error: any Error) in UnreadableRecord(error) == .damaged }
        await #expect(performing: { try await fixture.service.rename("a", to: "c") }, throws: isDamaged)
        try await fixture.service.remove("a")
        #expect(fixture.vault.names() == ["b"])
    }

    /// Counts how often somebody waits.
    private final class CountingClock: WallClock {
        private let count = Mutex(0)
        var sleeps: Int { count.withLock { $0 } }
        func now() -> Date { Date() }
        func sleep(seconds: Double) async throws {
            count.withLock { $0 += 1 }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    @Test func `a removal waits for whoever acquires a token`() async throws {
        let fixture = try await Fixture()
        var lock = try fixture.vault.tryLock(credential: "a")
        #expect(lock != nil)
        let clock = CountingClock()
        let service = CredentialService(
            vault: fixture.vault, log: .scratch(fixture.vault), transport: Fixture.Silent(), clock: clock, host: .unnamed)
        let removal = Task { try await service.remove("a") }
        #expect(try await eventually { clock.sleeps >= 3 })
        #expect(fixture.vault.names() == ["a", "b"])
        lock = nil
        try await removal.value
        #expect(fixture.vault.names() == ["b"])
    }

    @Test func `words for a record tell a newer one from a damaged one, and a policy from a credential`() {
        func title(_ error: any Error) -> String { Problem(describing: error).title }
        #expect(title(CredentialError.newerRecord(name: "a")).contains("the credential “a” was written by a newer claviger"))
        #expect(title(CredentialError.newerPolicy).contains("the policy was written by a newer claviger"))
        let damaged = VaultError.damagedRecord(.credential, name: "a", reason: "does not open")
        #expect(title(damaged) == "the record of the credential “a” is damaged: it does not open")
        let policy = VaultError.damagedRecord(.policy, name: "-", reason: "does not open")
        #expect(title(policy) == "the policy in the vault is damaged: it does not open")
        for error in [damaged, policy] { #expect(Problem(describing: error).code == .damaged) }
        let tooLarge = Result { try Record(description: [UInt8](repeating: 0, count: 1 << 20), secrets: [:], of: .policy) }
        #expect(throws: VaultError.tooLarge(what: "the policy", limit: 1 << 20)) { try tooLarge.get() }
        let secrets = Dictionary(uniqueKeysWithValues: try! (0..<257).map { ("\($0)", try Secret(utf8: "made-up")) })
        #expect(throws: VaultError.tooLarge(what: "the number of a credential's secrets", limit: 256)) {
            try Record(description: [], secrets: secrets)
        }
    }

    @Test func `the state before the last change is named only where it is there`() async throws {
        let fixture = try await Fixture()
        let path = fixture.folder.file("vault")
        func hint() -> String? {
            do {
                _ = try LockedVault(path: path, memory: nil)
                return nil
            } catch {
                return Problem(describing: error).hint?.text
            }
        }
        #expect(hint() == nil)
        fixture.folder.write("vault", Array(bytes(ofFile: path).prefix(100)))
        #expect(hint() == "the state before the last change is in the file of the same name with .previous")
        unlink(path + ".previous")
        #expect(throws: VaultError.damaged(.header, reason: "ends too early")) { try LockedVault(path: path, memory: nil) }
        #expect(hint() == nil)
        // A record that is not read before the vault is open knows it, too.
        let policy = { VaultError.damagedRecord(.policy, name: "-", reason: "made up", hasPrevious: $0) }
        #expect([true, false].map { Problem(describing: policy($0)).hint != nil } == [true, false])
    }

    @Test func `a policy that is no JSON is damaged, and not newer`() async throws {
        let fixture = try await Fixture()
        let record = try Record(description: Array("no JSON".utf8), secrets: [:])
        try fixture.vault.update { $0.replace(only: .policy, with: record) }
        #expect(throws: VaultError.damagedRecord(.policy, name: "-", reason: "holds no JSON object")) {
            try fixture.rules.read()
        }
    }

    @Test func `a policy of a newer version keeps its credentials from being renamed and removed`() async throws {
        let fixture = try await Fixture()
        let newer = try Record(description: Array(#"{"rules":[],"from_the_future":1}"#.utf8), secrets: [:])
        try fixture.vault.update { $0.replace(only: .policy, with: newer) }
        let isNewer = { @Sendable (error: any Error) in if case CredentialError.newerPolicy = error { true } else { false } }
        await #expect(performing: { try await fixture.service.rename("a", to: "c") }, throws: isNewer)
        await #expect(performing: { try await fixture.service.remove("a") }, throws: isNewer)
        #expect(fixture.vault.names() == ["a", "b"])
    }

    /// An earlier version removed a credential and its rules in two commits.
    @Test func `a rule that was left behind gives nobody the credential that takes its name`() async throws {
        let fixture = try await Fixture()
        try fixture.rules.update { $0.allow(Rule(credential: "c", subject: .user(id: 1002, name: "mallory"))) }
        try await fixture.service.rename("a", to: "c")
        #expect(try fixture.rules.read().rules == [Rule(credential: "c", subject: Fixture.alice)])
    }
}

/// The machine's clock, for an engine that has no reason to wait.
private struct Sleepless: WallClock {
    func now() -> Date { Date() }
    func sleep(seconds: Double) async throws { Issue.record("the engine waits") }
}

/// Grants a token, and does something before.
private struct Granting: HTTPTransport {
    static let keeping = #"{"access_token":"made-up-token","expires_in":3600}"#
    static let rotating = #"{"access_token":"made-up-token","expires_in":3600,"refresh_token":"made-up-next"}"#
    let before: @Sendable () -> Void
    let answer: String

    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        before()
        return EndpointAnswer(status: 200, body: Array(answer.utf8))
    }
}

/// What a command says is what is stored.
@Suite struct DoubtfulCommitTests {
    @Test func `a change that may not survive a power cut is said to be made`() async throws {
        let fixture = try await Fixture()
        fixture.store.doubt(true)
        let expected = VaultError.notDurable(path: "made up", errno: 5)
        await #expect(throws: expected) { try await fixture.service.remove("b") }
        #expect(try fixture.service.list().map(\.name) == ["a"])
        var event = AuditEvent(.remove, by: .own, at: Date(timeIntervalSince1970: 0))
        event.fail(expected)
        #expect(event.outcome == "done" && event.problem == nil)
        let problem = Problem(describing: expected)
        #expect(problem.title.hasPrefix("the change is made") && problem.code.exit == 74)
        fixture.store.doubt(false)
        try await fixture.service.rename("a", to: "c")
        #expect(try fixture.service.list().map(\.name) == ["c"])
    }

    /// A login of the fixture's, `login`, with a service whose server does something before it answers.
    private func login(
        in fixture: Fixture, clock: any WallClock = SystemClock(), before: @escaping @Sendable () -> Void = {},
        answer: String = Granting.rotating
    ) async throws -> CredentialService {
        let service = CredentialService(
            vault: fixture.vault, log: .scratch(fixture.vault), transport: Granting(before: before, answer: answer), clock: clock,
            host: .unnamed)
        let settings = ClientSettings(
            grant: .refreshToken, clientAuthentication: .post, tokenURL: try EndpointURL("https://example.com/token"))
        var new = NewCredential(
            provider: nil, settings: settings, client: ClientCredentials(id: "id", secret: try Secret(utf8: "made-up-secret")))
        new.refreshToken = try Secret(utf8: "made-up-refresh-token")
        if try !service.list().contains(where: { $0.name == "login" }) { _ = try await service.add("login", new, verify: false) }
        return service
    }

    /// Whether the server gave another refresh token or not, there is nothing to store again.
    @Test(arguments: [Granting.rotating, Granting.keeping])
    func `an answer whose commit is doubtful is stored once, and its token handed out`(_ answer: String) async throws {
        let fixture = try await Fixture()
        let store = fixture.store
        let service = try await login(
            in: fixture, clock: Sleepless(), before: { store.doubt(true) }, answer: answer)
        let before = store.commits
        #expect(try await service.token("login", TokenQuery()).token.revealed() == "made-up-token")
        // The journal and the answer.
        #expect(store.commits == before + 2)
        let stored = try #require(try service.store.credential("login").state.login)
        #expect(stored.refreshToken.revealed() == (answer == Granting.rotating ? "made-up-next" : "made-up-refresh-token"))
        #expect(stored.sending == nil)
    }

    @Test func `a persons login whose commit is doubtful is stored once`() async throws {
        let fixture = try await Fixture()
        let store = fixture.store
        let service = try await login(in: fixture, clock: Sleepless(), before: { store.doubt(true) })
        let before = store.commits
        let grant = AuthorizationGrant.refreshToken(try Secret(utf8: "made-up-grant"))
        _ = try await service.logIn("login", with: grant)
        #expect(store.commits == before + 1)
        #expect(try service.store.credential("login").state.login?.refreshToken.revealed() == "made-up-next")
    }

    @Test func `where the journal is doubtful nothing is sent, and it is taken back`() async throws {
        let fixture = try await Fixture()
        let service = try await login(in: fixture, before: { Issue.record("a request was sent") })
        fixture.store.doubt(true)
        let expected = VaultError.system(operation: "synchronise the folder of", path: "made up", errno: 5)
        await #expect(throws: expected) { try await service.token("login", TokenQuery()) }
        #expect(try service.store.credential("login").state.login?.sending == nil)
        #expect(Problem(describing: expected).code.exit == 74)
        fixture.store.doubt(false)
        let working = try await login(in: fixture)
        #expect(try await working.token("login", TokenQuery()).token.revealed() == "made-up-token")
    }
}
