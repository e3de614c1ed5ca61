import Foundation
import TestSupport
import Testing

@testable import ClavigerCore
@testable import OAuth

/// One table has the names of a credential's settings; nothing may be missing from it.
@Suite struct SettingFieldTests {
    /// Settings of which every one is set.
    private static func everything() throws -> ClientSettings {
        let url = try EndpointURL("https://made-up.example/x")
        var settings = ClientSettings(tokenURL: url)
        settings.revocationURL = url
        settings.introspectionURL = url
        settings.apiURL = url
        settings.scopes = ["read"]
        settings.audiences = ["a"]
        settings.resources = ["r"]
        settings.parameters = [Parameter("p", "1")]
        settings.headers = [Parameter("X-H", "1")]
        settings.secretParameters = ["s"]
        settings.secretHeaders = ["X-S"]
        settings.placement = .query
        settings.certificateAuthority = "made up"
        settings.tokenLifetime = 60
        (settings.loginIdle, settings.loginLifetime) = (60, 120)
        settings.authorizationURL = url
        settings.authorizationParameters = [Parameter("q", "1")]
        settings.redirectURI = "http://127.0.0.1/x"
        settings.deviceAuthorizationURL = url
        settings.omitsGrantType = true
        settings.issuer = "https://made-up.example"
        settings.keyID = "k"
        settings.dpop = true
        settings.pushedAuthorizationURL = url
        settings.assertion = AssertionSettings()
        settings.assertion?.audience = "a"
        settings.scopeSeparator = ","
        settings.noRefreshToken = true
        settings.refreshTokenRotates = true
        settings.refreshTokenGrace = .seconds(30)
        settings.olderTokensLive = false
        settings.resend = .never
        settings.method = .get
        settings.pkce = false
        settings.nonce = false
        settings.parameterNames = ["client_id": "app"]
        settings.refresh = RefreshFormat()
        settings.refresh?.method = .post
        settings.answer = AnswerFormat()
        settings.answer?.accessToken = JSONPointer(rawValue: "/token")
        settings.presentation = TokenPresentation(rawValue: "X-Token: {token}")
        settings.subject = ExchangedToken(source: .credential(name: "s"), type: "t")
        settings.actor = ExchangedToken(source: .file(path: "/f"), type: "t")
        return settings
    }

    private static func members(_ settings: ClientSettings) throws -> Set<String> {
        let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(settings)) as? [String: Any]
        return Set(try #require(object).keys)
    }

    private static var manual: String {
        String(decoding: bytes(ofFile: Program.root + "/man/claviger-credentials.1"), as: UTF8.self)
    }

    @Test func `the table has every setting that is stored`() throws {
        let settings = try Self.everything()
        #expect(Set(SettingField.all.map(\.key)) == (try Self.members(settings)))
        #expect(Set(SettingField.all.map(\.key)).count == SettingField.all.count)
        // A setting that is new in ClientSettings must be set above.
        #expect(Mirror(reflecting: settings).children.count == SettingField.all.count)
        for field in SettingField.all {
            let value = field.read(settings)
            #expect(value != nil && value != field.usual, "\(field.key)")
        }
    }

    @Test func `the manual has every option and every member`() {
        let words = Set(Self.manual.split { " \n".contains($0) }.map(String.init))
        for field in SettingField.all {
            #expect(words.contains(field.member), "\(field.member)")
            guard let option = field.option else { continue }
            #expect(words.contains { $0 == "-" + option || $0.hasPrefix("-\(option)-") }, "--\(option)")
            #expect(field.clear == nil || words.contains(option), "--clear \(option)")
        }
    }

    @Test func `what is cleared is as if it had never been set`() throws {
        for field in SettingField.all {
            var settings = try Self.everything()
            guard let clear = field.clear else { continue }
            clear(&settings)
            let value = field.read(settings)
            #expect(value == nil || value == field.usual, "\(field.key)")
            let others = SettingField.all.filter { $0.key != field.key }
            #expect(try others.allSatisfy { $0.read(settings) == $0.read(try Self.everything()) }, "\(field.key)")
        }
    }

    /// Through the program: what `edit` sets, `show` shows, in text and in JSON, until it is cleared.
    @Test func `what a server does with refresh tokens is set, shown and cleared`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        let edited = await fixture.run(
            "edit", "torq", "--no-verify", "--refresh-token-rotates", "true", "--refresh-token-grace", "until-used",
            "--older-tokens-live", "false", "--resend", "never", "--scope-separator", ",", "--no-refresh-token",
            "--authorization-param", "prompt=consent")
        #expect(edited.status == 0, "\(edited.errors)")
        var shown = try await fixture.show("torq")
        #expect(shown["refresh_token_rotates"] as? Bool == true && shown["older_tokens_live"] as? Bool == false)
        #expect(shown["refresh_token_grace"] as? String == "until_successor_is_used" && shown["resend"] as? String == "never")
        #expect(shown["scope_separator"] as? String == "," && shown["no_refresh_token"] as? Bool == true)
        #expect(shown["authorization_params"] as? [String: String] == ["prompt": "consent"])
        let text = await fixture.run("show", "torq").output
        for line in [
            "refresh token rotates  +yes", "refresh token grace  +until its successor is used", "older tokens live  +no",
            "resend  +never", "scope separator  +,", "no refresh token  +yes", "authorization parameters  +prompt=consent",
        ] {
            #expect(text.contains(try Regex(line)), "\(line)")
        }
        #expect(await fixture.run("edit", "torq", "--no-verify", "--refresh-token-grace", "30").status == 0)
        #expect(try await fixture.show("torq")["refresh_token_grace"] as? Int == 30)
        let cleared = await fixture.run(
            "edit", "torq", "--no-verify", "--clear", "refresh-token-rotates", "--clear", "refresh-token-grace", "--clear",
            "older-tokens-live", "--clear", "resend", "--clear", "scope-separator")
        #expect(cleared.status == 0, "\(cleared.errors)")
        shown = try await fixture.show("torq")
        for member in ["refresh_token_rotates", "refresh_token_grace", "older_tokens_live", "resend", "scope_separator"] {
            #expect(shown[member] == nil, "\(member)")
        }
    }

    @Test(arguments: [
        ["--resend", "twice"], ["--refresh-token-grace", "-1"], ["--refresh-token-grace", "soon"],
        ["--refresh-token-grace", "31536001"], ["--refresh-token-rotates", "maybe"], ["--older-tokens-live", "1"],
        ["--clear", "grant"], ["--clear", "made-up"],
    ])
    func `what is no such value is refused`(_ words: [String]) async throws {
        let fixture = try await CommandFixture()
        let result = await Program.run(Program.claviger, ["edit", "x"] + words, environment: fixture.environment)
        #expect(result.status == 64 && result.errors.contains(words[0]), "\(result.errors)")
    }
}
