import FoundationEssentials
import HTTPTypes
import OAuth
import Sodium
import Synchronization
import Testing

@testable import TokenEngine

/// Every request that the engine sends has the credential's secret headers, and every token request its secret parameters.
@Suite struct SecretFieldTests {
    private static func credential() throws -> Credential {
        try someCredential { credential in
            let url = credential.configuration.settings.tokenURL
            credential.configuration.settings.revocationURL = url
            credential.configuration.settings.introspectionURL = url
            credential.configuration.settings.deviceAuthorizationURL = url
            credential.configuration.settings.secretHeaders = ["X-Api-Key"]
            credential.configuration.settings.secretParameters = ["api_key"]
            credential.configuration.secretFields = SecretFields(
                parameters: [SecretField("api_key", try! Secret(utf8: "p"))],
                headers: [SecretField("X-Api-Key", try! Secret(utf8: "h"))])
        }
    }

    private static let header = HTTPField.Name("X-Api-Key")!

    private static func tokenRequest(_ change: (inout Credential) throws -> Void = { _ in }) async throws -> EndpointRequest {
        var credential = try credential()
        try change(&credential)
        let transport = ScriptedTransport(.token("new", refresh: "next"))
        let driver = TokenDriver(
            store: MemoryStore(["a": credential]), transport: transport, clock: ManualClock(), host: Host(id: "here"),
            jitter: { 1 })
        _ = try await driver.token("a", TokenQuery())
        return try #require(transport.sent.first)
    }

    @Test func `those for a token`() async throws {
        let login = Login(
            refreshToken: try Secret(utf8: "r"), since: .now, renewed: .now, rotation: .rotates, owner: "here")
        let requests = [
            try await Self.tokenRequest(),
            try await Self.tokenRequest {
                $0.configuration.settings.grant = .refreshToken
                $0.state.login = login
            },
        ]
        for request in requests {
            #expect(request.head.headerFields[Self.header] == "h")
            #expect(String(decoding: request.body, as: UTF8.self).contains("&api_key=p"))
        }
    }

    @Test func `those to the other endpoints`() async throws {
        let configuration = try Self.credential().configuration
        let transport = ScriptedTransport(.status(200, #"{"active":true}"#))
        let client = EndpointClient(transport: transport, clock: ManualClock())
        let token = try Secret(utf8: "made-up-token")
        #expect(try await client.isActive(token, of: configuration))
        _ = try await client.revoke(token, hint: "access_token", of: configuration)
        // Not an answer to this one.
        _ = try? await client.deviceCodes(configuration)
        #expect(transport.sent.map { $0.head.headerFields[Self.header] } == ["h", "h", "h"])
        #expect(transport.bodies.allSatisfy { !$0.contains("api_key") })
    }
}
