import Foundation
import HTTPTypes
import Sodium
import Testing

@testable import OAuth

private func read(
    _ body: String, status: Int = 200, headers: HTTPFields = [:], isPolling: Bool = false
) throws -> TokenSet {
    try TokenResponse.read(
        status: status, headers: headers, body: Array(body.utf8), now: Date(timeIntervalSince1970: 784_111_770),
        isPolling: isPolling
    ).result.get()
}

@Suite struct TokenResponseTests {
    @Test func theExampleOfRFC6749() throws {
        // Section 5.1.
        let tokens = try read(
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
            (#""x":1"#, nil), (#""expires_in":"""#, nil), (#""expires_in":"3600.0""#, 3600), (#""expires_in":0"#, nil),
            (#""expires_in":99999999999999"#, 315_360_000),
        ] as [(String, Int?)])
    func lifetimesComeInManyWays(_ member: String, _ expected: Int?) throws {
        #expect(try read(#"{"access_token":"a","token_type":"bearer",\#(member)}"#).expiresIn == expected)
    }

    @Test(arguments: [
        #""3600abc""#, #""-1""#, "-1", "true", "[3600]", #""1e3""#, #"" 3600""#, #""99999999999999999999999""#,
    ])
    func aLifetimeThatIsNoneIsRefused(_ value: String) {
        #expect(throws: TokenRefusal.unusable(reason: "a lifetime (expires_in) that is no number of seconds")) {
            try read(#"{"access_token":"a","expires_in":\#(value)}"#)
        }
    }

    @Test(arguments: ["Bearer", "bearer", "BEARER", "access", "user"])
    func tokenTypesAreWordsOfManyKinds(_ type: String) throws {
        #expect(try read(#"{"access_token":"a","token_type":"\#(type)"}"#).tokenType == type)
    }

    @Test func scopesMayBeTextOrAList() throws {
        #expect(try read(#"{"access_token":"a","scope":"x y"}"#).scopes == ["x", "y"])
        #expect(try read(#"{"access_token":"a","scope":["x","y"]}"#).scopes == ["x", "y"])
    }

    @Test(arguments: [
        "", " ", "<html>hello</html>", "[]", "null", #""a""#, "{}", #"{"access_token":""}"#, #"{"access_token":1}"#,
        #"{"access_token":null}"#, #"{"access_token":"a\nb"}"#, #"{"access_token":"a\u0000"}"#, #"{"access_token":"a b"}"#,
        #"{"access_token":"ä"}"#, #"{"access_token":"a","token_type":"DPoP"}"#,
        #"{"access_token":"a","token_type":"mac"}"#, #"{"access_token":"a"} trailing"#, #"{"access_token":"a""#,
    ])
    func whatIsNoTokenIsRefused(_ body: String) {
        #expect {
            try read(body)
        } throws: { error in
            if case TokenRefusal.unusable = error { true } else { false }
        }
    }

    @Test(arguments: [
        (400, #"{"error":"invalid_client"}"#, OAuthErrorCode.invalidClient),
        (401, #"{"error":"invalid_client"}"#, .invalidClient),
        (400, #"{"error":"invalid_grant"}"#, .invalidGrant),
        (400, #"{"error":"invalid_scope"}"#, .registered("invalid_scope")),
        (403, #"{"error":"access_denied"}"#, .registered("access_denied")),
        (400, #"{"error":"made-up-secret was wrong"}"#, .unregistered(status: 400)),
        (400, "", .unregistered(status: 400)),
        (403, "", .unregistered(status: 403)),
        (404, "<html>", .unregistered(status: 404)),
        (200, #"{"error":"invalid_client"}"#, .invalidClient),
        (200, #"{"error":{}}"#, .unregistered(status: 200)),
    ])
    func `tells refusals apart`(_ status: Int, _ body: String, _ code: OAuthErrorCode) {
        #expect(throws: TokenRefusal.oauth(code)) { try read(body, status: status) }
    }

    @Test(arguments: [
        #"{"error":"invalid_grant: Token is expired"}"#, #"{"error":"INVALID_GRANT"}"#, #"{"error":"invalid_grant "}"#,
        #"{"error":"\ninvalid_grant."}"#, #"{"error":{"code":"invalid_grant"}}"#,
        #"{"error":{"code":400,"type":"invalid_grant"}}"#, #"{"access_token":null,"error":"invalid_grant"}"#,
        #"{"access_token":"","error":"invalid_grant"}"#, #"{"ok":false,"error":"invalid_refresh_token"}"#,
    ])
    func `understands error codes as servers write them`(_ body: String) {
        for status in [200, 400, 401, 403] {
            #expect(throws: TokenRefusal.oauth(.invalidGrant)) { try read(body, status: status) }
        }
    }

    @Test func `takes a code beside error from refusals only`() {
        let body = #"{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token"}"#
        #expect(throws: TokenRefusal.oauth(.invalidGrant)) { try read(body, status: 400) }
        #expect(throws: TokenRefusal.unusable(reason: "no access token")) { try read(body) }
    }

    @Test(arguments: ["<html>", "{}", #"{"error":"unauthorized"}"#])
    func `blames the client for a 401 with a body only if the server asks for Basic`(_ body: String) {
        #expect(throws: TokenRefusal.oauth(.unregistered(status: 401))) { try read(body, status: 401) }
        for other in ["Bearer", "Negotiate, NTLM", "BasicCustom realm=x"] {
            #expect(throws: TokenRefusal.oauth(.unregistered(status: 401))) {
                try read(body, status: 401, headers: [.wwwAuthenticate: other])
            }
        }
        for basic in ["Basic", "basic realm=\"x\"", "Bearer realm=\"x\", Basic realm=\"y\""] {
            #expect(throws: TokenRefusal.oauth(.invalidClient)) {
                try read(body, status: 401, headers: [.wwwAuthenticate: basic])
            }
        }
    }

    @Test func `believes a 401's error more than its challenge`() {
        #expect(throws: TokenRefusal.oauth(.invalidGrant)) {
            try read(#"{"error":"invalid_grant"}"#, status: 401, headers: [.wwwAuthenticate: "Basic"])
        }
    }

    @Test(arguments: [408, 429, 500, 502, 503, 504, 599])
    func `some statuses are for the moment`(_ status: Int) {
        #expect(throws: TokenRefusal.transient(status: status, retryAfter: nil)) { try read("oops", status: status) }
        #expect(throws: TokenRefusal.transient(status: status, retryAfter: 7)) {
            try read("", status: status, headers: [.retryAfter: "7"])
        }
    }

    @Test(arguments: ["temporarily_unavailable", "server_error", "slow_down", "SLOW_DOWN", "ratelimited", "internal_failure"])
    func `some errors are for the moment`(_ code: String) {
        for status in [200, 400, 401, 403] {
            #expect(throws: TokenRefusal.transient(status: status, retryAfter: nil)) {
                try read(#"{"error":"\#(code)"}"#, status: status)
            }
            #expect(throws: TokenRefusal.transient(status: status, retryAfter: 30)) {
                try read(#"{"error":"\#(code)"}"#, status: status, headers: [.retryAfter: "30"])
            }
        }
    }

    @Test func `slow_down is an answer of its own in the device flow`() {
        #expect(throws: TokenRefusal.oauth(.registered("slow_down"))) {
            try read(#"{"error":"slow_down"}"#, status: 400, isPolling: true)
        }
        #expect(throws: TokenRefusal.transient(status: 400, retryAfter: nil)) {
            try read(#"{"error":"server_error"}"#, status: 400, isPolling: true)
        }
    }

    /// A server an hour ahead, and one an hour behind: both ask for ten seconds.
    @Test(arguments: ["Sun, 06 Nov 1994 09:49:30 GMT", "Sun, 06 Nov 1994 07:49:30 GMT"])
    func `reckons a Retry-After from the answer's own date`(_ date: String) throws {
        let later = date.replacing(":30 ", with: ":40 ")
        let headers: HTTPFields = [.date: date, .retryAfter: later]
        #expect(throws: TokenRefusal.transient(status: 503, retryAfter: 10)) { try read("", status: 503, headers: headers) }
        let answer = TokenResponse.read(status: 503, headers: headers, body: [], now: Date(timeIntervalSince1970: 0))
        #expect(answer.date == HTTPDate.parse(date))
    }

    @Test func `reckons a Retry-After from our time where the answer has no date`() {
        #expect(throws: TokenRefusal.transient(status: 503, retryAfter: 10)) {
            try read("", status: 503, headers: [.retryAfter: "Sun, 06 Nov 1994 08:49:40 GMT", .date: "yesterday"])
        }
    }

    @Test(arguments: [301, 302, 303, 307, 308])
    func `refuses redirects`(_ status: Int) {
        #expect(throws: TokenRefusal.redirected(status: status)) { try read(#"{"access_token":"a"}"#, status: status) }
    }

    /// No server takes a request with so much in its head, and a record has its limit.
    @Test func `a token that is too long for any request is refused, and its refresh token kept`() {
        func read(_ length: Int) -> TokenAnswer {
            let token = String(repeating: "x", count: length)
            let body = Array(#"{"access_token":"\#(token)","refresh_token":"second"}"#.utf8)
            return TokenResponse.read(status: 200, headers: [:], body: body, now: Date(timeIntervalSince1970: 0))
        }
        let (longest, longer) = (read(TokenResponse.longestToken), read(TokenResponse.longestToken + 1))
        guard case .success = longest.result, case .failure(.unusable) = longer.result else {
            Issue.record("the limit is another")
            return
        }
        #expect(longer.refreshToken?.revealed() == "second")
    }

    /// A limit of the rate with a status of its own.
    @Test(arguments: [400, 403, 409, 429])
    func `a server that says when to come back is asked then`(_ status: Int) {
        let forms = ["9", "Thu, 01 Jan 1970 00:00:09 GMT", "Thursday, 01-Jan-70 00:00:09 GMT", "Thu Jan  1 00:00:09 1970"]
        for (value, seconds) in forms.map({ ($0, 9) }) {
            let answer = TokenResponse.read(
                status: status, headers: [.retryAfter: value], body: Array(#"{"message":"slow"}"#.utf8),
                now: Date(timeIntervalSince1970: 0))
            #expect(throws: TokenRefusal.transient(status: status, retryAfter: seconds)) { try answer.result.get() }
        }
        let ended = TokenResponse.read(
            status: status, headers: [.retryAfter: "7"], body: Array(#"{"error":"invalid_grant"}"#.utf8), now: Date())
        if status != 429 { #expect(throws: TokenRefusal.oauth(.invalidGrant)) { try ended.result.get() } }
    }
}
