import HTTPTypes
import OAuth
import Testing

@testable import Proxy

@Suite struct ProxyRulesTests {
    private let api = try! EndpointURL("https://api.example.com/v1")
    private let root = try! EndpointURL("https://api.example.com")

    @Test func whatStandsBehindTheSecretGoesBelowTheAPI() {
        for (rest, wanted) in [
            ("", "https://api.example.com/v1"), ("/", "https://api.example.com/v1/"), ("/a/b", "https://api.example.com/v1/a/b"),
            ("?q=1", "https://api.example.com/v1?q=1"), ("/a?next=https://other.example/", nil),
            ("//other.example/a", "https://api.example.com/v1//other.example/a"), ("/@other.example", nil), ("/a%20b", nil),
            ("/..a/b..", nil), ("/a?x=/../b", nil),
        ] {
            #expect(
                ProxyRules.upstream(rest, below: api)?.description == wanted ?? "https://api.example.com/v1" + rest, "\(rest)")
        }
        #expect(ProxyRules.upstream("", below: root)?.description == "https://api.example.com/")
        #expect(ProxyRules.upstream("?q", below: root)?.description == "https://api.example.com?q")
        #expect(ProxyRules.upstream("/a", below: root)?.description == "https://api.example.com/a")
    }

    /// One for each way in which some server reads `.` or `..`.
    @Test(arguments: [
        "/..", "/../x", "/a/../../x", "/.", "/./x", "/%2e%2e/x", "/%2E./x", "/.%2e",
        // Path parameters, and a separator that ends a segment once it is decoded.
        "/..;/x", "/..;a=b/x", "/..%3b/x", "/.;/x", "/..%3fx", "/..%23",
        // Control characters and spaces, which are dropped or end a name.
        "/.%00./x", "/..%00/x", "/%00../x", "/..%00x", "/.%09./x", "/..%0a/x", "/..%0d%0a/x", "/..%20/x", "/%20../x", "/..+/x",
        // Slashes and backslashes within a segment.
        "/a%2f..%2f..%2fx", "/x%2f%2e%2e", "/..%5cx", "/a\\..\\x", "/a%5c..%5cx", "/..\\x", "/..%255cx",
        // Encoded more than once, in IIS's way, and in more bytes than UTF-8 allows.
        "/%252e%252e/x", "/%25252e%252e/x", "/%%32%65%2e/x", "/%252e./x", "/%u002e%u002e/x", "/%uFF0E./x", "/..%252fx",
        "/%c0%ae%c0%ae/x", "/%c0%2e%c0%2e/x", "/.%c0%ae/x", "/..%c0%afx", "/a%c0%af../x", "/%e0%80%ae./x", "/%f0%80%80%ae./x",
        "/%f8%80%80%80%ae./x", "/%fc%80%80%80%80%ae./x", "/%25c0%25ae./x", "/%c0%a52e./x",
        // Characters that look like them.
        "/%ef%bc%8e%ef%bc%8e/x", "/%ef%bc%852e%2e/x", "/..%ef%bc%8fx", "/..%ef%bc%bcx", "/%e2%80%a5/x", "/%e2%80%a4./x",
        "/x%c1/..", "/a%c1/..%c1/../admin", "/x/%e0%81/../admin", "/%c1../admin", "/.%c1./admin", "/x%c1/.%c1./a",
        "/x%f0%80%81/../a",
        "/%ef%b8%b0/admin", "/%c2%a0../x", "/%ef%bb%bf../x", "/%e2%80%8b../x", "/%ff../x",
        "/%ef%b9%92./x", "/..%e2%88%95x", "/a%c2%a5../x", "/..%e2%80%8b/x", "/..%ff/x",
        // What is no path below the API's at all.
        "/a\\b", "x", "@other.example/", ".other.example/", ":8443/", "/a#b", "/ä", "/a b", "/\u{FFFD}",
    ])
    func whatMightLeaveItIsRefused(_ rest: String) {
        #expect(ProxyRules.upstream(rest, below: api) == nil)
    }

    @Test(arguments: [
        "/caf%E9.txt", "/%ff", "/%c0?Action=Delete", "/a..b", "/...", "/.../x", "/..a", "/a..", "/.well-known/x",
        "/.%C3%A9t%C3%A9",
        "/.-", "/._x", "/.~x", "/..1", "/v1.2/x;y=1", "/;x", "/projects/group%2Fproject", "/a%2F.git", "/a%5cb", "/a%20b",
        "/100%",
        "/100%25", "/%zz", "/a%00b", "/%2520", "/%F0%9F%94%A5/@me", "/%E3%80%8C%E6%97%A5%E6%9C%AC%E3%80%8D", "/%C2%A55", "/a|b",
        "//",
        "/a?x=../..%2f", "/%E2%80%A6", "/a;..",
    ])
    func whatIsOrdinaryPassesByteForByte(_ rest: String) {
        #expect(ProxyRules.upstream(rest, below: api)?.requestTarget == "/v1" + rest)
        #expect(ProxyRules.upstream(rest, below: root)?.requestTarget == rest)
    }

    /// A path that is made to be read over and over is read once.
    @Test func whatIsEncodedVeryOftenCostsNoMoreThanItsLength() {
        let count = 20_000
        #expect(LenientPath(("%" + String(repeating: "25", count: count) + "2e").utf8).bytes == [UInt8(ascii: ".")])
        #expect(LenientPath((String(repeating: "%3", count: count) + "%35").utf8).bytes == [UInt8(ascii: "5")])
    }

    @Test func redirectsStayHereOrAreStopped() throws {
        let from = try EndpointURL("https://api.example.com/v1/things/1?x=y")
        func location(_ text: String) -> String? { ProxyRules.location(text, from: from, below: api, as: "http://here/s") }
        #expect(location("https://api.example.com/v1/other?a=b") == "http://here/s/other?a=b")
        #expect(location("HTTPS://API.example.com/v1/other") == "http://here/s/other")
        #expect(location("/v1/other#part") == "http://here/s/other")
        #expect(location("2") == "http://here/s/things/2")
        #expect(location("../up") == "http://here/s/up")
        #expect(location("./a/./b/..") == "http://here/s/things/a/")
        #expect(location("/v1") == "http://here/s")
        #expect(location("/v1?a") == "http://here/s?a")
        #expect(location("?page=2") == "http://here/s/things/1?page=2")
        #expect(location("") == "http://here/s/things/1?x=y")
        #expect(location("//api.example.com/v1/a:b") == "http://here/s/a:b")
        // Byte for byte, but for what no address can contain.
        for path in ["%ff", "caf%E9.txt?q=%c0", "100%", "a|b", "a%2Fb", "a;b"] {
            #expect(location("/v1/" + path) == "http://here/s/" + path)
            #expect(location("https://api.example.com/v1/" + path) == "http://here/s/" + path)
        }
        #expect(location("/v1/é b") == "http://here/s/%C3%A9%20b")
        for elsewhere in [
            "https://other.example/v1/", "//other.example/v1/", "http://api.example.com/v1/", "https://api.example.com:444/v1/",
            "https://api.example.com.other.example/v1/", "https://user@api.example.com/v1/", "/v2/", "/v1/../v2", "/v10/",
            "javascript:alert(1)", "https://api.example.com/v1/%2e%2e/x", "https://api.example.com/v1/../x", "..;/x",
            "%ff/..%00/",
            "/v1/\u{FFFD}", "https:/v1/x", "https://api.example.com@other.example/v1/", "\\\\other.example\\v1\\",
        ] {
            #expect(location(elsewhere) == nil, "\(elsewhere)")
        }
    }

    @Test func linksLeadBackHere() throws {
        let from = try EndpointURL("https://api.example.com/v1/things")
        for (link, wanted) in [
            ("<https://api.example.com/v1/things?page=2>", "<http://here/s/things?page=2>"),
            ("<https://API.example.com:443/v1/a>", "<https://API.example.com:443/v1/a>"),
            ("<?page=2>", "<http://here/s/things?page=2>"),
            ("</v1/%ff?q=%c0|>", "<http://here/s/%ff?q=%c0|>"), ("</v1/../x>", "</v1/../x>"), ("</v1/..;/x>", "</v1/..;/x>"),
            ("<https://docs.example.com/>", "<https://docs.example.com/>"), ("</v1/unfinished", "<http://here/s/unfinished"),
        ] {
            let rest = #"; rel="next"; title="</v1/x> \" </v1/y>", <https://docs.example.com/>; rel=help"#
            let isWhole = link.hasSuffix(">")
            #expect(
                ProxyRules.links(isWhole ? link + rest : link, from: from, below: api, as: "http://here/s")
                    == (isWhole ? wanted + rest : wanted))
        }
    }

    @Test func whatWouldChangeTheConnectionIsFound() {
        func upgrades(_ value: String) -> [String] { ProxyRules.upgrades([.upgrade: value]) }
        #expect(upgrades("WebSocket") == ["websocket"])
        #expect(upgrades("h2c, websocket/13") == ["websocket/13"])
        #expect(upgrades("h2c").isEmpty && upgrades(" , ").isEmpty && ProxyRules.upgrades([:]).isEmpty)
    }

    @Test func whatBelongsToOneConnectionStaysThere() {
        var fields = HTTPFields()
        for (name, value) in [
            ("Connection", "close, X-Mine"), ("X-Mine", "1"), ("X-Yours", "2"), ("Host", "127.0.0.1"),
            ("Authorization", "Basic x"),
            ("Transfer-Encoding", "chunked"), ("Content-Length", "3"), ("Cookie", "a=b"), ("Upgrade", "websocket"),
        ] {
            fields.append(HTTPField(name: HTTPField.Name(name)!, value: value))
        }
        let names = { (fields: HTTPFields) in fields.map(\.name.rawName).sorted() }
        #expect(names(ProxyRules.passedOn(fields, droppingLength: true)) == ["Cookie", "X-Yours"])
        #expect(names(ProxyRules.passedOn(fields, droppingLength: false)) == ["Content-Length", "Cookie", "X-Yours"])
    }
}
