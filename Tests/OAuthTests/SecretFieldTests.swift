import HTTPTypes
import Sodium
import Testing

@testable import OAuth

/// What is secret is sent as what is plain would be.
@Suite struct SecretFieldTests {
    private static func settings(_ change: (inout ClientSettings) -> Void = { _ in }) throws -> ClientSettings {
        let url = try EndpointURL("https://example.com/token")
        var settings = ClientSettings(clientAuthentication: .post, tokenURL: url)
        (settings.revocationURL, settings.introspectionURL, settings.deviceAuthorizationURL) = (url, url, url)
        change(&settings)
        return settings
    }

    private static func client() throws -> ClientCredentials {
        ClientCredentials(id: "id", secret: try Secret(utf8: "made-up"))
    }

    private static let plain = (parameters: [Parameter("api_key", "a&b \"ü")], headers: [Parameter("X-Api-Key", "k=1 2")])

    private static func secret() throws -> SecretFields {
        SecretFields(
            parameters: try plain.parameters.map { SecretField($0.name, try Secret(utf8: $0.value)) },
            headers: try plain.headers.map { SecretField($0.name, try Secret(utf8: $0.value)) })
    }

    private static func requests(_ settings: ClientSettings, _ fields: SecretFields) throws -> [EndpointRequest] {
        let (client, token) = (try client(), try Secret(utf8: "made-up-token"))
        return [
            settings.tokenRequest(client, fields: fields, access: RequestedAccess(scopes: ["s"])),
            settings.tokenRequest(client, fields: fields, grant: .refreshToken(token), access: RequestedAccess()),
            try #require(settings.revocationRequest(client, fields: fields, token: token, hint: "access_token")),
            try #require(settings.introspectionRequest(client, fields: fields, token: token)),
            try #require(settings.deviceAuthorizationRequest(client, fields: fields)),
        ]
    }

    @Test(arguments: [ParameterPlacement.body, .query, .json])
    func `each request is to the byte the one with plain values`(_ placement: ParameterPlacement) throws {
        let secret = try Self.requests(try Self.settings { $0.placement = placement }, try Self.secret())
        let plain = try Self.requests(
            try Self.settings {
                ($0.parameters, $0.headers) = Self.plain
                $0.placement = placement
            }, SecretFields())
        for (secret, plain) in zip(secret, plain) { #expect(secret.head == plain.head && secret.body == plain.body) }
        let header = try #require(HTTPField.Name("X-Api-Key"))
        #expect(secret.allSatisfy { $0.head.headerFields[header] == "k=1 2" })
        let texts = secret.map { ($0.head.path ?? "") + String(decoding: $0.body, as: UTF8.self) }
        #expect(texts.map { $0.contains("api_key") } == [true, true, false, false, false])
    }

    @Test func `a parameter takes the place of the standard one of its name`() throws {
        let fields = SecretFields(parameters: [SecretField("scope", try Secret(utf8: "own"))])
        let request = try Self.settings().tokenRequest(Self.client(), fields: fields, access: RequestedAccess(scopes: ["s"]))
        #expect(
            String(decoding: request.body, as: UTF8.self)
                == "grant_type=client_credentials&scope=own&client_id=id&client_secret=made-up")
    }

    @Test func `a header takes the place of the one of its name, in whatever case`() throws {
        let fields = SecretFields(headers: [
            SecretField("aCCEPT", try Secret(utf8: "a/b")), SecretField("authorization", try Secret(utf8: "Own c")),
        ])
        let request = try Self.settings { $0.clientAuthentication = .basic }
            .tokenRequest(Self.client(), fields: fields, access: RequestedAccess())
        #expect(request.head.headerFields[values: .accept] == ["a/b"])
        #expect(request.head.headerFields[values: .authorization] == ["Own c"])
    }

    @Test func `nothing of it is printed`() throws {
        let text = "\(try Self.secret())" + String(reflecting: try Self.secret())
        #expect(text.contains("X-Api-Key") && !text.contains("k=1") && !text.contains("a&b"))
    }
}
