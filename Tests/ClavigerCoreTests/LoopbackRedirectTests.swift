import Testing

@testable import ClavigerCore

/// A server compares the address of a request with the registered one, byte for byte (RFC 6749 section 3.1.2.3).
@Suite struct LoopbackRedirectTests {
    @Test(arguments: [
        "http://127.0.0.1:8400/callback", "http://localhost:8400/", "http://[::1]:8400/caf%C3%A9",
        "http://127.0.0.1:8400/%ff/a%2Fb",
    ])
    func `is the registered address`(_ registered: String) throws {
        let redirect = try #require(try LoopbackRedirect(registered: registered, port: nil))
        #expect(redirect.uri(port: redirect.port) == registered)
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
