import Foundation
import HTTPTypes
import OAuth
import Sodium
import Testing

/// An answer as a token endpoint may send it, and what must come out of it.
struct AnswerShape: Sendable, CustomTestStringConvertible {
    enum Outcome: Equatable, Sendable {
        case token(String, expiresIn: Int?)
        case refused(TokenRefusal)
        case unusable
    }

    var name: String
    var status = 200
    var body: [UInt8]
    var isWhole = true
    var refreshToken: String? = "new"
    var outcome: Outcome

    var testDescription: String { name }

    /// 200 with a body in UTF-8.
    init(_ name: String, _ body: String, refreshToken: String? = "new", _ outcome: Outcome) {
        self.init(name, bytes: Array(body.utf8), refreshToken: refreshToken, outcome)
    }

    init(_ name: String, bytes: [UInt8], refreshToken: String? = "new", _ outcome: Outcome) {
        self.name = name
        self.body = bytes
        self.refreshToken = refreshToken
        self.outcome = outcome
    }

    static func cut(_ name: String, _ body: String, refreshToken: String? = "new", _ outcome: Outcome) -> AnswerShape {
        var shape = AnswerShape(name, body, refreshToken: refreshToken, outcome)
        shape.isWhole = false
        return shape
    }

    static func status(_ status: Int, _ name: String, _ body: String, refreshToken: String? = "new", _ outcome: Outcome)
        -> AnswerShape
    {
        var shape = AnswerShape("\(status), \(name)", body, refreshToken: refreshToken, outcome)
        shape.status = status
        return shape
    }

    private static let lifetime = Outcome.refused(
        .unusable(reason: "a lifetime (expires_in) that is no number of seconds"))
    private static let noJSON = Outcome.refused(.unusable(reason: "something that is no JSON object"))
    private static let cutOff = Outcome.refused(.unusable(reason: "an answer that was cut off"))
    private static let noAccessToken = Outcome.refused(.unusable(reason: "no access token"))
    private static let badAccessToken = Outcome.refused(
        .unusable(reason: "an access token with characters that no token may have"))
    private static let good = Outcome.token("a", expiresIn: nil)

