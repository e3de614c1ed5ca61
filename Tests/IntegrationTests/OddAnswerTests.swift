import Foundation
import TestSupport
import Testing

/// An answer with a new refresh token in it, good or bad.
struct AnswerShape: CustomTestStringConvertible, Sendable {
    let name: String
    /// The fault in JSON that makes the server answer so.
    let fault: String
    var testDescription: String { name }

    /// - Parameters:
    ///   - body: with places for what the server made.
    ///   - more: further members of the fault, in JSON.
    init(_ name: String, _ body: String, _ more: String = "") {
        self.name = name
        let text = String(decoding: (try? JSONEncoder().encode(body)) ?? Data(), as: UTF8.self)
        fault = #"{"body": \#(text)\#(more.isEmpty ? "" : ", " + more)}"#
    }

    /// All that a token endpoint says, with another lifetime or token type.
    private static func answer(expires: String = "3600", type: String = #""Bearer""#) -> String {
        #"{"access_token": "{access_token}", "token_type": \#(type), "expires_in": \#(expires), "refresh_token": "{refresh_token}"}"#
    }

    private static func answer(access: String, _ more: String = "") -> String {
        #"{"access_token": \#(access), "token_type": "Bearer", "expires_in": 3600, "refresh_token": "{refresh_token}"\#(more)}"#
    }

    private static let token = #""{access_token}""#

