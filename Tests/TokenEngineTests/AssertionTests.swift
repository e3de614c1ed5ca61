import Foundation
import OAuth
import Sodium
import Testing

@testable import TokenEngine

@Suite struct AssertionTests {
    private static let now = Date(timeIntervalSince1970: 1_000_000)

    private static func configuration(
        _ grant: GrantType = .clientCredentials, _ authentication: ClientAuthentication = .privateKeyJWT, user: String? = nil,
        _ change: (inout AssertionSettings) -> Void = { _ in }
    ) throws -> CredentialConfiguration {
        var settings = ClientSettings(
            grant: grant, clientAuthentication: authentication, tokenURL: try EndpointURL("https://made-up.example/token"))
        settings.scopes = ["read", "write"]
        var assertion = AssertionSettings()
        change(&assertion)
        settings.assertion = assertion.isEmpty ? nil : assertion
        let client = ClientCredentials(id: "me", secret: nil, username: user)
        return CredentialConfiguration(provider: nil, settings: settings, keyPair: KeyPair(client: client, since: now))
    }

    private static func claims(_ configuration: CredentialConfiguration, _ use: Assertion.Use) -> [String: JSONValue] {
        var claims = Assertion.claims(configuration, use, now: now)
        claims["jti"] = nil
        return claims
    }

    @Test func `a client assertion names the client twice, and is for the token endpoint`() throws {
        #expect(
            Self.claims(try Self.configuration(), .client) == [
                "iss": .string("me"), "sub": .string("me"), "aud": .string("https://made-up.example/token"),
                "iat": .integer(1_000_000), "exp": .integer(1_000_300),
            ])
    }

    @Test func `no two assertions have the same name`() throws {
        let configuration = try Self.configuration()
        let names = Set((0..<10).map { _ in Assertion.claims(configuration, .client, now: Self.now)["jti"] })
        #expect(names.count == 10)
    }

    @Test func `the subject of a grant is the setting, else the user, else the client`() throws {
        let grant = Assertion.Use.grant(RequestedAccess())
        func subject(_ configuration: CredentialConfiguration) -> JSONValue? { Self.claims(configuration, grant)["sub"] }
        #expect(subject(try Self.configuration(.jwtBearer)) == .string("me"))
        #expect(subject(try Self.configuration(.jwtBearer, user: "u")) == .string("u"))
        #expect(subject(try Self.configuration(.jwtBearer, user: "u") { $0.subject = "s" }) == .string("s"))
        #expect(subject(try Self.configuration(.jwtBearer, user: "u") { $0.subject = "" }) == nil)
    }

    @Test func `scopes in an assertion are separated as in a parameter`() throws {
        var configuration = try Self.configuration(.jwtBearer)
        configuration.settings.scopeSeparator = ","
        #expect(Self.claims(configuration, .grant(RequestedAccess()))["scope"] == .string("read,write"))
        #expect(Self.claims(configuration, .grant(RequestedAccess(scopes: ["b", "a"])))["scope"] == .string("a,b"))
    }

    @Test func `beside an assertion that asks for a token, that of the client is the client's own`() throws {
        let configuration = try Self.configuration(.jwtBearer) { ($0.subject, $0.issuer) = ("somebody", "i") }
        let client = Self.claims(configuration, .client)
        #expect(client["sub"] == .string("me") && client["iss"] == .string("me"))
        let grant = Self.claims(configuration, .grant(RequestedAccess()))
        #expect(grant["sub"] == .string("somebody") && grant["iss"] == .string("i"))
    }

    @Test func `an assertion can be for the endpoint that it is sent to`() throws {
        var configuration = try Self.configuration(.clientCredentials, .privateKeyJWT) { $0.audience = "{endpoint}" }
        configuration.settings.revocationURL = try EndpointURL("https://revoke.example/r")
        let there = Assertion.claims(
            configuration, .client, to: configuration.settings.revocationURL, now: Self.now)["aud"]
        #expect(there == .string("https://revoke.example/r"))
        #expect(Self.claims(configuration, .client)["aud"] == .string(configuration.settings.tokenURL.description))
    }

    @Test func `an assertion as a bearer token has no audience and no subject, and is issued a while ago`() throws {
        #expect(
            Self.claims(try Self.configuration(.clientCredentials, .bearerJWT), .bearer) == [
                "iss": .string("me"), "iat": .integer(999_940), "exp": .integer(1_000_240),
            ])
        let named = try Self.configuration(.clientCredentials, .bearerJWT) { ($0.audience, $0.lifetime) = ("a", 600) }
        #expect(Self.claims(named, .bearer)["aud"] == .string("a") && Self.claims(named, .bearer)["exp"] == .integer(1_000_540))
    }

    @Test func `further claims take the place of ours`() throws {
        let configuration = try Self.configuration { $0.claims = ["aud": .array([.string("a")]), "env": .string("x")] }
        let claims = Self.claims(configuration, .client)
        #expect(claims["aud"] == .array([.string("a")]) && claims["env"] == .string("x"))
    }

    @Test func `a key that does not suit the algorithm is refused`() async throws {
        let key = """
            -----BEGIN PRIVATE KEY-----
            MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
            -----END PRIVATE KEY-----
            """
        _ = try SigningKey(pem: key, algorithm: .eddsa)
        _ = try SigningKey(pem: key, algorithm: nil)
        #expect(throws: SigningKey.Refusal.self) { try SigningKey(pem: key, algorithm: .ps256) }
        #expect(throws: SigningKey.Refusal.self) { try SigningKey(pem: "made up", algorithm: nil) }
    }

    @Test func `a key and its certificate are found in any order, with any line ends`() {
        let (key, certificate) = (
            ["-----BEGIN EC PRIVATE KEY-----", "AAAA", "-----END EC PRIVATE KEY-----"],
            ["-----BEGIN CERTIFICATE-----", "AQID", "-----END CERTIFICATE-----"]
        )
        for (lines, end) in [
            (key + certificate, "\n"), (["a: b"] + certificate + key, "\r\n"), (certificate + certificate + key, "\n"),
        ] {
            let text = lines.joined(separator: end)
            #expect(PEM.privateKey(in: text) == key.joined(separator: "\n") + "\n")
            #expect(PEM.firstCertificate(in: text) == [1, 2, 3])
        }
        #expect(PEM.privateKey(in: certificate.joined(separator: "\n")) == nil)
        #expect(PEM.firstCertificate(in: key.joined(separator: "\n")) == nil)
    }
}
