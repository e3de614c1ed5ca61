import OAuth
import Testing

@Suite struct EndpointURLTests {
    @Test(arguments: [
        "https://auth.torq.io/v1/auth/token", "https://example.com", "https://example.com:8443/a?b=c", "http://localhost:8080/x",
        "http://127.0.0.1/x", "http://127.9.8.7:1/x", "http://[::1]:9/x", "HTTPS://EXAMPLE.com/x", "http://app.localhost/",
    ])
    func takesWhatMaySeeASecret(_ text: String) throws {
        #expect(try EndpointURL(text).description == text)
    }

    @Test(arguments: [
        ("http://example.com/token", EndpointURL.Refusal.plainHTTP(host: "example.com")),
        ("http://127.0.0.1.example.com/", .plainHTTP(host: "127.0.0.1.example.com")),
        ("http://localhost.example.com/", .plainHTTP(host: "localhost.example.com")),
        ("http://128.0.0.1/", .plainHTTP(host: "128.0.0.1")),
        // A resolver takes them for octal numbers.
        ("http://0127.0.0.1/", .plainHTTP(host: "0127.0.0.1")), ("http://127.0.0.01/", .plainHTTP(host: "127.0.0.01")),
        ("https://user@example.com/", .credentials),
        ("https://user:made-up@example.com/", .credentials),
        ("https://example.com/#part", .fragment),
        ("file:///etc/passwd", .scheme("file")),
        ("ftp://example.com/", .scheme("ftp")),
        ("javascript:alert(1)", .scheme("javascript")),
        ("", .notAnAddress), ("example.com/token", .notAnAddress), ("https://", .notAnAddress), ("https:///x", .notAnAddress),
        ("https://exa mple.com/", .notAnAddress), ("https://example.com/\n", .notAnAddress),
        ("https://example.com:0/", .notAnAddress), ("https://example.com:99999/", .notAnAddress),
        ("https://example.com:18446744073709551616/", .notAnAddress), ("https://[::1]:18446744073709551616", .notAnAddress),
        ("https://ex%61mple.com/", .notAnAddress), ("https://good.example\\evil.example/", .notAnAddress),
        ("https://good.example^evil/", .notAnAddress), ("https://[::1%25eth0]/", .notAnAddress), ("https://a,b/", .notAnAddress),
        ("https:example.com", .notAnAddress), ("https:/example.com/", .notAnAddress), ("https://[::1", .notAnAddress),
        ("https://[::1]x/", .notAnAddress), ("https://[127.0.0.1]/", .notAnAddress), ("https://example.com:8a/", .notAnAddress),
        ("https://example.com:+8/", .notAnAddress), ("1https://example.com/", .notAnAddress),
    ])
    func refusesTheRest(_ text: String, _ refusal: EndpointURL.Refusal) {
        #expect(throws: refusal) { try EndpointURL(text) }
    }

    @Test func takesApartWhatARequestNeeds() throws {
        let url = try EndpointURL("https://Example.com:8443/oauth%20/token?tenant=a")
        #expect(url.authority == "example.com:8443")
        #expect(url.path == "/oauth%20/token")
        #expect(url.query == "tenant=a")
        #expect(try EndpointURL("http://[::1]:9/x").authority == "[::1]:9")
        #expect(try EndpointURL("https://example.com").path == "/")
    }

    @Test(arguments: [
        "/%ff", "/%c0", "/caf%E9.txt", "/%zz", "/a|b", "/a//b", "/100%", "/;", "/[x]", "/%2F", "/a%00b", "/%E9?q=%ff&r=100%",
        "/?",
        "?q=%ff", "/a?b?c",
    ])
    func `leaves every byte of path and query as it is`(_ target: String) throws {
        let url = try EndpointURL("https://example.com" + target)
        #expect(url.requestTarget == (target.hasPrefix("?") ? "/" + target : target))
    }
}
