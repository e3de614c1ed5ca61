import Access
import Foundation
import HTTPTypes
import OAuth
import Sodium
import Synchronization
import TestSupport
import Testing
import TokenEngine

@testable import Credentials
@testable import Vault

/// A server that notes which secret header and parameter each token request has, and can refuse all.
private final class NotingServer: HTTPTransport {
    private let state = Mutex((isRefusing: false, seen: [String]()))

    func refuse(_ refuses: Bool) { state.withLock { $0.isRefusing = refuses } }
    /// What has come since the last call.
    func seen() -> [String] {
        state.withLock { state in
            defer { state.seen = [] }
            return state.seen
        }
    }

    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        let body = String(decoding: request.body, as: UTF8.self)
        let parameter = body.split(separator: "&").first { $0.hasPrefix("api_key=") }
        let header = request.head.headerFields[HTTPField.Name("X-Api-Key")!]
        let isRefusing = state.withLock { state in
            state.seen.append("\(header ?? "none") \(parameter ?? "none")")
            return state.isRefusing
        }
        if isRefusing { return EndpointAnswer(status: 401, body: Array(#"{"error":"invalid_client"}"#.utf8)) }
        return EndpointAnswer(status: 200, body: Array(#"{"access_token":"made-up","expires_in":3600}"#.utf8))
    }
}

private struct Fixture {
    let folder = TemporaryFolder()
    let server = NotingServer()
    let vault: UnlockedVault
    let agent: CredentialService

    /// With a credential that has a secret header and a secret parameter.
    init() async throws {
        let key = UnlockKey.keyFile(Secret(try SecretBytes.random(count: 32)))
        vault = try LockedVault.create(at: folder.file("vault"), keys: [(key, "")], memory: nil)
        agent = CredentialService(vault: vault, transport: server)
        var settings = ClientSettings(clientAuthentication: .post, tokenURL: try EndpointURL("https://example.com/token"))
        (settings.secretHeaders, settings.secretParameters) = (["X-Api-Key"], ["api_key"])
        let new = NewCredential(
            provider: nil, settings: settings, secretFields: try Self.fields(header: "h1", parameter: "p1"),
            client: try Self.client("old"))
        _ = try await agent.add("a", new, verify: true)
    }

    static func client(_ name: String) throws -> ClientCredentials {
        ClientCredentials(id: name, secret: try Secret(utf8: "made-up-" + name))
    }

    static func fields(header: String? = nil, parameter: String? = nil) throws -> SecretFields {
        SecretFields(
            parameters: try parameter.map { [SecretField("api_key", try Secret(utf8: $0))] } ?? [],
            headers: try header.map { [SecretField("X-Api-Key", try Secret(utf8: $0))] } ?? [])
    }

    func edit(
        _ fields: SecretFields = SecretFields(), verify: Bool = true, _ change: (inout ClientSettings) -> Void = { _ in }
    ) async throws {
        let now = try agent.show("a")
        var settings = now.settings
        change(&settings)
        let edit = SettingsEdit(
            before: .init(clientID: now.clientID, settings: now.settings),
            after: .init(clientID: now.clientID, settings: settings), secretFields: fields)
        _ = try await agent.edit("a", edit, verify: verify)
    }

    func stored(_ name: String = "a") throws -> String {
        let fields = try CredentialRecord.credential(vault.record(name), name: name).configuration.secretFields
        return (fields.headers + fields.parameters).map { $0.name + "=" + $0.value.revealed() }.joined(separator: " ")
    }
}

@Suite struct SecretFieldTests {
    @Test func `they are proven, kept and sent`() async throws {
        let fixture = try await Fixture()
        _ = try await fixture.agent.token("a", TokenQuery(mode: .fresh))
        #expect(fixture.server.seen() == ["h1 api_key=p1", "h1 api_key=p1"])
        #expect(try fixture.stored() == "X-Api-Key=h1 api_key=p1")
        let record = try fixture.vault.record("a")
        #expect(record.secretNames == ["client_secret", "header.0", "parameter.0", "token.0"])
        let description = String(decoding: record.description, as: UTF8.self)
        #expect(description.contains(#""secret_headers":["X-Api-Key"],"secret_parameters":["api_key"]"#))
        #expect(!description.contains("h1") && !description.contains("p1"))
    }

    @Test func `the proofs of a rotation and of a rollback send them, and a new name keeps them`() async throws {
        let fixture = try await Fixture()
        _ = try await fixture.agent.rotate("a", .to(Fixture.client("new")), verify: true)
        _ = try await fixture.agent.rotate("a", .previous, verify: true)
        #expect(fixture.server.seen() == Array(repeating: "h1 api_key=p1", count: 3))
        try await fixture.agent.rename("a", to: "b")
        #expect(try fixture.stored("b") == "X-Api-Key=h1 api_key=p1")
    }

    @Test func `a new value is proven, and the others stay`() async throws {
        let fixture = try await Fixture()
        _ = fixture.server.seen()
        try await fixture.edit(Fixture.fields(header: "h2"))
        #expect(fixture.server.seen() == ["h2 api_key=p1"])
        #expect(try fixture.stored() == "X-Api-Key=h2 api_key=p1")
        fixture.server.refuse(true)
        await #expect(throws: TokenError.keyPairRefused) { try await fixture.edit(Fixture.fields(parameter: "p2")) }
        #expect(try fixture.stored() == "X-Api-Key=h2 api_key=p1")
    }

    @Test func `a value goes with its name`() async throws {
        let fixture = try await Fixture()
        try await fixture.edit { $0.secretHeaders = nil }
        #expect(fixture.server.seen() == ["h1 api_key=p1", "none api_key=p1"])
        #expect(try fixture.stored() == "api_key=p1")
        // It does not come back with the name.
        await #expect { try await fixture.edit { $0.secretHeaders = ["X-Api-Key"] } } throws: { error in
            if case CredentialError.noValue(name: "X-Api-Key") = error { true } else { false }
        }
    }

    @Test func `values follow their names into another order`() async throws {
        let fixture = try await Fixture()
        let more = SecretFields(headers: [SecretField("X-First", try Secret(utf8: "f"))])
        try await fixture.edit(more, verify: false) { $0.secretHeaders = ["X-First", "X-Api-Key"] }
        #expect(try fixture.stored() == "X-First=f X-Api-Key=h1 api_key=p1")
    }

    @Test func `a name without a value is not added`() async throws {
        let fixture = try await Fixture()
        var settings = try fixture.agent.show("a").settings
        settings.secretHeaders = ["X-Other"]
        let new = NewCredential(
            provider: nil, settings: settings, secretFields: try Fixture.fields(header: "h", parameter: "p"),
            client: try Fixture.client("old"))
        await #expect { try await fixture.agent.add("b", new, verify: false) } throws: { error in
            if case CredentialError.noValue(name: "X-Other") = error { true } else { false }
        }
        #expect(fixture.vault.names() == ["a"])
    }

    // MARK: Records

    /// Whether a record is written back as it stands.
    private static func isKept(_ record: Record, _ name: String) throws -> Bool {
        let again = try CredentialRecord.record(CredentialRecord.credential(record, name: name))
        let before = String(decoding: record.description, as: UTF8.self)
        var after = String(decoding: again.description, as: UTF8.self)
        // Where an older version stored only since when the server refuses, a change adds how often it did.
        if !before.contains(#""refusal":"#) { after = after.replacing(#/"refusal":{[^}]*},/#, with: "") }
        return try after == before && again.secretNames == record.secretNames
            && record.secretNames.allSatisfy { try again.secret($0)?.revealed() == record.secret($0)?.revealed() }
    }

    /// The first generation knew no such fields; each member that it did know is in one of its records.
    @Test func `records from before are written back as they stand`() throws {
        let folder = TemporaryFolder()
        let stored = Program.root + "/Tests/StoredTests/Fixtures/1/"
        let key = try KeyFile.read(folder.write("key", bytes(ofFile: stored + "key")))
        let path = folder.write("vault", bytes(ofFile: stored + "data/claviger/vault"))
        let vault = try LockedVault(path: path, memory: nil).unlock(with: .keyFile(key))
        let names = vault.names()
        #expect(names.count >= 20)
        for name in names { #expect(try Self.isKept(vault.record(name), name), "\(name)") }
    }

    @Test func `records with everything in them are written back as they stand`() throws {
        for credential in try VaultManualTests.credentials() {
            #expect(try Self.isKept(CredentialRecord.record(credential), "a"))
        }
    }
}
