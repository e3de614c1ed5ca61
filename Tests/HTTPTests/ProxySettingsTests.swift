import OAuth
import TokenEngine
import Testing

@testable import HTTP

@Suite struct ProxySettingsTests {
    private func proxy(_ environment: [String: String], _ url: String = "https://auth.example.com/token") throws -> ProxySettings
        .Proxy?
    {
        try ProxySettings(environment: environment).proxy(for: EndpointURL(url))
    }

    @Test func goesStraightWithoutTheVariables() throws {
        #expect(try proxy([:]) == nil)
        #expect(try proxy(["HTTPS_PROXY": ""]) == nil)
    }

    @Test func readsHostPortAndUser() throws {
        #expect(try proxy(["HTTPS_PROXY": "http://proxy:3128"]) == .init(host: "proxy", port: 3128))
        #expect(try proxy(["https_proxy": "proxy"]) == .init(host: "proxy", port: 80))
        #expect(
            try proxy(["HTTPS_PROXY": "http://me:made-up@proxy:1/"])
                == .init(host: "proxy", port: 1, user: "me", password: "made-up"))
        #expect(try proxy(["HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:2"])?.host == "lower")
    }

    @Test func httpProxyIsNotForHTTPS() throws {
        #expect(try proxy(["HTTP_PROXY": "http://proxy:3128"]) == nil)
    }

    @Test(arguments: ["http://127.0.0.1:1/", "http://localhost/", "https://localhost/", "https://[::1]/"])
    func thisMachineIsNeverReachedThroughAProxy(_ url: String) throws {
        #expect(try proxy(["HTTPS_PROXY": "http://proxy:1", "HTTP_PROXY": "http://proxy:1"], url) == nil)
    }

    @Test(arguments: [
        ("*", true), ("auth.example.com", true), ("example.com", true), (".example.com", true), ("*.example.com", true),
        ("AUTH.EXAMPLE.COM", true), ("other.com, example.com", true), ("auth.example.com:443", true),
        ("auth.example.com:8443", false),
        ("ample.com", false), ("com.", false), ("other.com", false), ("", false), (",", false),
    ])
    func noProxyNamesHostsAndThoseBelow(_ value: String, _ straight: Bool) throws {
        #expect((try proxy(["HTTPS_PROXY": "http://proxy:1", "NO_PROXY": value]) == nil) == straight)
    }

    @Test(arguments: [
        ("10.0.0.0/8", "https://10.200.3.4/", true), ("10.0.0.0/8", "https://11.0.0.1/", false),
        ("192.168.1.64/26", "https://192.168.1.100/", true), ("192.168.1.64/26", "https://192.168.1.129/", false),
        ("0.0.0.0/0", "https://8.8.8.8/", true), ("10.1.2.3", "https://10.1.2.3/", true),
        ("10.1.2.3:444", "https://10.1.2.3/", false),
        ("10.1.2.3:443", "https://10.1.2.3/", true), ("fd00::/8", "https://[fd12::1]/", true),
        ("[fd00::]/8", "https://[fe80::1]/", false),
        ("[2001:db8::1]", "https://[2001:DB8:0::1]/", true), ("2001:db8::1", "https://[2001:db8::1]/", true),
        ("[2001:db8::1]:8443", "https://[2001:db8::1]/", false), ("[2001:db8::1]:443", "https://[2001:db8::1]/", true),
        ("10.0.0.0/33", "https://10.0.0.1/", false), ("10.0.0.0/8", "https://example.com/", false),
        ("0.0.0.0/0", "https://[2001:db8::1]/", false), ("10.0.0.0/x", "https://10.0.0.1/", false),
    ])
    func noProxyNamesAddressesAndRanges(_ value: String, _ url: String, _ straight: Bool) throws {
        #expect((try proxy(["HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "other, " + value], url) == nil) == straight)
    }

    @Test(arguments: ["socks5://proxy:1", "https://proxy:1", "http://", "http://proxy/path", "http://proxy/%ff", "http://pro xy"])
    func whatIsNoProxyIsRefused(_ value: String) {
        #expect(throws: TransportFailure.configuration(reason: "HTTPS_PROXY is not the address of an http proxy")) {
            try proxy(["HTTPS_PROXY": value])
        }
    }
}
