import Testing

@testable import ClavigerCore

/// A server compares the address of a request with the registered one, byte for byte (RFC 6749 section 3.1.2.3).
@Suite struct LoopbackRedirectTests {
    @Test(arguments: [
        "http://127.0.0.1:8400/callback", "http://localhost:8400/", "http://[::1]:8400/caf%C3%A9",
        "http://127.0.0.1:8400/%ff/a%2Fb", "http://127.0.0.1:8400", "http://localhost:8400/back?app=1&b=%2F",
    ])
    func `is the registered address`(_ registered: String) throws {
        let redirect = try #require(try LoopbackRedirect(registered: registered, port: nil))
        #expect(redirect.uri(port: redirect.port) == registered)
    }

    @Test func `a port that is not registered is put in, and nothing else`() throws {
        #expect(try LoopbackRedirect(registered: "http://localhost", port: nil)?.uri(port: 7) == "http://localhost:7")
        #expect(try LoopbackRedirect(registered: "http://[::1]/a?b", port: 9)?.uri(port: 9) == "http://[::1]:9/a?b")
        #expect(try LoopbackRedirect(registered: "http://127.0.0.1:80/a", port: nil)?.uri(port: 80) == "http://127.0.0.1:80/a")
    }

    @Test(arguments: [
        "https://127.0.0.1/callback", "http://127.0.0.2/callback", "http://app.localhost/", "https://app.example/",
        "app:/callback",
        "http://user@127.0.0.1/", "",
    ])
    func `is none that this machine can't listen on`(_ registered: String) throws {
        #expect(try LoopbackRedirect(registered: registered, port: nil) == nil)
    }
}