    private static func lifetime(_ value: String, _ outcome: Outcome) -> AnswerShape {
        AnswerShape(
            "the lifetime \(value)", #"{"access_token":"a","expires_in":\#(value),"refresh_token":"new"}"#, outcome)
    }

    static let lifetimes = [
        lifetime("3600", .token("a", expiresIn: 3600)),
        lifetime("3600.0", .token("a", expiresIn: 3600)),
        lifetime("3600.9", .token("a", expiresIn: 3600)),
        lifetime(#""3600.0""#, .token("a", expiresIn: 3600)),
        lifetime(#""899""#, .token("a", expiresIn: 899)),
        lifetime(#""""#, good),
        lifetime("null", good),
        lifetime("-1", lifetime),
        lifetime("-0.5", lifetime),
        lifetime("false", lifetime),
        lifetime("[3600]", lifetime),
        lifetime("{}", lifetime),
        lifetime(#""-1""#, lifetime),
        lifetime(#""3600.""#, lifetime),
        lifetime(#"".5""#, lifetime),
        lifetime(#""2026-11-25T12:00:00Z""#, lifetime),
        lifetime(#""one hour""#, lifetime),
    ]

    static let members = [
        AnswerShape("the usual", #"{"access_token":"a","token_type":"Bearer","refresh_token":"new"}"#, good),
        AnswerShape("no refresh token", #"{"access_token":"a"}"#, refreshToken: nil, good),
        AnswerShape("a refresh token that is null", #"{"access_token":"a","refresh_token":null}"#, refreshToken: nil, good),
        AnswerShape("an empty refresh token", #"{"access_token":"a","refresh_token":""}"#, refreshToken: nil, good),
        AnswerShape("a blank refresh token", #"{"access_token":"a","refresh_token":" \r\n"}"#, refreshToken: nil, good),
        AnswerShape("a refresh token in an array", #"{"access_token":"a","refresh_token":["new"]}"#, refreshToken: nil, good),
        AnswerShape(
            "a refresh token in an object", #"{"access_token":"a","x":{"refresh_token":"new"}}"#, refreshToken: nil, good),
        AnswerShape(
            "a refresh token that is a number", #"{"access_token":"a","refresh_token":12345}"#, refreshToken: "12345", good),
        AnswerShape("a line feed after the refresh token", #"{"access_token":"a","refresh_token":"new\n"}"#, good),
        AnswerShape("control characters around it", #"{"access_token":"a","refresh_token":"\u0000\tnew\u007f\u0085"}"#, good),
        AnswerShape("a space in it", #"{"access_token":"a","refresh_token":"n ew"}"#, refreshToken: "n ew", good),
        AnswerShape("a line feed in it", #"{"access_token":"a","refresh_token":"n\new"}"#, refreshToken: "n\new", good),
        AnswerShape("escapes in it", #"{"access_token":"a","refresh_token":"\u006eew\/\"\\"}"#, refreshToken: #"new/"\"#, good),
        AnswerShape("a type with a space", #"{"access_token":"a","token_type":"Bearer token","refresh_token":"new"}"#, .unusable),
        AnswerShape("a type with spaces around", #"{"access_token":"a","token_type":" Bearer ","refresh_token":"new"}"#, good),
        AnswerShape("an empty type", #"{"access_token":"a","token_type":"","refresh_token":"new"}"#, good),
        AnswerShape("DPoP", #"{"access_token":"a","token_type":"DPoP","refresh_token":"new"}"#, .unusable),
        AnswerShape(
            "a very long type",
            #"{"access_token":"a","token_type":"\#(String(repeating: "x", count: 65))","refresh_token":"new"}"#, .unusable),
        AnswerShape("no access token", #"{"refresh_token":"new"}"#, noAccessToken),
        AnswerShape("an empty access token", #"{"access_token":"","refresh_token":"new"}"#, noAccessToken),
        AnswerShape("an access token that is false", #"{"access_token":false,"refresh_token":"new"}"#, noAccessToken),
        AnswerShape("a line feed after the access token", #"{"access_token":"a\n","refresh_token":"new"}"#, badAccessToken),
        AnswerShape("an access token with an umlaut", #"{"access_token":"ä","refresh_token":"new"}"#, badAccessToken),
        AnswerShape("empty scopes", #"{"access_token":"a","scope":"","refresh_token":"new"}"#, good),
        AnswerShape("a null error beside a token", #"{"access_token":"a","error":null,"refresh_token":"new"}"#, good),
        AnswerShape("an error beside a token", #"{"access_token":"a","error":"invalid_grant","refresh_token":"new"}"#, good),
    ]

    private static let umlaut: [UInt8] =
        Array(#"{"access_token":"a","user":"M"#.utf8) + [0xFC] + Array(#"ller","refresh_token":"new"}"#.utf8)

    static let encodings = [
        AnswerShape("Latin-1", bytes: umlaut, good),
        AnswerShape(
            "a byte that is no UTF-8",
            bytes: Array(#"{"access_token":"a","x":""#.utf8) + [0xC3] + Array(#"","refresh_token":"new"}"#.utf8), good),
        AnswerShape(
            "Latin-1 in the refresh token",
            bytes: Array(#"{"access_token":"a","refresh_token":"n"#.utf8) + [0xE9] + Array(#"w"}"#.utf8), refreshToken: "néw",
            good),
        AnswerShape(
            "UTF-16",
            bytes: [0xFF, 0xFE]
                + #"{"access_token":"a","refresh_token":"new"}"#.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }, good),
        AnswerShape("a byte order mark", "\u{FEFF}" + #"{"access_token":"a","refresh_token":"new"}"#, good),
        AnswerShape("a raw line feed", "{\"access_token\":\"a\",\"x\":\"two\nlines\",\"refresh_token\":\"new\"}", good),
        AnswerShape(
            "a raw control character", "{\"access_token\":\"a\",\"x\":\"\u{1}\\\"\u{1F}\",\"refresh_token\":\"new\"}", good),
        AnswerShape("a raw line feed after the refresh token", "{\"access_token\":\"a\",\"refresh_token\":\"new\n\"}", good),
        AnswerShape("a lone high surrogate", #"{"access_token":"a","x":"\ud83d!","refresh_token":"new"}"#, good),
        AnswerShape("a lone low surrogate", #"{"access_token":"a","x":"\ude00","refresh_token":"new"}"#, good),
        AnswerShape("a pair of surrogates", #"{"access_token":"a","x":"\ud83d\ude00","refresh_token":"new"}"#, good),
        AnswerShape("NULs after the JSON", #"{"access_token":"a","refresh_token":"new"}"# + "\0\0\n", good),
        AnswerShape("white space around the JSON", " \r\n" + #"{"access_token":"a","refresh_token":"new"}"# + "\r\n\r\n", good),
    ]

    static let broken = [
        AnswerShape("a comment after the JSON", #"{"access_token":"a","refresh_token":"new"} // ok"#, good),
        AnswerShape("a comment of HTML after it", #"{"access_token":"a","refresh_token":"new"}<!-- 0.1 s -->"#, good),
        AnswerShape("a NUL and more after it", "{\"access_token\":\"a\",\"refresh_token\":\"new\"}\0\0junk", good),
        AnswerShape("braces in a string, and a comment", #"{"access_token":"a","x":"}{\"","refresh_token":"new"} /* } */"#, good),
        AnswerShape("another object after it", #"{"access_token":"a","refresh_token":"new"} {"b":1}"#, noJSON),
        AnswerShape("markup after the JSON", #"{"access_token":"a","refresh_token":"new"}<br />"#, noJSON),
        AnswerShape(
            "two documents", #"{"access_token":"a","refresh_token":"old"}{"access_token":"a","refresh_token":"new"}"#, noJSON),
        AnswerShape("a comma too many", #"{"access_token":"a","refresh_token":"new",}"#, good),
        AnswerShape(
            "a warning before the JSON", #"Warning: deprecated in x.php {"access_token":"a","refresh_token":"new"}"#, noJSON),
        AnswerShape("a callback around the JSON", #"callback({"access_token":"a","refresh_token":"new"});"#, noJSON),
        AnswerShape("apostrophes for quotes", "{'access_token': 'a', 'refresh_token': 'new'}", noJSON),
        AnswerShape("a number that is none", #"{"access_token":"a","expires_in":NaN,"refresh_token":"new"}"#, noJSON),
        AnswerShape("a quote too many before it", #"{"access_token":"a","x":"5" long","refresh_token":"new"}"#, noJSON),
        AnswerShape(
            "a refresh token with a quote in it", #"{"access_token":"a","refresh_token":"ne"w"}"#, refreshToken: nil, noJSON),
        AnswerShape("an unknown escape in it", #"{"access_token":"a","refresh_token":"ne\w"}"#, refreshToken: nil, noJSON),
        AnswerShape("a lone surrogate in it", #"{"access_token":"a","refresh_token":"ne\ud800w"}"#, refreshToken: nil, good),
        AnswerShape(
            "a lone surrogate in it, in broken JSON", #"{"access_token":"a","refresh_token":"ne\ud800w",@}"#, refreshToken: nil,
            noJSON),
        AnswerShape(
            "the outermost of several", #"{"x":{"refresh_token":"x"},"refresh_token":"new","y":[{"refresh_token":"y"}],@}"#,
            noJSON
        ),
        AnswerShape("the last of two in one object", #"{"refresh_token":"old","refresh_token":"new",@}"#, noJSON),
        AnswerShape("one deep in broken JSON", #"{"data":{"tokens":[{"refresh_token":"new"}]},@}"#, noJSON),
        AnswerShape("a name within a string", #"{"x":"\"refresh_token\":\"x\"",@}"#, refreshToken: nil, noJSON),
        AnswerShape(
            "a name that only contains it", #"{"old_refresh_token":"x","refresh_token_expires_in":"x",@}"#, refreshToken: nil,
            noJSON),
        AnswerShape("a form", "access_token=a&refresh_token=new&token_type=bearer", good),
        AnswerShape("a form that ends with it", "access_token=a&refresh_token=n%65w%2F%2B\r\n", refreshToken: "new/+", good),
        AnswerShape("a page", #"<html><script>{"refresh_token":"x"}</script></html>"#, refreshToken: nil, noJSON),
        AnswerShape("a page after a form", "<p>refresh_token=x&y</p>", refreshToken: nil, noJSON),
        AnswerShape("an array", #"[{"access_token":"a","refresh_token":"x"}]"#, refreshToken: nil, noJSON),
        AnswerShape("a string", #""refresh_token=x&y""#, refreshToken: nil, noJSON),
        AnswerShape("nothing", "", refreshToken: nil, .refused(.unusable(reason: "an empty answer"))),
    ]

    static let cuts = [
        cut("after the refresh token", #"{"refresh_token":"new","access_token":"a"#, cutOff),
        cut("right after its quote", #"{"access_token":"a","refresh_token":"new""#, cutOff),
        cut("in the refresh token", #"{"access_token":"a","refresh_token":"ne"#, refreshToken: nil, cutOff),
        cut("after an escaped quote in it", #"{"access_token":"a","refresh_token":"ne\""#, refreshToken: nil, cutOff),
        cut("before its value", #"{"access_token":"a","refresh_token":"#, refreshToken: nil, cutOff),
        cut(
            "in a description that shows one", #"{"access_token":"a","x":"try 'refresh_token': 'x' or"#, refreshToken: nil, cutOff
        ),
        cut("within UTF-8", #"{"refresh_token":"new","x":"ä"#, cutOff),
        cut("a form after it", "refresh_token=new&access_tok", cutOff),
        cut("a form in it", "access_token=a&refresh_token=ne", refreshToken: nil, cutOff),
        cut("nothing", "", refreshToken: nil, cutOff),
        cut("JSON that is whole", #"{"access_token":"a","refresh_token":"new"}"#, good),
    ]

    static let statuses = [
        status(201, "the usual", #"{"access_token":"a","refresh_token":"new"}"#, good),
        status(302, "a redirect", #"{"access_token":"a","refresh_token":"new"}"#, .refused(.redirected(status: 302))),
        status(
            400, "an error with a token", #"{"error":"invalid_scope","refresh_token":"new"}"#,
            .refused(.oauth(.registered("invalid_scope")))),
        status(
            400, "our own token, masked", #"{"error":"invalid_request","refresh_token":"abc***"}"#, refreshToken: nil,
            .refused(.oauth(.registered("invalid_request")))),
        status(
            400, "our own token, shortened", #"{"error":"invalid_request","refresh_token":"abc..."}"#, refreshToken: nil,
            .refused(.oauth(.registered("invalid_request")))),
        status(
            400, "our own token, filtered", "refresh_token=[FILTERED]&x=y", refreshToken: nil,
            .refused(.oauth(.unregistered(status: 400)))),
        status(429, "too many", #"{"refresh_token":"new"}"#, .refused(.transient(status: 429, retryAfter: nil))),
        status(
            500, "after the work", #"{"access_token":"a","refresh_token":"new"}"#,
            .refused(.transient(status: 500, retryAfter: nil))),
        status(
            502, "a gateway's page", "<html>refresh_token=x&</html>", refreshToken: nil,
            .refused(.transient(status: 502, retryAfter: nil))),
        status(
            999, "what is no status", #"{"access_token":"a","refresh_token":"new"}"#,
            .refused(.unusable(reason: "the status 999"))),
    ]

    static let all = lifetimes + members + encodings + broken + cuts + statuses
}

@Suite struct AnswerShapeTests {
    private let now = Date(timeIntervalSince1970: 784_111_770)

    @Test(arguments: AnswerShape.all)
    func `keeps the refresh token of any answer, and says what became of the rest`(_ shape: AnswerShape) throws {
        let answer = TokenResponse.read(
            status: shape.status, headers: [:], body: shape.body, isWhole: shape.isWhole, now: now)
        #expect(answer.refreshToken?.revealed() == shape.refreshToken)
        switch answer.result {
        case .success(let tokens):
            #expect(shape.outcome == .token(tokens.accessToken.revealed(), expiresIn: tokens.expiresIn))
            #expect(tokens.refreshToken?.revealed() == shape.refreshToken)
        case .failure(.unusable) where shape.outcome == .unusable: break
        case .failure(let refusal): #expect(shape.outcome == .refused(refusal))
        }
    }

    @Test func `keeps the refresh token wherever an answer is cut off after it`() throws {
        let whole =
            #"{"access_token":"a","x":["ä\u00e4",{"y":null}],"refresh_token":"new","scope":"b c","z":"\ud83d\ude00 \"end\""}"#
        let bytes = Array(whole.utf8)
        let end = try #require(whole.range(of: #""new""#)).upperBound.utf16Offset(in: whole)
        let endOfMember = Array(whole.utf16.prefix(end)).count + (bytes.count - whole.utf16.count)
        for length in bytes.indices {
            let answer = TokenResponse.read(
                status: 200, headers: [:], body: Array(bytes.prefix(length)), isWhole: false, now: now)
            #expect(answer.refreshToken?.revealed() == (length >= endOfMember ? "new" : nil), "cut at \(length)")
            #expect(throws: TokenRefusal.unusable(reason: "an answer that was cut off")) { try answer.result.get() }
        }
    }

    @Test func `reads megabytes of quotes in no time`() {
        for piece in [#""refresh_token":'"#, #""refresh_token":"#, "'", #"{"refresh_token":"\"#, "&refresh_token="] {
            let body = Array(String(repeating: piece, count: 1_000_000 / piece.utf8.count).utf8)
            let start = ContinuousClock.now
            _ = TokenResponse.read(status: 200, headers: [:], body: body, now: now)
            #expect(ContinuousClock.now - start < .seconds(20))
        }
    }
}
