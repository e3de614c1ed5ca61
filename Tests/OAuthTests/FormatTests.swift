import Foundation
import HTTPTypes
import Sodium
import TestSupport
import Testing

@testable import OAuth

@Suite struct JSONPointerTests {
    /// RFC 6901 section 5.
    @Test(
        arguments: [
            ("/foo/0", #""bar""#), ("/", "0"), ("/a~1b", "1"), ("/c%d", "2"), ("/m~0n", "8"), ("/foo/2", nil), ("/foo/01", nil),
            ("/foo/-", nil), ("/none", nil), ("/foo/0/x", nil),
        ] as [(String, String?)])
    func `leads to a value`(_ text: String, _ expected: String?) throws {
        let document = try #require(JSONValue(parsing: Array(#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"m~n":8}"#.utf8)))
        #expect(document[try #require(JSONPointer(rawValue: text))]?.encoded() == expected)
    }

    @Test func `the empty pointer is the document`() throws {
        #expect(JSONValue.integer(1)[try #require(JSONPointer(rawValue: ""))] == .integer(1))
    }

    @Test func `what is taken out is gone, and the rest keeps its place`() throws {
        let document = try #require(JSONValue(parsing: Array(#"{"a":[{"t":1,"x":2},3],"b":{"t":4},"c":5}"#.utf8)))
        for (pointer, rest) in [
            ("/a/0/t", #"{"a":[{"x":2},3],"b":{"t":4},"c":5}"#), ("/a/1", #"{"a":[{"t":1,"x":2},null],"b":{"t":4},"c":5}"#),
            ("/b/t", #"{"a":[{"t":1,"x":2},3],"b":{},"c":5}"#), ("/c", #"{"a":[{"t":1,"x":2},3],"b":{"t":4}}"#),
            ("/a/7", #"{"a":[{"t":1,"x":2},3],"b":{"t":4},"c":5}"#), ("/c/x", #"{"a":[{"t":1,"x":2},3],"b":{"t":4},"c":5}"#),
        ] { #expect(document.removing(try #require(JSONPointer(rawValue: pointer))).encoded() == rest, "\(pointer)") }
    }

    @Test(arguments: ["a", "a/b", "/~", "/~2", "#/a"])
    func `what is no pointer is none`(_ text: String) { #expect(JSONPointer(rawValue: text) == nil) }
}

/// Requests and answers of a server that nobody has heard of, described as data.
@Suite struct FormatTests {
    private static func provider(_ members: String) throws -> ClientSettings {
        var catalogue = Catalogue.builtIn
        try catalogue.add(
            json: Array(
                #"{"name":"x","title":"X","token_url":"https://x.example/t","grants":["client_credentials"],\#(members)}"#.utf8))
        return try #require(catalogue["x"]).settings()
    }

    private static func request(
        _ members: String, _ grant: AuthorizationGrant = .clientCredentials, scopes: [String] = []
    ) throws -> EndpointRequest {
        var settings = try provider(members)
        settings.scopes = scopes
        let client = ClientCredentials(id: "id", secret: try Secret(utf8: "made-up"))
        return settings.tokenRequest(client, grant: grant, access: RequestedAccess())
    }

    private static func words(_ request: EndpointRequest) -> String {
        "\(request.head.method) \(request.head.path ?? "") \(String(decoding: request.body, as: UTF8.self))"
    }

    // MARK: Requests

    @Test func `a server's own names, in a JSON body with members in it`() throws {
        let members =
            #""client_authentication":"post","placement":"json","parameter_names":{"client_id":"/app/id","client_secret":"/app/key","#
            + #""grant_type":""},"parameters":[{"name":"/app/kind","value":"service"},{"name":"a/b","value":"1"}]"#
        #expect(
            Self.words(try Self.request(members))
                == #"POST /t {"a/b":"1","app":{"id":"id","key":"made-up","kind":"service"}}"#)
    }

    @Test func `a GET has all of it in its query`() throws {
        let request = try Self.request(#""client_authentication":"post","method":"GET","params_in":"json""#)
        #expect(Self.words(request) == "GET /t?grant_type=client_credentials&client_id=id&client_secret=made-up ")
        #expect(request.head.headerFields[.contentType] == nil)
    }

    @Test func `a refresh of another shape`() throws {
        let members =
            #""parameters":[{"name":"k","value":"1"}],"refresh":{"url":"https://y.example/renew","method":"POST","placement":"json","#
            + #""client_authentication":"post","parameter_names":{"refresh_token":"token","grant_type":""},"parameters":[],"scopes":true}"#
        let request = try Self.request(members, .refreshToken(try Secret(utf8: "made-up-refresh")), scopes: ["a", "b"])
        #expect(
            Self.words(request)
                == #"POST /renew {"client_id":"id","client_secret":"made-up","scope":"a b","token":"made-up-refresh"}"#)
        #expect(request.head.authority == "y.example" && request.head.headerFields[.authorization] == nil)
        // The first request is as it was.
        #expect(Self.words(try Self.request(members)) == "POST /t grant_type=client_credentials&k=1")
    }

    @Test func `scopes go with a refresh only where they are said to`() throws {
        let refresh = AuthorizationGrant.refreshToken(try Secret(utf8: "made-up"))
        #expect(Self.words(try Self.request(#""refresh":{}"#, refresh, scopes: ["a"])).contains("scope") == false)
        #expect(Self.words(try Self.request(#""refresh":{"scopes":true}"#, refresh, scopes: ["a"])).contains("&scope=a"))
    }

    @Test func `a Content-Type of one's own is the token request's alone`() throws {
        var settings = try Self.provider(
            #""headers":[{"name":"content-type","value":"application/vnd.api+json"}],"placement":"json""#)
        settings.revocationURL = settings.tokenURL
        let client = ClientCredentials(id: "id", secret: try Secret(utf8: "made-up"))
        let token = settings.tokenRequest(client, access: RequestedAccess())
        #expect(token.head.headerFields[.contentType] == "application/vnd.api+json")
        let revocation = settings.revocationRequest(client, token: try Secret(utf8: "t"), hint: "access_token")
        #expect(revocation?.head.headerFields[.contentType] == "application/x-www-form-urlencoded")
    }

    // MARK: Answers

    private static func read(
        _ members: String, _ body: String, status: Int = 200, headers: HTTPFields = [:]
    ) throws -> TokenAnswer {
        let settings = try provider(#""answer":{\#(members)}"#)
        return TokenResponse.read(
            status: status, headers: headers, body: Array(body.utf8), format: try #require(settings.answer),
            now: Date(timeIntervalSince1970: 1_800_000_000))
    }

    @Test func `a token that stands elsewhere`() throws {
        let members =
            #""access_token":"/data/token","refresh_token":"/data/renewal/0","expires_at":"/data/until","token_type":"/kind","#
            + #""scope":"/data/rights","success":"/code=0""#
        let answer = try Self.read(
            members,
            #"{"code":0,"kind":"x","data":{"token":"a","renewal":["r"],"until":"2027-01-15T08:10:00.5+00:00","rights":["p","q"],"#
                + #""host":"h"}}"#)
        let tokens = try answer.result.get()
        #expect(tokens.accessToken.revealed() == "a" && answer.refreshToken?.revealed() == "r" && tokens.tokenType == "x")
        #expect(tokens.expiresIn == 600 && tokens.scopes == ["p", "q"])
        // What came besides is kept, without the token itself.
        let extras = try #require(tokens.extras?.revealed())
        #expect(extras.contains(#""host":"h""#) && !extras.contains(#""token""#))
    }

    @Test(
        arguments: [
            (#""expires_at":1800000600"#, 600), (#""expires_at":1800000600000"#, 600), (#""expires_on":"1800000600""#, 600),
            (#""expires_on":"2027-01-15T08:10:00Z""#, 600), (#""expires":5183999"#, 5_183_999), (#""expires":"1800000600""#, 600),
            (#""expires_at":1799999999"#, 0), (#""expires_at":"soon""#, nil), (#""expires_in":7,"expires_at":1800000600"#, 7),
            (#""expires_at":12"#, nil),
        ] as [(String, Int?)])
    func `times of expiry in the ways in which servers write them`(_ member: String, _ expected: Int?) throws {
        #expect(try Self.read("", #"{"access_token":"a",\#(member)}"#).result.get().expiresIn == expected)
    }

    @Test func `a time of expiry counts from the answer's own time`() throws {
        let headers: HTTPFields = [.date: "Fri, 15 Jan 2027 08:05:00 GMT"]
        let answer = try Self.read("", #"{"access_token":"a","expires_at":1800000600}"#, headers: headers)
        #expect(try answer.result.get().expiresIn == 300)
    }

    @Test(
        arguments: [
            (200, #"{"code":99991663,"msg":"token expired"}"#, TokenRefusal.oauth(.unregistered(status: 200))),
            (200, #"{"code":7,"msg":"Bad app"}"#, .oauth(.invalidClient)),
            (200, #"{"code":8,"msg":"x","error_code":"BUSY"}"#, .transient(status: 200, retryAfter: nil)),
            (403, #"{"error":"unauthorized_client"}"#, .oauth(.invalidGrant)),
            (400, #"{"error":"unauthorized_client"}"#, .oauth(.registered("unauthorized_client"))),
            (400, #"{"status":400,"message":" invalid Refresh token "}"#, .oauth(.invalidGrant)),
            (500, #"{"message":"Invalid refresh token"}"#, .oauth(.invalidGrant)),
            (400, "Invalid refresh token", .oauth(.invalidGrant)),
            (418, "", .oauth(.invalidGrant)),
            (302, #"{"message":"Invalid refresh token"}"#, .redirected(status: 302)),
        ] as [(Int, String, TokenRefusal)])
    func `a server's own words for what is wrong`(_ status: Int, _ body: String, _ expected: TokenRefusal) throws {
        let members =
            #""success":"/code=0,200","login_ended":["403 unauthorized_client","Invalid refresh token","418"],"#
            + #""client_refused":["bad app"],"try_again":["busy"]"#
        #expect(throws: expected) { try Self.read(members, body, status: status).result.get() }
    }

    @Test func `a form is read where it holds a token`() throws {
        let tokens = try Self.read("", "access_token=a%2Bb&scope=x%20y&expires=60").result.get()
        #expect(tokens.accessToken.revealed() == "a+b" && tokens.scopes == ["x", "y"] && tokens.expiresIn == 60)
        #expect(throws: TokenRefusal.oauth(.invalidGrant)) {
            try Self.read("", "error=bad_verification_code&error_description=x").result.get()
        }
        #expect(throws: TokenRefusal.unusable(reason: "something that is no JSON object")) {
            try Self.read("", "welcome=here").result.get()
        }
    }

    @Test func `the refresh token of a broken answer is found under its own name`() throws {
        let answer = try Self.read(#""refresh_token":"/data/renewal""#, #"{"data":{"renewal":"r"}} // end"#)
        #expect(answer.refreshToken?.revealed() == "r")
    }

    // MARK: Refusals

    @Test(arguments: [
        (#""answer":{"token":"/a"}"#, #"the member "answer.token" is unknown"#),
        (#""answer":{"access_token":"data.token"}"#, #"the member "answer.access_token" must be a JSON pointer"#),
        (#""answer":{"success":"ok"}"#, #"the member "answer.success" must be a condition such as "/code=0""#),
        (#""answer":{"login_ended":[""]}"#, #"the member "answer.login_ended.0" is not what it should be"#),
        (#""presentation":"Bearer {token}""#, #"the member "presentation" must be a header or a parameter"#),
        (#""presentation":"X-A: {token}{token}""#, #"the member "presentation" must be"#),
        (#""presentation":"X-A: {token}\r\nX-B: 1""#, #"the member "presentation" must be"#),
        (#""refresh":{"url":"http://x.example/"}"#, #"the member "refresh.url" is refused as an address"#),
        (#""assertion":{"aud":"x"}"#, #"the member "assertion.aud" is unknown"#),
        (#""refresh":{"uri":"x"}"#, #"the member "refresh.uri" is unknown"#),
        (#""grant":"password""#, #"the member "grant" is unknown"#),
        (#""method":"PUT""#, #"the member "method" is not what it should be"#),
        (#""pkce":1,"parameter_names":{"a":1}"#, "the member"),
        (#""variables":[{"name":"token","title":"t"}]"#, "no variable can be called token"),
    ])
    func `a member that is none is refused by its name`(_ members: String, _ words: String) {
        #expect {
            try Self.provider(members)
        } throws: { error in
            (error as? CatalogueError)?.reason.hasPrefix(words) == true
        }
    }

    @Test func `formats are given as members and values, too`() throws {
        let answer = try AnswerFormat(
            members: [Parameter("access_token", "/t"), Parameter("login_ended", "a"), Parameter("login_ended", "b")])
        #expect(answer.accessToken?.rawValue == "/t" && answer.loginEnded?.map(\.rawValue) == ["a", "b"])
        let refresh = try RefreshFormat(
            members: [
                Parameter("method", "GET"), Parameter("parameters.a.b", "1"), Parameter("parameter_names.client_id", ""),
                Parameter("scopes", "true"),
            ])
        #expect(refresh.method == .get && refresh.parameters == [Parameter("a.b", "1")] && refresh.scopes == true)
        #expect(refresh.parameterNames == ["client_id": ""])
        for wrong in [
            Parameter("scopes", "maybe"), Parameter("method", "PUT"), Parameter("uri", "x"), Parameter("parameters", "x"),
        ] {
            #expect(throws: CatalogueError.self) { try RefreshFormat(members: [wrong]) }
        }
    }
}
