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

/// A server that knows which pairs it accepts, and can be made to fail.
private final class PairServer: HTTPTransport {
    private struct State {
        var accepted: Set<String> = []
        var failure: TransportFailure?
        var issued = 0
        var revoked: [String] = []
    }
    private let state = Mutex(State())

    func accept(_ pairs: String...) { state.withLock { $0.accepted = Set(pairs) } }
    func fail(_ failure: TransportFailure?) { state.withLock { $0.failure = failure } }
    var issued: Int { state.withLock { $0.issued } }
    var revoked: [String] { state.withLock { $0.revoked } }

    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        let body = String(decoding: request.body, as: UTF8.self)
        let answer = state.withLock { state -> Result<EndpointAnswer, TransportFailure> in
            if let failure = state.failure { return .failure(failure) }
            if request.head.path == "/revoke" {
                state.revoked.append(body)
                return .success(EndpointAnswer(status: 200, body: []))
            }
            guard state.accepted.contains(where: { body.hasSuffix("client_id=\($0)") }) else {
                return .success(EndpointAnswer(status: 401, body: Array(#"{"error":"invalid_client"}"#.utf8)))
            }
            state.issued += 1
            return .success(
                EndpointAnswer(status: 200, body: Array(#"{"access_token":"made-up-\#(state.issued)","expires_in":3600}"#.utf8)))
        }
        return try answer.get()
    }
}

private let down = TransportFailure.certificate(host: "example.com", reason: "made up")

extension CredentialService {
    /// With a log that goes away with it.
    init(vault: UnlockedVault, transport: any HTTPTransport) {
        self.init(vault: vault, log: .scratch(vault), transport: transport, host: .unnamed)
    }
}

extension AuditLog {
    /// A log in a folder that goes away with it.
    static func scratch(_ vault: UnlockedVault) -> AuditLog {
        let folder = TemporaryFolder()
        let keys = AuditKeys(
            chain: { [folder] bytes in
                withExtendedLifetime(folder) { vault.hash(bytes, for: .auditChain) }
            },
            fingerprint: { vault.hash($0, for: .tokenFingerprint) }, sealed: { SealedHead.none }, owner: { nil })
        return AuditLog(path: folder.file("vault.log"), keys: keys)
    }
}

private struct Fixture {
    let folder = TemporaryFolder()
    let server = PairServer()
    let vault: UnlockedVault
    let agent: CredentialService

    init() throws {
        let key = UnlockKey.keyFile(Secret(try SecretBytes.random(count: 32)))
        vault = try LockedVault.create(at: folder.file("vault"), keys: [(key, "")], memory: nil)
        agent = CredentialService(vault: vault, transport: server)
        server.accept(Self.pair("old"), Self.pair("new"))
    }

    /// The pair as it stands in a form body.
    static func pair(_ name: String) -> String { "\(name)&client_secret=made-up-\(name)" }

    static func client(_ name: String, secret: String? = nil) throws -> ClientCredentials {
        ClientCredentials(id: name, secret: try Secret(utf8: secret ?? "made-up-\(name)"))
    }

    func new(_ name: String, change: (inout ClientSettings) -> Void = { _ in }) throws -> NewCredential {
        var settings = ClientSettings(clientAuthentication: .post, tokenURL: try EndpointURL("https://example.com/token"))
        change(&settings)
        return NewCredential(provider: "p", settings: settings, client: try Self.client(name))
    }

    func added(change: (inout ClientSettings) -> Void = { _ in }) async throws -> CredentialService {
        _ = try await agent.add("a", new("old", change: change), verify: true)
        return agent
    }

    /// An edit of the settings as they are stored now.
    func edit(_ settings: ClientSettings) throws -> SettingsEdit {
        let now = try agent.show("a")
        return SettingsEdit(
            before: .init(clientID: now.clientID, settings: now.settings),
            after: .init(clientID: now.clientID, settings: settings))
    }

    /// As another program could have written it.
    func change(_ change: (inout Credential) -> Void) async throws {
        try vault.update { transaction in
            var credential = try CredentialRecord.credential(transaction.record("a"), name: "a")
            change(&credential)
            try transaction.replace("a", with: CredentialRecord.record(credential))
        }
    }

    func stored(_ name: String = "a") throws -> Credential {
        try FileStateStore(vault: vault, log: .scratch(vault)).credential(name)
    }
}

@Suite struct AddingTests {
    @Test func theProofIsTheFirstToken() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        #expect(try await agent.token("a", TokenQuery()).token.revealed() == "made-up-1")
        #expect(fixture.server.issued == 1)
    }

    @Test func aWrongPairIsNotStored() async throws {
        let fixture = try Fixture()
        await #expect(throws: TokenError.keyPairRefused) {
            try await fixture.agent.add("a", fixture.new("other"), verify: true)
        }
        #expect(fixture.vault.names() == [])
        #expect(fixture.vault.generation == 1)
    }

    @Test func withoutVerificationNothingIsSent() async throws {
        let fixture = try Fixture()
        fixture.server.fail(down)
        _ = try await fixture.agent.add("a", fixture.new("other"), verify: false)
        #expect(fixture.vault.names() == ["a"])
    }

    @Test func aTakenNameIsRefusedBeforeAnythingIsSent() async throws {
        let fixture = try Fixture()
        _ = try await fixture.added()
        await #expect(throws: VaultError.nameTaken("a")) { try await fixture.agent.add("a", fixture.new("new"), verify: true) }
        #expect(fixture.server.issued == 1)
    }

    @Test func everythingComesBackFromTheVault() async throws {
        let fixture = try Fixture()
        _ = try await fixture.added {
            $0.scopes = ["a", "b"]
            $0.audiences = ["x"]
            $0.resources = ["https://r/1"]
            $0.parameters = [Parameter("k", "v/\"ü")]
            $0.headers = [Parameter("X-Y", "z")]
            $0.placement = .body
            $0.certificateAuthority = "PEM"
            $0.tokenLifetime = 5
            $0.revocationURL = try! EndpointURL("https://example.com/revoke")
            $0.introspectionURL = try! EndpointURL("https://example.com/introspect")
        }
        let stored = try fixture.stored()
        #expect(stored.configuration.provider == "p")
        #expect(
            stored.configuration.settings
                == (try fixture.new("old") {
                    $0.scopes = ["a", "b"]
                    $0.audiences = ["x"]
                    $0.resources = ["https://r/1"]
                    $0.parameters = [Parameter("k", "v/\"ü")]
                    $0.headers = [Parameter("X-Y", "z")]
                    $0.certificateAuthority = "PEM"
                    $0.tokenLifetime = 5
                    $0.revocationURL = try! EndpointURL("https://example.com/revoke")
                    $0.introspectionURL = try! EndpointURL("https://example.com/introspect")
                }).settings)
        #expect(stored.configuration.keyPair.client.secret?.revealed() == "made-up-old")
    }

    @Test func aRecordFromANewerVersionIsLeftAlone() async throws {
        let fixture = try Fixture()
        _ = try await fixture.added()
        let record = try fixture.vault.record("a")
        let text = String(decoding: record.description, as: UTF8.self).replacing(
            #""provider":"p""#, with: #""news":1,"provider":"p""#)
        let newer = try Record(
            description: Array(text.utf8), secrets: ["client_secret": try #require(try record.secret("client_secret"))])
        try fixture.vault.update { try $0.replace("a", with: newer) }
        #expect {
            try fixture.agent.show("a")
        } throws: { error in
            if case CredentialError.newerRecord = error { true } else { false }
        }
    }
}

@Suite struct RotationTests {
    @Test func aProvenPairTakesOver() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        let summary = try await agent.rotate("a", .to(Fixture.client("new")), verify: true)
        #expect(summary.clientID == "new")
        let stored = try fixture.stored()
        #expect(stored.configuration.keyPair.client.secret?.revealed() == "made-up-new")
        #expect(stored.configuration.previousKeyPair?.client.secret?.revealed() == "made-up-old")
        #expect(stored.configuration.stagedKeyPair == nil)
        // The token bought with the old pair is gone; the proof's is there.
        #expect(stored.state.tokens.map { $0.token.revealed() } == ["made-up-2"])
    }

    @Test func aRefusedPairChangesNothing() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        await #expect(throws: TokenError.keyPairRefused) {
            try await agent.rotate("a", .to(Fixture.client("new", secret: "wrong")), verify: true)
        }
        let stored = try fixture.stored()
        #expect(stored.configuration.keyPair.client.id == "old")
        #expect(stored.configuration.previousKeyPair == nil)
        #expect(stored.configuration.stagedKeyPair == nil)
        #expect(try await agent.token("a", TokenQuery(mode: .fresh)).token.revealed() == "made-up-2")
    }

    @Test func aPairThatCouldNotBeTriedIsKeptForLater() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        fixture.server.fail(down)
        await #expect {
            try await agent.rotate("a", .to(Fixture.client("new")), verify: true)
        } throws: { error in
            if case CredentialError.rotationUnfinished(.unreachable) = error { true } else { false }
        }
        #expect(try fixture.stored().configuration.keyPair.client.id == "old")
        #expect(try fixture.stored().configuration.stagedKeyPair?.client.secret?.revealed() == "made-up-new")
        fixture.server.fail(nil)
        _ = try await agent.rotate("a", .staged, verify: true)
        #expect(try fixture.stored().configuration.keyPair.client.id == "new")
        #expect(try fixture.stored().configuration.stagedKeyPair == nil)
    }

    @Test func rollingBackGoesToTheOldPairAndBackAgain() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        _ = try await agent.rotate("a", .to(Fixture.client("new")), verify: true)
        #expect(try await agent.rotate("a", .previous, verify: true).clientID == "old")
        #expect(try await agent.rotate("a", .previous, verify: true).clientID == "new")
    }

    @Test func whereTheOldPairIsDeadRollingBackIsRefused() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        _ = try await agent.rotate("a", .to(Fixture.client("new")), verify: true)
        fixture.server.accept(Fixture.pair("new"))
        await #expect(throws: TokenError.keyPairRefused) { try await agent.rotate("a", .previous, verify: true) }
        #expect(try fixture.stored().configuration.keyPair.client.id == "new")
        #expect(try fixture.stored().configuration.previousKeyPair?.client.id == "old")
    }

    @Test func whatCannotBeRotatedToIsRefused() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        for (rotation, words) in [
            (Rotation.to(try Fixture.client("old")), "samePair"), (.staged, "nothingStaged"), (.previous, "nothingToRollBack"),
        ] {
            await #expect {
                try await agent.rotate("a", rotation, verify: true)
            } throws: { error in "\(error)" == words }
        }
        #expect(fixture.vault.generation == 2)
    }

    @Test func rotatingClearsARefusal() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        fixture.server.accept(Fixture.pair("new"))
        await #expect(throws: TokenError.keyPairRefused) { try await agent.token("a", TokenQuery(mode: .fresh)) }
        #expect(try agent.show("a").refusedSince != nil)
        #expect(try await agent.rotate("a", .to(Fixture.client("new")), verify: true).refusedSince == nil)
    }
}

