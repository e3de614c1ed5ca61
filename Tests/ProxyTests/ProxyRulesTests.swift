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

    @Test(arguments: [
        "/..", "/../x", "/a/../../x", "/.", "/%2e%2e/x", "/%2E./x", "/.%2e", "/a%2f..%2f..%2fx", "/..%5cx", "/a\\..\\x",
        "x", "@other.example/", ".other.example/", ":8443/", "/a#b", "/ä", "/a b",
    ])
    func whatMightLeaveItIsRefused(_ rest: String) {
        #expect(ProxyRules.upstream(rest, below: api) == nil)
    }

    @Test func redirectsStayHereOrAreStopped() throws {
        let from = try EndpointURL("https://api.example.com/v1/things/1?x=y")
        func location(_ text: String) -> String? { ProxyRules.location(text, from: from, below: api, as: "http://here/s") }
        #expect(location("https://api.example.com/v1/other?a=b") == "http://here/s/other?a=b")
        #expect(location("HTTPS://API.example.com/v1/other") == "http://here/s/other")
        #expect(location("/v1/other#part") == "http://here/s/other")
        #expect(location("2") == "http://here/s/things/2")
        #expect(location("../up") == "http://here/s/up")
        for elsewhere in [
            "https://other.example/v1/", "//other.example/v1/", "http://api.example.com/v1/", "https://api.example.com:444/v1/",
            "https://api.example.com.other.example/v1/", "https://user@api.example.com/v1/", "/v2/", "/v1/../v2", "/v10/", "/v1",
            "javascript:alert(1)", "https://api.example.com/v1/%2e%2e/x",
        ] {
            #expect(location(elsewhere) == nil, "\(elsewhere)")
        }
    }

    @Test func linksLeadBackHere() {
        let links = #"<https://api.example.com/v1/things?page=2>; rel="next", <https://docs.example.com/>; rel="help""#
        #expect(
            ProxyRules.links(links, below: api, as: "http://here/s")
                == #"<http://here/s/things?page=2>; rel="next", <https://docs.example.com/>; rel="help""#)
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
