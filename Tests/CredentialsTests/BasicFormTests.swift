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

/// A server that reads HTTP Basic in one form only.
private final class BasicServer: HTTPTransport {
    private let state: Mutex<(accepted: [String], requests: Int)>

    init(accepting pairs: String...) { state = Mutex((pairs, 0)) }

    var requests: Int { state.withLock { $0.requests } }

    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        let header = request.head.headerFields[.authorization] ?? ""
        let isAccepted = state.withLock { state in
            state.requests += 1
            return state.accepted.contains { "Basic " + Data($0.utf8).base64EncodedString() == header }
        }
        return isAccepted
            ? EndpointAnswer(status: 200, body: Array(#"{"access_token":"made-up","expires_in":3600}"#.utf8))
            : EndpointAnswer(status: 401, body: Array(#"{"error":"invalid_client"}"#.utf8))
    }
}

@Suite struct BasicFormTests {
    private let folder = TemporaryFolder()

    private func service(_ server: BasicServer) throws -> CredentialService {
        let key = UnlockKey.keyFile(Secret(try SecretBytes.random(count: 32)))
        let vault = try LockedVault.create(at: folder.file("vault-\(UUID())"), keys: [(key, "")], memory: nil)
        return CredentialService(vault: vault, transport: server)
    }

    private func new(
        _ secret: String, provider: String? = nil, change: (inout ClientSettings) -> Void = { _ in }
    ) throws -> NewCredential {
        var settings = ClientSettings(clientAuthentication: .basic, tokenURL: try EndpointURL("https://example.com/token"))
        change(&settings)
        return NewCredential(
            provider: provider, settings: settings, client: ClientCredentials(id: "me", secret: try Secret(utf8: secret)))
    }

    @Test func `the form that the server reads is found and kept, and found again after a rotation`() async throws {
        let server = BasicServer(accepting: "me:a+b/c==", "me:x%3D")
        let service = try service(server)
        #expect(try await service.add("a", new("a+b/c=="), verify: true).settings.clientAuthentication == .basicRaw)
        #expect(server.requests == 2)
        // Here it is the other way round.
        let next = ClientCredentials(id: "me", secret: try Secret(utf8: "x="))
        #expect(try await service.rotate("a", .to(next), verify: true).settings.clientAuthentication == .basic)
        #expect(server.requests == 4)
        _ = try await service.token("a", TokenQuery(mode: .fresh))
        #expect(server.requests == 5)
    }

    /// A refused pair counts at some servers: it is sent twice only where the form may be the reason.
    @Test func `a pair that is wrong is not tried twice without a reason`() async throws {
        let server = BasicServer(accepting: "me:a+b")
        let service = try service(server)
        func refused(_ new: NewCredential, _ requests: Int) async {
            let before = server.requests
            await #expect(throws: TokenError.keyPairRefused) { try await service.add("a", new, verify: true) }
            #expect(server.requests == before + requests)
        }
        await refused(try new("plain-word"), 1)
        await refused(try new("a+b", provider: "torq"), 1)
        await refused(try new("a+b") { $0.issuer = "https://example.com" }, 1)
        await refused(try new("a+b") { $0.clientAuthentication = .post }, 1)
        await refused(try new("wrong+pair"), 2)
    }
}