@Suite struct LoginOwnershipTests {
    /// A copied vault: neither rotating the key pair nor an edit may spend the other machine's refresh token.
    @Test func provingDoesNotSpendTheLoginOfAnotherMachine() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        let foreign = Login(
            refreshToken: try Secret(utf8: "made-up-refresh"), since: .now, renewed: .now, rotation: .rotates, owner: "there")
        try await fixture.change { credential in
            credential.configuration.settings.grant = .refreshToken
            credential.state.login = foreign
        }
        await #expect {
            try await agent.rotate("a", .to(Fixture.client("new")), verify: true)
        } throws: { error in
            if case CredentialError.rotationUnfinished(.ownedElsewhere) = error { true } else { false }
        }
        var settings = try agent.show("a").settings
        settings.scopes = ["x"]
        await #expect(throws: TokenError.ownedElsewhere) {
            try await agent.edit("a", fixture.edit(settings), verify: true)
        }
        #expect(fixture.server.issued == 1)
        #expect(try fixture.stored().state.login?.sending == nil)
    }
}

@Suite struct ChangingTests {
    @Test func revokingAtAServerThatCan() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added { $0.revocationURL = try! EndpointURL("https://example.com/revoke") }
        #expect(try await agent.revoke("a").tokens.revoked == 1)
        #expect(fixture.server.revoked.map { $0.hasPrefix("token=made-up-1&token_type_hint=access_token") } == [true])
        #expect(try fixture.stored().state.tokens.isEmpty)
        #expect(try await agent.revoke("a") == RevocationReport())
    }

    @Test func revokingAtAServerThatCannotSaysUntilWhen() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        let expires = try #require(try fixture.stored().state.tokens.first?.expires)
        let report = try await agent.revoke("a")
        #expect((report.tokens.forgotten, report.validUntil) == (1, expires))
        #expect(try fixture.stored().state.tokens.isEmpty)
    }

    @Test func aRevocationThatFailsForgetsNothing() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added { $0.revocationURL = try! EndpointURL("https://example.com/revoke") }
        fixture.server.fail(down)
        let report = try await agent.revoke("a")
        #expect((report.tokens.kept, report.failure) == (1, .unreachable(down)))
        #expect(try fixture.stored().state.tokens.count == 1)
    }

    @Test func anEditIsProvenWhereItChangesWhatIsSent() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        var settings = try agent.show("a").settings
        settings.revocationURL = try EndpointURL("https://example.com/revoke")
        _ = try await agent.edit("a", fixture.edit(settings), verify: true)
        #expect(fixture.server.issued == 1)
        settings.tokenLifetime = 7
        _ = try await agent.edit("a", fixture.edit(settings), verify: true)
        #expect(fixture.server.issued == 2)
        settings.tokenURL = try EndpointURL("https://other.example/token")
        fixture.server.fail(down)
        await #expect(throws: TokenError.unreachable(down)) {
            try await agent.edit("a", fixture.edit(settings), verify: true)
        }
        #expect(try agent.show("a").settings.tokenURL.host == "example.com")
    }

    @Test func `an edit of settings that have changed meanwhile changes nothing`() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        var settings = try agent.show("a").settings
        settings.tokenLifetime = 7
        let edit = try fixture.edit(settings)
        try await fixture.change { $0.configuration.settings.tokenLifetime = 8 }
        await #expect { try await agent.edit("a", edit, verify: false) } throws: { "\($0)" == "changedMeanwhile" }
        #expect(try agent.show("a").settings.tokenLifetime == 8)
    }

    /// A login without a refresh token can't be acquired again without a person.
    @Test func `a change of the settings or the pair keeps a login without a refresh token`() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        try await fixture.change { $0.configuration.settings.grant = .authorizationCode }
        var settings = try agent.show("a").settings
        settings.redirectURI = "http://127.0.0.1:7777/"
        settings.scopes = ["other"]
        _ = try await agent.edit("a", fixture.edit(settings), verify: true)
        _ = try await agent.rotate("a", .to(Fixture.client("new")), verify: true)
        #expect(try await agent.token("a", TokenQuery()).token.revealed() == "made-up-1")
        #expect(try await agent.check("a") == .kept)
        #expect(fixture.server.issued == 1)
    }

    @Test func renamingAndRemoving() async throws {
        let fixture = try Fixture()
        let agent = try await fixture.added()
        _ = try await agent.add("b", fixture.new("new"), verify: true)
        await #expect(throws: VaultError.nameTaken("b")) { try await agent.rename("a", to: "b") }
        try await agent.rename("a", to: "c")
        #expect(try agent.list().map(\.name) == ["b", "c"])
        try await agent.remove("b")
        #expect(try agent.list().map(\.name) == ["c"])
        await #expect(throws: VaultError.noSuchCredential(name: "b", near: "c")) { try await agent.remove("b") }
    }
}
