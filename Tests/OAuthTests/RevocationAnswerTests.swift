import Foundation
import HTTPTypes
import OAuth
import Testing

@Suite struct RevocationAnswerTests {
    private func read(_ status: Int, _ body: String, _ headers: HTTPFields = [:]) -> RevocationAnswer {
        RevocationAnswer.read(
            status: status, headers: headers, body: Array(body.utf8), now: Date(timeIntervalSince1970: 784_111_770))
    }

    @Test(arguments: [
        (200, ""), (200, "{}"), (204, ""), (200, "OK"), (200, "<html>done</html>"), (200, #"{"ok":true,"revoked":true}"#),
        (200, #"{"error":null}"#), (200, #"{"error":""}"#), (200, #"{"error":false}"#), (200, #"{"status":"success"}"#),
    ])
    func `a success without an error is a revocation`(_ status: Int, _ body: String) {
        #expect(read(status, body) == .revoked)
    }

    @Test(arguments: [
        (400, #"{"error":"invalid_token"}"#), (400, #"{"error":"invalid_grant"}"#), (200, #"{"error":"invalid_token"}"#),
        (400, #"{"error":"invalid_token: Token expired or revoked"}"#), (400, #"{"error":{"code":"INVALID_GRANT"}}"#),
    ])
    func `a token that the server doesn't know is dead`(_ status: Int, _ body: String) {
        #expect(read(status, body) == .alreadyDead)
    }

    @Test(arguments: [
        (200, #"{"ok":false,"error":"invalid_client"}"#, OAuthErrorCode.invalidClient),
        (200, #"{"error":"invalid_client"}"#, .invalidClient),
        (200, #"{"error":"nonsense"}"#, .unregistered(status: 200)),
        (400, #"{"error":"invalid_request"}"#, .registered("invalid_request")),
        (401, #"{"error":"invalid_client"}"#, .invalidClient),
        (401, #"{"error":"invalid_token"}"#, .invalidToken),
        (401, "", .unregistered(status: 401)),
        (403, #"{"error":"access_denied"}"#, .registered("access_denied")),
        (404, "<html>", .unregistered(status: 404)),
    ])
    func `a refusal is none, with any status`(_ status: Int, _ body: String, _ code: OAuthErrorCode) {
        #expect(read(status, body) == .refused(code))
    }

    @Test func `a 401 that asks for Basic refuses the client`() {
        #expect(read(401, "", [.wwwAuthenticate: "Basic realm=x"]) == .refused(.invalidClient))
    }

    @Test(arguments: [400, 200, 401])
    func `some tokens can't be revoked`(_ status: Int) {
        #expect(read(status, #"{"error":"unsupported_token_type"}"#) == .unsupported)
    }

    @Test func `some refusals are for the moment`() {
        #expect(read(503, "", [.retryAfter: "5"]) == .transient(status: 503, retryAfter: 5))
        #expect(read(429, #"{"error":"invalid_token"}"#) == .transient(status: 429, retryAfter: nil))
        #expect(read(400, #"{"error":"slow_down"}"#, [.retryAfter: "9"]) == .transient(status: 400, retryAfter: 9))
        #expect(read(200, #"{"error":"temporarily_unavailable"}"#) == .transient(status: 200, retryAfter: nil))
    }

    @Test(arguments: [
        (200, #"{"ok":false}"#), (200, #"{"success":false}"#), (200, #"{"ok":true,"revoked":false}"#), (302, ""), (101, ""),
        (999, ""),
    ])
    func `an answer that says neither is unusable`(_ status: Int, _ body: String) {
        #expect(read(status, body) == .unusable)
    }
}
