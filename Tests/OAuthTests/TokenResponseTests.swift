import Foundation
import OAuth
import Sodium
import Testing

private func parse(_ body: String, status: Int = 200, retryAfter: String? = nil) throws -> TokenSet {
    try TokenResponse.parse(
        status: status, body: Array(body.utf8), retryAfter: retryAfter, now: Date(timeIntervalSince1970: 784_111_770))
}

@Suite struct TokenResponseTests {
    @Test func theExampleOfRFC6749() throws {
        // Section 5.1.
        let tokens = try parse(
            #"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"example","expires_in":3600,"refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA","example_parameter":"example_value"}"#
        )
        #expect(tokens.accessToken.revealed() == "2YotnFZFEjr1zCsicMWpAA")
        #expect(tokens.tokenType == "example")
        #expect(tokens.expiresIn == 3600)
        #expect(tokens.refreshToken?.revealed() == "tGzv3JOkF0XG5Qx2TlKWIA")
        #expect(tokens.extras?.revealed() == #"{"example_parameter":"example_value"}"#)
        #expect(tokens.scopes == nil)
    }

    @Test(
        arguments: [
            (#""expires_in":3600"#, 3600), (#""expires_in":"899""#, 899), (#""expires_in":3600.0"#, 3600),
            (#""expires_in":null"#, nil),
            (#""x":1"#, nil), (#""expires_in":0"#, 0), (#""expires_in":99999999999999"#, 315_360_000),
        ] as [(String, Int?)])
    func lifetimesComeInManyWays(_ member: String, _ expected: Int?) throws {
        #expect(try parse(#"{"access_token":"a","token_type":"bearer",\#(member)}"#).expiresIn == expected)
    }

    @Test(arguments: [
        #""3600abc""#, #""""#, #""-1""#, "-1", "true", "[3600]", #""1e3""#, #"" 3600""#, #""99999999999999999999999""#,
    ])
    func aLifetimeThatIsNoneIsRefused(_ value: String) {
        #expect(throws: TokenRefusal.unusable(reason: "a lifetime (expires_in) that is no number of seconds")) {
            try parse(#"{"access_token":"a","expires_in":\#(value)}"#)
        }
    }

    @Test(arguments: ["Bearer", "bearer", "BEARER", "access", "user"])
    func tokenTypesAreWordsOfManyKinds(_ type: String) throws {
        #expect(try parse(#"{"access_token":"a","token_type":"\#(type)"}"#).tokenType == type)
    }

    @Test func scopesMayBeTextOrAList() throws {
        #expect(try parse(#"{"access_token":"a","scope":"x y"}"#).scopes == ["x", "y"])
        #expect(try parse(#"{"access_token":"a","scope":["x","y"]}"#).scopes == ["x", "y"])
    }

    @Test(arguments: [
        "", " ", "<html>hello</html>", "[]", "null", #""a""#, "{}", #"{"access_token":""}"#, #"{"access_token":1}"#,
        #"{"access_token":null}"#, #"{"access_token":"a\nb"}"#, #"{"access_token":"a\u0000"}"#, #"{"access_token":"a b"}"#,
        #"{"access_token":"ä"}"#, #"{"access_token":"a","refresh_token":"b\r"}"#, #"{"access_token":"a","token_type":"DPoP"}"#,
        #"{"access_token":"a","token_type":"mac"}"#, #"{"access_token":"a"} trailing"#, #"{"access_token":"a""#,
    ])
    func whatIsNoTokenIsRefused(_ body: String) {
        #expect {
            try parse(body)
        } throws: { error in
            if case TokenRefusal.unusable = error { true } else { false }
        }
    }

    @Test(arguments: [
        (400, #"{"error":"invalid_client"}"#, OAuthErrorCode.invalidClient),
        (401, #"{"error":"invalid_client"}"#, .invalidClient),
        (401, "", .invalidClient),
        (401, "<html>", .invalidClient),
        (400, #"{"error":"invalid_grant"}"#, .invalidGrant),
        (400, #"{"error":"invalid_scope"}"#, .registered("invalid_scope")),
        (403, #"{"error":"access_denied"}"#, .registered("access_denied")),
        (400, #"{"error":"made-up-secret was wrong"}"#, .unregistered(status: 400)),
        (403, "", .unregistered(status: 403)),
        (200, #"{"error":"invalid_client"}"#, .invalidClient),
    ])
    func refusalsAreToldApart(_ status: Int, _ body: String, _ code: OAuthErrorCode) {
        #expect(throws: TokenRefusal.oauth(code)) { try parse(body, status: status) }
    }

    @Test(arguments: [408, 429, 500, 502, 503, 504, 599])
    func someStatusesAreForTheMoment(_ status: Int) {
        #expect(throws: TokenRefusal.transient(status: status, retryAfter: nil)) { try parse("oops", status: status) }
        #expect(throws: TokenRefusal.transient(status: status, retryAfter: 7)) { try parse("", status: status, retryAfter: "7") }
    }

    @Test(arguments: [301, 302, 303, 307, 308])
    func redirectsAreRefused(_ status: Int) {
        #expect(throws: TokenRefusal.redirected(status: status)) { try parse(#"{"access_token":"a"}"#, status: status) }
    }
}

@Suite struct RetryAfterTests {
    private let now = Date(timeIntervalSince1970: 784_111_770)

    @Test(arguments: [
        ("120", 120), ("0", 0), ("-5", 0), ("999999999", 86_400),
        // RFC 9110 section 5.6.7: 784111777.
        ("Sun, 06 Nov 1994 08:49:37 GMT", 7), ("Sun, 06 Nov 1994 08:49:00 GMT", 0), ("Mon, 07 Nov 2094 08:49:37 GMT", 86_400),
    ])
    func readsSecondsAndDates(_ value: String, _ expected: Int) {
        #expect(RetryAfter.seconds(value, now: now) == expected)
    }

    @Test(arguments: [
        "", "soon", "1.5", "Sun, 06 Nov 1994", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
    ])
    func ignoresTheRest(_ value: String) {
        #expect(RetryAfter.seconds(value, now: now) == nil)
    }
}
