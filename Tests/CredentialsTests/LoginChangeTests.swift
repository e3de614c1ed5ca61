import Access
import Foundation
import HTTPTypes
import OAuth
import Sodium
import Synchronization
import TestSupport
import Testing
import TokenEngine
import Vault

@testable import Credentials

/// Answers each request by its path and body.
private final class AnsweringServer: HTTPTransport {
    typealias Answer = @Sendable (_ path: String, _ body: String) throws(TransportFailure) -> (Int, String)
    private let state: Mutex<(answer: Answer, bodies: [String])>

    init() { state = Mutex(({ _, _ throws(TransportFailure) in (500, "") }, [])) }

    var bodies: [String] { state.withLock { $0.bodies } }
    func answers(_ answer: @escaping Answer) { state.withLock { $0 = (answer, []) } }

    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        let body = String(decoding: request.body, as: UTF8.self)
        let answer = state.withLock { state in
            state.bodies.append(body)
            return state.answer
        }
        let (status, text) = try answer(request.head.path ?? "", body)
        return EndpointAnswer(status: status, body: Array(text.utf8))
    }
}

private let refusedGrant = #"{"error":"invalid_grant"}"#
private let refusedClient = #"{"error":"invalid_client"}"#
private let lost = TransportFailure.answerLost(host: "example.com", reason: "made up")

/// A vault with the credential `a`: a login, whose refresh token `first` rotates, by the key pair `old`.
private struct Fixture {
    let folder = TemporaryFolder()
    let server = AnsweringServer()
    let clock = MovableClock()
    let vault: UnlockedVault
    let service: CredentialService
    let log: AuditLog

    init(_ grant: GrantType = .refreshToken, _ change: @escaping @Sendable (inout Credential) throws -> Void = { _ in })
        async throws
    {
        let key = UnlockKey.keyFile(Secret(try SecretBytes.random(count: 32)))
        vault = try LockedVault.create(at: folder.file("vault"), keys: [(key, "")], memory: nil)
        log = AuditLog(vault: vault, path: folder.file("vault.log"))
        service = CredentialService(vault: vault, log: log, transport: server, clock: clock, host: Host(id: "here"))
        var settings = ClientSettings(
            grant: grant, clientAuthentication: .post, tokenURL: try EndpointURL("https://example.com/token"))
        settings.revocationURL = try EndpointURL("https://example.com/revoke")
        let client = ClientCredentials(id: "old", secret: try Secret(utf8: "made-up-old"))
        _ = try await service.add("a", NewCredential(provider: nil, settings: settings, client: client), verify: false)
        let (now, first) = (clock.now(), try Secret(utf8: "first"))
        try self.change { credential in
            if grant.needsLogin {
                credential.state.login = Login(refreshToken: first, since: now, renewed: now, rotation: .rotates, owner: "here")
            }
            try change(&credential)
        }
    }

    /// As another program could have written it.
    func change(_ change: (inout Credential) throws -> Void) throws {
        var credential = try stored()
        try change(&credential)
        let record = try CredentialRecord.record(credential)
        try vault.update { try $0.replace("a", with: record) }
    }

    func stored(_ name: String = "a") throws -> Credential { try CredentialRecord.credential(vault.record(name), name: name) }
    var login: Login? { get throws { try stored().state.login } }

    static func new() throws -> Rotation {
        .to(ClientCredentials(id: "new", secret: try Secret(utf8: "made-up-new")))
    }

    static func token(_ text: String, lifetime: Double = 3600, sent: Date) throws -> CachedToken {
        CachedToken(
            access: RequestedAccess(scopes: [text]), token: try Secret(utf8: text), type: "Bearer", scopes: nil, sent: sent,
            expires: sent + lifetime, extras: nil)
    }
}

final class MovableClock: WallClock {
    private let time = Mutex(Date(timeIntervalSince1970: 1_000_000))
    func now() -> Date { time.withLock { $0 } }
    func advance(_ seconds: Double) { time.withLock { $0.addTimeInterval(seconds) } }
    func sleep(seconds: Double) async throws { advance(seconds) }
}

@Suite struct LoginRotationTests {
    @Test func `a pair that is let in takes over although its login is refused`() async throws {
        let fixture = try await Fixture()
        fixture.server.answers { _, _ throws(TransportFailure) in (400, refusedGrant) }
        #expect(try await fixture.service.rotate("a", Fixture.new(), verify: true).clientID == "new")
        #expect(try fixture.login?.ended == fixture.clock.now())
    }

