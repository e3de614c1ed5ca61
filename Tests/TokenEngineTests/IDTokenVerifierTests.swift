import Foundation
import HTTPTypes
import JWTKit
import OAuth
import Sodium
import Synchronization
import Testing

@testable import TokenEngine

/// An issuer with its keys, of which each may be exchanged for another.
private final class Issuer: HTTPTransport {
    struct Claims: JWTPayload {
        var iss = Issuer.name
        var aud = ["made-up-client"]
        var azp: String?
        var exp = 1_000_300
        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }

    static let name = "https://issuer.example"

    private let state: Mutex<(key: ES256PrivateKey, id: String, fetches: Int)>

    init() { state = Mutex((ES256PrivateKey(), "first", 0)) }

    /// How often the keys were asked for.
    var fetches: Int { state.withLock { $0.fetches } }
    func changeKey(_ id: String) { state.withLock { ($0.key, $0.id) = (ES256PrivateKey(), id) } }

    func sign(_ claims: Claims = Claims(), keyID: String? = nil) async throws -> String {
        let (key, id, _) = state.withLock { $0 }
        var header = JWTHeader()
        header.kid = keyID ?? id
        return try await JWTKeyCollection().add(ecdsa: key).sign(claims, header: header)
    }

    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        let text = state.withLock { state in
            switch request.head.path {
            case "/.well-known/oauth-authorization-server":
                return #"{"issuer":"\#(Self.name)","token_endpoint":"\#(Self.name)/token","jwks_uri":"\#(Self.name)/keys"}"#
            default:
                state.fetches += 1
                let parameters = state.key.parameters!
                // Besides a key that no library here knows.
                return #"""
                    {"keys":[{"kty":"made up","kid":"x"},
                    {"kty":"EC","crv":"P-256","kid":"\#(state.id)","alg":"ES256","x":"\#(parameters.x)","y":"\#(parameters.y)"}]}
                    """#
            }
        }
        return EndpointAnswer(status: 200, body: Array(text.utf8))
    }
}

@Suite struct IDTokenVerifierTests {
    private let issuer = Issuer()
    private let clock = ManualClock()
    private let verifier: IDTokenVerifier

    init() {
        verifier = IDTokenVerifier(endpoints: EndpointClient(transport: issuer, clock: clock), clock: clock)
    }

    private func configuration(issuer: String? = Issuer.name) throws -> CredentialConfiguration {
        var settings = ClientSettings(tokenURL: try EndpointURL("https://issuer.example/token"))
        settings.issuer = issuer
        let client = ClientCredentials(id: "made-up-client", secret: nil)
        return CredentialConfiguration(
            provider: nil, settings: settings, secretFields: SecretFields(), keyPair: KeyPair(client: client, since: clock.now()))
    }

    private func refusal(_ idToken: String, issuer: String? = Issuer.name) async throws -> FieldRefusal? {
        do {
            try await verifier.verify(idToken, of: try configuration(issuer: issuer))
            return nil
        } catch TokenError.notShown(let refusal) {
            return refusal
        }
    }

    @Test func `one that is right is shown, and its issuer's keys are asked for once`() async throws {
        for _ in 0..<3 { #expect(try await refusal(issuer.sign()) == nil) }
        #expect(issuer.fetches == 1)
    }

    @Test func `many that come at once share one request for the keys`() async throws {
        let (idToken, configuration) = (try await issuer.sign(), try configuration())
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 { group.addTask { try await verifier.verify(idToken, of: configuration) } }
            try await group.waitForAll()
        }
        #expect(issuer.fetches == 1)
    }

    @Test func `each check has its refusal`() async throws {
        var claims = Issuer.Claims()
        claims.iss += "/"
        #expect(try await refusal(issuer.sign(claims)) == .wrongIssuer)
        claims = Issuer.Claims()
        claims.aud = ["another"]
        #expect(try await refusal(issuer.sign(claims)) == .wrongAudience)
        claims.aud = ["another", "made-up-client"]
        claims.azp = "another"
        #expect(try await refusal(issuer.sign(claims)) == .wrongAudience)
        claims = Issuer.Claims()
        claims.exp = 1_000_000
        #expect(try await refusal(issuer.sign(claims)) == .ended)
        #expect(try await refusal(issuer.sign(), issuer: nil) == .noIssuer)
        for text in ["", "a.b", "a.b.c", "a.b.c.d.e"] { #expect(try await refusal(text) == .unreadable) }
        #expect(try await refusal(issuer.sign(), issuer: "https://other.example") == .wrongIssuer)
        #expect(issuer.fetches == 0)
    }

    @Test func `a signature that is another's is refused, and so is none`() async throws {
        let forged = try await Issuer().sign(keyID: "first")
        #expect(try await refusal(forged) == .wrongSignature)
        let parts = try await issuer.sign().split(separator: ".")
        let head = Base64URL.encode(Array(#"{"alg":"none","typ":"JWT"}"#.utf8))
        #expect(try await refusal([head, String(parts[1]), ""].joined(separator: ".")) != nil)
        #expect(
            try await refusal([String(parts[0]), String(parts[1]), String(parts[2].reversed())].joined(separator: ".")) != nil)
    }

    @Test func `a key that is not known is looked for once a minute`() async throws {
        #expect(try await refusal(issuer.sign()) == nil)
        issuer.changeKey("second")
        let new = try await issuer.sign()
        clock.advance(59)
        #expect(try await refusal(new) == .wrongSignature)
        clock.advance(1)
        #expect(try await refusal(new) == nil)
        #expect(issuer.fetches == 2)
    }
}

@Suite struct TokenFieldTests {
    private static let extras = #"""
        {"instance_url":"https://x.example","count":3,"ok":true,"none":null,"empty":"","user":{"id":"u","name":["a","b"]},
        "webhook":{"url":"u","signing_secret":"made-up"},"client_secret":"made-up","other_token":"made-up",
        "note":"eyJhbGciOiJub25lIn0.e30.x","id_token":"eyJhbGciOiJub25lIn0.e30.x","a/b":"slash"}
        """#

    private static func read(_ name: String) throws -> String {
        let token = CachedToken(
            access: RequestedAccess(), token: try Secret(utf8: "made-up"), type: "Bearer", scopes: nil, sent: .now, expires: nil,
            extras: try Secret(utf8: extras))
        let field = TokenField(name)
        let alone = try token.only(field, format: nil)
        let document = JSONValue(parsing: Array((alone.extras?.revealed() ?? "").utf8))?.object
        #expect(document?.count == 1)
        return try field.text(in: alone.extras)
    }

    @Test(arguments: [
        ("instance_url", "https://x.example"), ("count", "3"), ("ok", "true"), ("/user/id", "u"), ("/user/name", #"["a","b"]"#),
        ("user", #"{"id":"u","name":["a","b"]}"#), ("/a~1b", "slash"), ("id_token", "eyJhbGciOiJub25lIn0.e30.x"),
        ("/webhook/url", "u"),
    ])
    func `what came with a token is shown`(_ name: String, _ text: String) throws {
        #expect(try Self.read(name) == text)
    }

    @Test(arguments: [
        "client_secret", "other_token", "webhook", "/webhook/signing_secret", "note", "refresh_token", "/access_token",
    ])
    func `what may let somebody in is not`(_ name: String) {
        #expect(throws: TokenError.notShown(.secret(name))) { try Self.read(name) }
    }

    @Test(arguments: ["nothing", "none", "empty", "/user/none", "/user/~x"])
    func `what did not come is said`(_ name: String) {
        #expect(throws: TokenError.notShown(.noField(name))) { try Self.read(name) }
    }

    /// A login whose token lives on gets another when its ID token has ended.
    @Test func `an ID token that has ended is renewed with the token`() async throws {
        func idToken(_ end: Int) -> String {
            [#"{"alg":"none"}"#, #"{"exp":\#(end)}"#, ""].map { Base64URL.encode(Array($0.utf8)) }.joined(separator: ".")
        }
        func reply(_ token: String, _ end: Int) -> ScriptedTransport.Reply {
            .status(200, #"{"access_token":"\#(token)","expires_in":3600,"id_token":"\#(idToken(end))"}"#)
        }
        let transport = ScriptedTransport(reply("first", 1_000_060), reply("second", 1_003_600))
        let (store, clock) = (MemoryStore(["a": try someCredential()]), ManualClock())
        let driver = TokenDriver(store: store, transport: transport, clock: clock, host: Host(id: "here"), jitter: { 1 })
        var ask = TokenQuery()
        #expect(try await driver.token("a", ask).token.revealed() == "first")
        ask.field = .idToken
        #expect(try await driver.token("a", ask).token.revealed() == "first" && transport.requests == 1)
        clock.advance(55)
        #expect(try await driver.token("a", ask).token.revealed() == "second" && transport.requests == 2)
        #expect(try await driver.token("a", TokenQuery()).token.revealed() == "second" && transport.requests == 2)
    }
}