    static let all: [AnswerShape] = [
        AnswerShape("as RFC 6749 section 5.1 says", answer()),
        AnswerShape("a lifetime of -1", answer(expires: "-1")),
        AnswerShape("an empty lifetime", answer(expires: #""""#)),
        AnswerShape("a lifetime that is false", answer(expires: "false")),
        AnswerShape("a lifetime of \"3600.0\"", answer(expires: #""3600.0""#)),
        AnswerShape("a lifetime that is a date", answer(expires: #""2030-01-01T00:00:00Z""#)),
        AnswerShape("a lifetime that is an object", answer(expires: "{}")),
        AnswerShape("a lifetime beyond all numbers", answer(expires: "1e999")),
        AnswerShape("a lifetime of 30 digits", answer(expires: "999999999999999999999999999999")),
        AnswerShape("a token type with a space", answer(type: #""Bearer token""#)),
        AnswerShape("a token type that is a number", answer(type: "7")),
        AnswerShape("the token type DPoP", answer(type: #""DPoP""#)),
        AnswerShape("no access token", #"{"token_type": "Bearer", "refresh_token": "{refresh_token}"}"#),
        AnswerShape("an access token that is null", answer(access: "null")),
        AnswerShape("an empty access token", answer(access: #""""#)),
        AnswerShape("an access token that is a number", answer(access: "12345")),
        AnswerShape("an access token that ends in a line feed", answer(access: #""{access_token}\n""#)),
        AnswerShape("an access token with a space", answer(access: #""made up {access_token}""#)),
        AnswerShape("a refresh token that is escaped", answer().replacing(#""refresh_token""#, with: #""refresh\u005ftoken""#)),
        AnswerShape("an error beside the tokens", answer(access: token, #", "error": "server_error""#)),
        AnswerShape("an error that is null", answer(access: token, #", "error": null"#)),
        AnswerShape("an error instead of an access token", answer(access: "null", #", "error": "temporarily_unavailable""#)),
        AnswerShape("a scope that is a number", answer(access: token, #", "scope": 7"#)),
        AnswerShape("gzip", answer(), #""encoding": "gzip""#),
        AnswerShape("deflate", answer(), #""encoding": "deflate""#),
        AnswerShape("gzip that is not gzip", answer(), #""headers": {"Content-Encoding": "gzip"}"#),
        AnswerShape("Latin-1", answer(access: token, #", "name": "Zoë""#), #""encoding": "latin-1""#),
        AnswerShape("UTF-16", answer(), #""encoding": "utf-16""#),
        AnswerShape("a raw control character", answer(access: token, ", \"name\": \"a\u{1}b\"")),
        AnswerShape("a raw line feed in a text", answer(access: token, ", \"name\": \"a\nb\"")),
        AnswerShape("a byte order mark", "\u{FEFF}" + answer()),
        AnswerShape("a comma too many", answer(access: token, ",")),
        AnswerShape("something behind the end", answer() + "<!-- made up -->"),
        AnswerShape("no end", String(answer().dropLast())),
        AnswerShape("the type text/html", answer(), #""headers": {"Content-Type": "text/html"}"#),
        AnswerShape("the status 201", answer(), #""status": 201"#),
        AnswerShape("the status 302", answer(), #""status": 302, "headers": {"Location": "/made-up"}"#),
        AnswerShape("the status 400", answer(), #""status": 400"#),
        AnswerShape("the status 500", answer(), #""status": 500"#),
        AnswerShape(
            "a form", "access_token={access_token}&token_type=bearer&refresh_token={refresh_token}",
            #""headers": {"Content-Type": "application/x-www-form-urlencoded"}"#),
    ]
}

/// The new refresh token is taken out of an answer before anything else is looked at: where the server has replaced the old one,
/// it is all that keeps the login alive.
@Suite(
    .enabled(if: Python.isThere, "make test makes the virtual environment that this needs"),
    .timeLimit(.minutes(10)))
struct OddAnswerTests {
    @Test(arguments: AnswerShape.all)
    func `the new refresh token is kept, whatever is wrong with the rest`(_ shape: AnswerShape) async throws {
        let rotating = try await RotatingServer()
        try await rotating.fail(shape.fault)
        let before = try await rotating.state()
        let odd = await rotating.run("token", "a", "--fresh")
        #expect([0, 69, 75, 77].contains(odd.status), "\(odd.errors)")
        #expect(try await rotating.state().requests >= before.requests + 1)
        let next = await rotating.run("token", "a", "--fresh")
        #expect(next.status == 0, "\(next.errors)")
        let after = try await rotating.state()
        #expect(after.reuses == 0 && after.families == 1)
        Torture.record("odd answer", shape.name, rounds: 1, lost: after.reuses)
    }

    @Test func `a cut answer keeps the refresh token that it held`() async throws {
        let rotating = try await RotatingServer()
        let body = #"{\"refresh_token\": \"{refresh_token}\", \"access_token\": \"{access_token}\"}"#
        try await rotating.fail(#"{"body": "\#(body)", "cut": "{refresh_token}\""}"#)
        _ = await rotating.run("token", "a", "--fresh")
        let next = await rotating.run("token", "a", "--fresh")
        #expect(next.status == 0, "\(next.errors)")
        let after = try await rotating.state()
        #expect(after.reuses == 0 && after.families == 1)
    }

    /// The outcome is uncertain, and there is no grace period: what is known to work is used for as long as it does, and only
    /// then the refresh token is sent once more.
    @Test(
        .enabled(if: Torture.isLong, "it waits until a token has ended: make torture"),
        arguments: [
            #"{"status": 502}"#, #"{"status": 500}"#, #"{"status": 504}"#, #"{"close": true}"#, #"{"cut": "{\"access_token"}"#,
        ])
    func `while the answer is lost, the old access token is served`(_ fault: String) async throws {
        let rotating = try await RotatingServer()
        // Renewed six seconds before its end, which is enough for two calls on a busy machine.
        try await rotating.server.request("POST", "/admin/lifetime/60")
        let old = await rotating.run("token", "a", "--fresh")
        try #require(old.status == 0, "\(old.errors)")
        try await Task.sleep(for: .milliseconds(54_200))
        let before = try await rotating.state()
        try await rotating.fail(fault)
        for _ in 0..<2 {
            let served = await rotating.run("token", "a")
            #expect(served.status == 0 && served.output == old.output, "\(served.errors)")
        }
        var after = try await rotating.state()
        #expect(after.requests == before.requests + 1 && after.reuses == 0)
        try await Task.sleep(for: .seconds(6))
        // The server has rotated, so the login is gone; it is tried once, and said plainly.
        let ended = await rotating.run("token", "a")
        #expect(ended.refuses(77, "lost"), "\(ended.errors)")
        #expect(await rotating.run("token", "a").status == 77)
        after = try await rotating.state()
        #expect(after.requests == before.requests + 2 && after.reuses == 1)
    }

    /// The same where the server failed before it did anything: the one that is sent again saves the login.
    @Test func `a request that was lost on its way costs nothing`() async throws {
        let rotating = try await RotatingServer()
        try await rotating.server.request("POST", "/admin/lifetime/1")
        try #require(await rotating.run("token", "a", "--fresh").status == 0)
        try await rotating.server.request("POST", "/admin/lifetime/900")
        try await rotating.fail(#"{"close": true, "when": "before"}"#)
        try await Task.sleep(for: .seconds(1))
        let first = await rotating.run("token", "a")
        let second = await rotating.run("token", "a")
        #expect(second.status == 0, "\(first.errors) \(second.errors)")
        let after = try await rotating.state()
        #expect(after.reuses == 0 && after.families == 1)
    }
}