    @Test func `going back revives the login that ended with the pair that goes`() async throws {
        let fixture = try await Fixture()
        fixture.server.answers { _, _ throws(TransportFailure) in (400, refusedGrant) }
        fixture.clock.advance(10)
        _ = try await fixture.service.rotate("a", Fixture.new(), verify: true)
        fixture.server.answers { _, _ throws(TransportFailure) in (200, #"{"access_token":"x","refresh_token":"second"}"#) }
        _ = try await fixture.service.rotate("a", .previous, verify: true)
        #expect(try fixture.login?.ended == nil && fixture.login?.refreshToken.revealed() == "second")
    }

    @Test func `going back revives no login that had ended before`() async throws {
        let fixture = try await Fixture()
        try fixture.change { $0.state.login?.ended = Date(timeIntervalSince1970: 999_000) }
        fixture.clock.advance(10)
        _ = try await fixture.service.rotate("a", Fixture.new(), verify: true)
        fixture.clock.advance(10)
        _ = try await fixture.service.rotate("a", .previous, verify: true)
        #expect(fixture.server.bodies.isEmpty)
        #expect(try fixture.login?.ended == Date(timeIntervalSince1970: 999_000))
    }
}

@Suite struct AddingLoginTests {
    private func add(_ fixture: Fixture) async throws {
        var new = NewCredential(
            provider: nil, settings: try fixture.stored().configuration.settings,
            client: ClientCredentials(id: "b", secret: try Secret(utf8: "made-up-b")))
        new.refreshToken = try Secret(utf8: "brought")
        _ = try await fixture.service.add("b", new, verify: true)
    }

    @Test func `a refresh token that is refused is not kept`() async throws {
        let fixture = try await Fixture()
        fixture.server.answers { _, _ throws(TransportFailure) in (400, refusedGrant) }
        await #expect(throws: TokenError.loginNeeded(.ended(fixture.clock.now()))) { try await add(fixture) }
        #expect(fixture.vault.names() == ["a"])
    }

    /// It may have been spent: only what the server does next can tell.
    @Test func `a refresh token whose answer is lost is kept`() async throws {
        let fixture = try await Fixture()
        fixture.server.answers { _, _ throws(TransportFailure) in throw lost }
        await #expect(throws: TokenError.self) { try await add(fixture) }
        #expect(try fixture.stored("b").state.login?.sending != nil)
    }

    @Test func `what the server gave in its place is kept whatever else is wrong`() async throws {
        let fixture = try await Fixture()
        fixture.server.answers { _, _ throws(TransportFailure) in (200, #"{"access_token":7,"refresh_token":"second"}"#) }
        await #expect(throws: TokenError.self) { try await add(fixture) }
        #expect(try fixture.stored("b").state.login?.refreshToken.revealed() == "second")
    }
}

@Suite struct CheckTests {
    @Test func `a refused pair is remembered, and not sent again for a while`() async throws {
        let fixture = try await Fixture(.clientCredentials)
        fixture.server.answers { _, _ throws(TransportFailure) in (401, refusedClient) }
        await #expect(throws: TokenError.keyPairRefused) { try await fixture.service.check("a") }
        #expect(try fixture.stored().state.refusal?.cause == .client)
        await #expect(throws: TokenError.self) { try await fixture.service.check("a") }
        #expect(fixture.server.bodies.count == 1)
        // A clock that was set back makes nobody wait for it.
        fixture.clock.advance(-1000)
        fixture.server.answers { _, _ throws(TransportFailure) in (200, #"{"access_token":"x"}"#) }
        #expect(try await fixture.service.check("a") == .granted)
        #expect(try fixture.stored().state.refusal == nil)
    }

    @Test func `an introspection that is refused says nothing of the pair`() async throws {
        let fixture = try await Fixture(.clientCredentials) {
            $0.configuration.settings.introspectionURL = try EndpointURL("https://example.com/introspect")
        }
        fixture.server.answers { path, _ throws(TransportFailure) in
            path == "/token" ? (200, #"{"access_token":"x"}"#) : (401, refusedClient)
        }
        await #expect(throws: TokenError.keyPairRefused) { try await fixture.service.check("a") }
        #expect(try fixture.stored().state.refusal == nil)
    }
}

@Suite struct RevocationTests {
    @Test func `every token is tried, whatever becomes of the others`() async throws {
        let fixture = try await Fixture()
        let now = fixture.clock.now()
        try fixture.change { credential in
            credential.state.tokens = [try Fixture.token("one", sent: now), try Fixture.token("ended", sent: now - 7200)]
            credential.state.replaced = [try Fixture.token("older", lifetime: 7200, sent: now)]
        }
        fixture.server.answers { _, body throws(TransportFailure) in
            body.contains("token=one") || body.contains("token=first") ? (401, refusedClient) : (200, "")
        }
        let report = try await fixture.service.revoke("a")
        #expect(fixture.server.bodies.map { $0.prefix { $0 != "&" } } == ["token=first", "token=one", "token=older"])
        #expect(report.keptLogin && report.failure == .keyPairRefused && !report.endedLogin)
        #expect(report.tokens.kept == 1 && report.replaced.revoked == 1 && report.validUntil == now + 3600)
        let state = try fixture.stored().state
        #expect(state.login != nil && state.tokens.map { $0.token.revealed() } == ["one"] && state.replaced.isEmpty)
    }
}

@Suite struct SendingInTheLogTests {
    private func outcomes(_ fixture: Fixture) throws -> [String] {
        try AuditFiles.lines(fixture.folder.file("vault.log")).compactMap(AuditEvent.init).filter { $0.event == .refresh }
            .map(\.outcome)
    }

    @Test func `each sending of a refresh token has its intent and its outcome in the log`() async throws {
        let fixture = try await Fixture()
        fixture.server.answers { _, _ throws(TransportFailure) in (200, #"{"access_token":"x","refresh_token":"second"}"#) }
        _ = try await fixture.service.token("a", TokenQuery(mode: .fresh))
        #expect(try outcomes(fixture) == ["begun", "done"])
        fixture.server.answers { _, _ throws(TransportFailure) in (400, refusedGrant) }
        _ = try? await fixture.service.token("a", TokenQuery(mode: .fresh))
        #expect(try outcomes(fixture) == ["begun", "done", "begun", "failed"])
    }
}
