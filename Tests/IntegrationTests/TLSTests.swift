import Foundation
import TestSupport
import Testing

@Suite(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"), .timeLimit(.minutes(3)))
struct TLSTests {
    private func add(_ address: String, trust: [String], environment: [String: String] = [:]) async throws -> ProgramResult {
        let folder = TemporaryFolder()
        let home = ["HOME": folder.path, "CLAVIGER_KEY_FILE": folder.file("key")].merging(environment) { $1 }
        try #require(await Program.run(Program.claviger, ["init"], environment: home).status == 0)
        return await Program.run(
            Program.claviger,
            ["add", "a", "--token-url", address + "/torq/v1/auth/token", "--client-id", "x", "--secret-file", "-"] + trust,
            environment: home, input: "made-up")
    }

    /// A wrong secret that is refused by the server has gone through TLS.
    private func isThrough(_ result: ProgramResult) -> Bool {
        result.status == 77 && result.errors.contains("invalid_client")
    }

    @Test func anAuthorityOfOnesOwnIsTrustedWhereItIsNamed() async throws {
        let certificates = try await Certificates()
        let server = try await PracticeServer(arguments: certificates.arguments("good"))
        #expect(isThrough(try await add(server.address, trust: ["--ca-file", certificates.authority])))
        let untrusted = try await add(server.address, trust: [])
        #expect(untrusted.status == 69)
        #expect(untrusted.errors.contains("the certificate of 127.0.0.1 is refused"))
        #expect(untrusted.errors.contains("hint: for a private authority, give its certificates with --ca-file"))
    }

    @Test(arguments: [
        ("expired", "it has expired, on 20"), ("other-host", "it belongs to another host"),
        ("self-signed", "its authority is not trusted here"),
    ])
    func badCertificatesAreRefused(_ name: String, _ words: String) async throws {
        let certificates = try await Certificates()
        let server = try await PracticeServer(arguments: certificates.arguments(name))
        let result = try await add(server.address, trust: ["--ca-file", certificates.authority])
        #expect(result.status == 69)
        #expect(result.errors.contains("the certificate of 127.0.0.1 is refused"))
        #expect(result.errors.contains(words))
    }

    /// A proxy that we did not write either: Python's standard library tunnels for it.
    @Test func httpsGoesThroughTheProxyAndThisMachineDoesNot() async throws {
        let certificates = try await Certificates()
        let server = try await PracticeServer(arguments: certificates.arguments("good"))
        let port = try #require(server.address.split(separator: ":").last.map(String.init))
        let proxy = try await PracticeServer(program: Python.program, arguments: [Python.script("connect_proxy.py"), port])
        let trust = ["--ca-file", certificates.authority]
        // Only the proxy knows where this host is.
        let through = try await add("https://auth.example.test", trust: trust, environment: ["HTTPS_PROXY": proxy.address])
        #expect(isThrough(through), "\(through.errors)")
        let excepted = try await add(
            "https://auth.example.test", trust: trust, environment: ["HTTPS_PROXY": proxy.address, "NO_PROXY": "example.test"])
        #expect(excepted.errors.contains("cannot reach auth.example.test"))
        let here = try await add(server.address, trust: trust, environment: ["HTTPS_PROXY": "http://127.0.0.1:1"])
        #expect(isThrough(here))
        let bad = try await add("https://auth.example.test", trust: trust, environment: ["HTTPS_PROXY": "socks5://127.0.0.1:1"])
        #expect(bad.status == 78)
    }

    /// RFC 8705: the server knows the client by its certificate.
    @Test func aClientProvesItselfWithItsCertificate() async throws {
        let certificates = try await Certificates()
        let files = certificates.folder
        let server = try await PracticeServer(
            program: Python.program,
            arguments: [Python.script("mtls_server.py"), certificates.authority, files.file("good.pem"), files.file("good.key")])
        let folder = TemporaryFolder()
        let home = ["HOME": folder.path, "CLAVIGER_KEY_FILE": folder.file("key")]
        try #require(await Program.run(Program.claviger, ["init"], environment: home).status == 0)
        let settings = ["--token-url", server.address + "/token", "--client-id", "me", "--ca-file", certificates.authority]
        let added = await Program.run(
            Program.claviger, ["add", "a", "--client-auth", "tls", "--secret-file", files.file("client.pem")] + settings,
            environment: home)
        #expect(added.status == 0, "\(added.errors)")
        #expect(await Program.run(Program.claviger, ["token", "a"], environment: home).output == "client.example.test\n")
        let without = await Program.run(
            Program.claviger, ["add", "b", "--client-auth", "none"] + settings, environment: home)
        #expect(without.refuses(78, "127.0.0.1 wants a certificate of the client's"))
        func add(_ file: String) async -> ProgramResult {
            await Program.run(
                Program.claviger, ["add", "b", "--client-auth", "tls", "--secret-file", file] + settings, environment: home)
        }
        #expect(await add(files.file("good.key")).refuses(64, "the client's certificate and its key can't be read"))
        #expect(await add(files.file("stranger.pem")).refuses(78, "127.0.0.1 does not accept the client's certificate"))
        let certificate = String(decoding: bytes(ofFile: files.file("good.pem")), as: UTF8.self)
        let key = String(decoding: bytes(ofFile: files.file("stranger.pem")), as: UTF8.self).components(
            separatedBy: "-----BEGIN CERT")[0]
        #expect(await add(folder.write("mixed", key + certificate)).refuses(64, "don't belong together"))
        Proven.record(grant: "client-credentials", clientAuth: "tls", server: "OpenSSL")
    }
}

/// http goes to this machine alone, whatever the names of this machine lead to.
@Suite(
    .enabled(if: geteuid() == 0 && Python.isThere, "needs root, to make a network of its own"), .timeLimit(.minutes(1)))
struct ClearTextTests {
    @Test func `a name of this machine that leads to another is sent nothing`() async throws {
        let folder = TemporaryFolder()
        let environment = [
            "HOME": folder.path, "CLAVIGER_KEY_FILE": folder.file("key"), "CLAVIGER_SOCKET": folder.file("none"),
            "PATH": "/usr/bin:/bin",
        ]
        #expect(await Program.run(Program.claviger, ["init"], environment: environment).status == 0)
        let keys = folder.write("keys", #"{"client_id":"made-up-id","client_secret":"made-up-secret"}"#)
        for (host, words) in [
            ("here.localhost", "the name leads to another machine"), ("localhost", "the connection was refused"),
        ] {
            let add = ["add", host, "--token-url", "http://\(host):8123/token", "--from-json", keys]
            let python = ["--net", "--mount", Python.program, Python.script("name_elsewhere.py"), "8123", Program.claviger]
            let result = await Program.run("/usr/bin/unshare", python + add, environment: environment)
            #expect(result.output.contains("sent: b''"), "\(result)")
            #expect(result.status == 69 && result.errors.contains(words), "\(result)")
        }
    }
}
