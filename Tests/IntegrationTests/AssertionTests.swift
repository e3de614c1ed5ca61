import Foundation
import TestSupport
import Testing

/// Assertions that a library of another language checks.
@Suite(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"), .timeLimit(.minutes(3)))
struct AssertionTests {
    private let folder = TemporaryFolder()
    private var environment: [String: String] { ["HOME": folder.path, "CLAVIGER_KEY_FILE": folder.file("vault-key")] }

    private func run(_ arguments: [String], input: String? = nil) async -> ProgramResult {
        await Program.run(Program.claviger, arguments, environment: environment, input: input)
    }

    /// A private key as openssl makes it.
    private func makeKey(_ algorithm: [String]) async throws -> String {
        let path = folder.file("key.pem")
        let made = await Program.run("/usr/bin/openssl", ["genpkey", "-out", path] + algorithm)
        try #require(made.status == 0, "\(made.errors)")
        try #require(await run(["init"]).status == 0)
        return path
    }

    private static let rsa = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]

    private static func curve(_ name: String) -> [String] { ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:" + name] }

    /// A server, and a credential whose token is what its assertion says.
    private func describing(_ key: String, _ arguments: String...) async throws -> PracticeServer {
        let server = try await PracticeServer(program: Python.program, arguments: [Python.script("jwt_server.py"), key])
        let added = await run(
            ["add", "a", "--client-id", "me", "--token-url", server.address + "/describe", "--secret-file", key] + arguments)
        try #require(added.status == 0, "\(added.errors)")
        return server
    }

    /// What an assertion said, from the token that was given for it.
    private func said(_ arguments: String...) async throws -> (header: [String: Any], claims: [String: Any]) {
        var token = await run(["token", "a"] + arguments).output.filter { $0 != "\n" }
        token = token.replacing("-", with: "+").replacing("_", with: "/")
        let data = try #require(Data(base64Encoded: token + String(repeating: "=", count: (4 - token.count % 4) % 4)))
        let json = try #require(try JSONSerialization.jsonObject(with: data) as? [String: [String: Any]])
        return (try #require(json["header"]), try #require(json["claims"]))
    }

    @Test(arguments: [
        (rsa, "RS256"), (curve("P-256"), "ES256"), (curve("P-384"), "ES384"), (curve("P-521"), "ES512"),
        (["-algorithm", "ED25519"], "EdDSA"),
    ])
    func aClientProvesItselfWithItsPrivateKey(_ algorithm: [String], _ name: String) async throws {
        let key = try await makeKey(algorithm)
        let server = try await PracticeServer(program: Python.program, arguments: [Python.script("jwt_server.py"), key])
        let added = await run([
            "add", "a", "--client-auth", "private-key-jwt", "--client-id", "me", "--kid", "k1", "--token-url",
            server.address + "/token",
            "--secret-file", key,
        ])
        #expect(added.status == 0, "\(added.errors)")
        #expect(await run(["token", "a"]).output == "\(name).k1.me.\n")
        // Another key is refused, and nothing of it stays.
        let other = folder.file("other.pem")
        _ = await Program.run("/usr/bin/openssl", ["genpkey", "-out", other] + algorithm)
        #expect(await run(["rotate", "a", "--secret-file", other]).status == 77)
        #expect(await run(["token", "a", "--fresh"]).status == 0)
        // One line of the key itself, beyond what all keys of this kind begin with.
        let line = String(decoding: bytes(ofFile: key), as: UTF8.self).split(separator: "\n").dropFirst().first.map(String.init)
        let secret = String(try #require(line).suffix(24))
        #expect(folder.filesHolding(secret) == ["key.pem"])
        Proven.record(grant: "client-credentials", clientAuth: "private-key-jwt", server: "jwcrypto")
    }

    @Test func aClientProvesItselfWithASharedSecret() async throws {
        let key = try await makeKey(Self.rsa)
        // The secret "made-up-secret-of-32-bytes-length", for jwcrypto in base64url.
        let file = folder.write("oct", "bWFkZS11cC1zZWNyZXQtb2YtMzItYnl0ZXMtbGVuZ3Ro")
        let server = try await PracticeServer(program: Python.program, arguments: [Python.script("jwt_server.py"), key, file])
        let added = await run(
            [
                "add", "a", "--client-auth", "client-secret-jwt", "--client-id", "me", "--token-url", server.address + "/token",
                "--secret-file", "-",
            ], input: "made-up-secret-of-32-bytes-length")
        #expect(added.status == 0, "\(added.errors)")
        try #require(await run(["token", "a"]).output == "HS256.None.me.\n")
        Proven.record(grant: "client-credentials", clientAuth: "client-secret-jwt", server: "jwcrypto")
    }

    @Test func aGoogleServiceAccountNeedsNothingButItsKeyFile() async throws {
        let key = try await makeKey(Self.rsa)
        let server = try await PracticeServer(program: Python.program, arguments: [Python.script("jwt_server.py"), key])
        let account = [
            "type": "service_account", "client_email": "robot@project.example", "client_id": "123", "private_key_id": "k7",
            "private_key": String(decoding: bytes(ofFile: key), as: UTF8.self), "token_uri": server.address + "/token",
        ]
        let json = String(decoding: try JSONSerialization.data(withJSONObject: account), as: UTF8.self)
        let added = await run(["add", "robot", "--scope", "read write", "--from-json", "-"], input: json)
        #expect(added.status == 0, "\(added.errors)")
        #expect(await run(["token", "robot"]).output == "RS256.k7.robot@project.example.read+write\n")
        try #require(await run(["token", "robot", "--scope", "other"]).output == "RS256.k7.robot@project.example.other\n")
        Proven.record(grant: "jwt-bearer", clientAuth: "none", server: "jwcrypto")
    }

    @Test func `the user of jwt-bearer is the subject, through a rotation too`() async throws {
        let key = try await makeKey(Self.rsa)
        let server = try await describing(
            key, "--grant", "jwt-bearer", "--client-auth", "none", "--username", "somebody@made-up.example", "--scope",
            "read write",
            "--scope-separator", ",")
        let claims = try await said().claims
        #expect(claims["sub"] as? String == "somebody@made-up.example" && claims["iss"] as? String == "me")
        #expect(claims["aud"] as? String == server.address + "/describe" && claims["scope"] as? String == "read,write")
        let rotated = await run(["rotate", "a", "--secret-file", await another(key)])
        #expect(rotated.status == 0, "\(rotated.errors)")
        #expect(try await said("--fresh").claims["sub"] as? String == "somebody@made-up.example")
        #expect(await run(["edit", "a", "--assertion-subject", "another@made-up.example"]).status == 0)
        #expect(try await said().claims["sub"] as? String == "another@made-up.example")
    }

    @Test func `a client assertion is for the issuer where it is known, else for the token endpoint, and that is said`()
        async throws
    {
        let key = try await makeKey(Self.rsa)
        let server = try await PracticeServer(program: Python.program, arguments: [Python.script("jwt_server.py"), key])
        let arguments = ["--client-id", "me", "--secret-file", key]
        let found = await run(["add", "a", "--issuer", server.address] + arguments)
        #expect(found.status == 0 && found.errors.contains("are for the issuer, \(server.address);"), "\(found.errors)")
        #expect(try await said().claims["aud"] as? String == server.address)
        #expect(await run(["remove", "a", "--yes"]).status == 0)
        let url = server.address + "/describe"
        let named = await run(["add", "a", "--token-url", url, "--client-auth", "private-key-jwt"] + arguments)
        #expect(named.status == 0 && named.errors.contains("are for the token endpoint, \(url);"), "\(named.errors)")
        #expect(try await said().claims["aud"] as? String == url)
        // An issuer that is named later changes no audience.
        #expect(await run(["edit", "a", "--issuer", server.address]).status == 0)
        #expect(try await said("--fresh").claims["aud"] as? String == url)
    }

    @Test func `an assertion says what the settings say`() async throws {
        let key = try await makeKey(Self.rsa)
        let server = try await describing(
            key, "--client-auth", "private-key-jwt", "--assertion-audience", "urn:made-up", "--assertion-issuer", "i",
            "--assertion-lifetime", "2m", "--assertion-type", "client-authentication+jwt", "--assertion-algorithm", "ps256",
            "--assertion-claim", "env=test", "--assertion-claim", "level=3", "--assertion-claim", "list=[\"a\"]")
        defer { withExtendedLifetime(server) {} }
        var (header, claims) = try await said()
        #expect(header["alg"] as? String == "PS256" && header["typ"] as? String == "client-authentication+jwt")
        #expect(claims["aud"] as? String == "urn:made-up" && claims["iss"] as? String == "i" && claims["sub"] as? String == "me")
        let (issued, ends) = (try #require(claims["iat"] as? Int), try #require(claims["exp"] as? Int))
        #expect(ends - issued == 120 && claims["env"] as? String == "test" && claims["level"] as? Int == 3)
        #expect(claims["list"] as? [String] == ["a"])
        #expect(await run(["show", "a"]).output.contains("algorithm=PS256, audience=urn:made-up"))
        let edited = await run(["edit", "a", "--assertion-audience", ""])
        #expect(edited.status == 0, "\(edited.errors)")
        (header, claims) = try await said()
        #expect(claims["aud"] == nil && header["alg"] as? String == "PS256")
        #expect(await run(["edit", "a", "--clear", "assertion"]).status == 0)
        (header, claims) = try await said()
        #expect(header["alg"] as? String == "RS256" && claims["env"] == nil && claims["aud"] != nil)
    }

    @Test func `a key is named by its certificate, where that stands beside it`() async throws {
        let key = try await makeKey(Self.rsa)
        let certificate = await Program.run(
            "/usr/bin/openssl", ["req", "-x509", "-key", key, "-subj", "/CN=made-up", "-days", "2"])
        let hash = await Program.run(
            "/bin/sh", ["-c", "openssl x509 -in $FILE -outform DER | openssl dgst -sha256 -binary | basenc --base64url"],
            environment: ["FILE": folder.write("certificate.pem", certificate.output), "PATH": "/usr/bin:/bin"])
        let both = folder.write("both.pem", certificate.output + String(decoding: bytes(ofFile: key), as: UTF8.self))
        let server = try await describing(key, "--client-auth", "private-key-jwt", "--secret-file", both)
        defer { withExtendedLifetime(server) {} }
        #expect(try await said().header["x5t#S256"] as? String == hash.output.filter { $0 != "\n" && $0 != "=" })
    }

    private static let encrypted = [
        ["pkcs8", "-topk8", "-v2", "aes-256-cbc"], ["pkcs8", "-topk8", "-v2", "des3"], ["rsa", "-aes128", "-traditional"],
    ]

    /// The same key in another file: one that is in use already is no rotation.
    /// The same key in its older form, which is another text.
    private func another(_ key: String) async -> String {
        let file = folder.file("another.pem")
        _ = await Program.run("/usr/bin/openssl", ["rsa", "-in", key, "-traditional", "-out", file])
        return file
    }

    @Test(arguments: encrypted)
    func `an encrypted key is opened with its passphrase and kept without`(_ command: [String]) async throws {
        let key = try await makeKey(Self.rsa)
        let passphrase = folder.write("passphrase", "made-up-passphrase\n")
        let encrypted = folder.file("encrypted.pem")
        let made = await Program.run(
            "/usr/bin/openssl", command + ["-in", key, "-out", encrypted, "-passout", "file:" + passphrase])
        try #require(made.status == 0, "\(made.errors)")
        let server = try await describing(
            key, "--client-auth", "private-key-jwt", "--secret-file", encrypted, "--private-key-passphrase-file", passphrase)
        defer { withExtendedLifetime(server) {} }
        #expect(try await said().header["alg"] as? String == "RS256")
        let wrong = await run(
            ["rotate", "a", "--secret-file", encrypted, "--private-key-passphrase-file", folder.write("wrong", "made-up-wrong")])
        #expect(wrong.status == 64 && wrong.errors.contains("the passphrase does not open the private key"), "\(wrong.errors)")
        let alone = await run(["rotate", "a", "--secret-file", encrypted])
        #expect(alone.status == 64 && alone.errors.contains("use --private-key-passphrase-file FILE"), "\(alone.errors)")
        // At a terminal it is asked for.
        let output = folder.file("out")
        let terminal = PseudoTerminal(
            Program.claviger, ["rotate", "a", "--secret-file", encrypted], environment: environment, output: output)
        _ = try await terminal.expect("not shown: ")
        terminal.type("made-up-passphrase\n")
        // It is the key that is stored.
        #expect(try await terminal.expect("provider first").contains("this is the key pair in use already"))
    }

    @Test func `an encrypted key that can't be opened here is told how to be converted`() async throws {
        let key = try await makeKey(["-algorithm", "ED25519"])
        let passphrase = folder.write("passphrase", "made-up-passphrase")
        let encrypted = folder.file("encrypted.pem")
        _ = await Program.run(
            "/usr/bin/openssl", ["pkcs8", "-topk8", "-in", key, "-out", encrypted, "-passout", "file:" + passphrase])
        let result = await run([
            "add", "a", "--client-auth", "private-key-jwt", "--client-id", "me", "--token-url", "http://127.0.0.1:1/token",
            "--secret-file", encrypted, "--private-key-passphrase-file", passphrase,
        ])
        #expect(result.status == 64 && result.errors.contains("openssl pkey -in FILE"), "\(result.errors)")
    }

    @Test func `an assertion is the bearer token of the request, as GitHub wants it of an App`() async throws {
        let key = try await makeKey(Self.rsa)
        let server = try await PracticeServer(program: Python.program, arguments: [Python.script("jwt_server.py"), key])
        let added = await run([
            "add", "a", "--client-auth", "bearer-jwt", "--client-id", "me", "--secret-file", key, "--token-url",
            server.address + "/app/installations/7/access_tokens", "--params-in", "json", "--param-name", "grant_type=",
            "--answer", "access_token=/token",
        ])
        #expect(added.status == 0, "\(added.errors)")
        #expect(await run(["token", "a"]).output == "made-up-installation-token\n")
        #expect(await run(["show", "a"]).output.contains("bearer-jwt"))
        let live = await run(["token", "a", "--min-ttl", "3000"])
        #expect(live.status == 0, "\(live.errors)")
        Proven.record(grant: "client-credentials", clientAuth: "bearer-jwt", server: "jwcrypto")
    }

    @Test func whatIsNoKeyIsRefused() async throws {
        let key = try await makeKey(["-algorithm", "ED448"])
        let arguments = [
            "add", "a", "--client-auth", "private-key-jwt", "--client-id", "me", "--token-url", "http://127.0.0.1:1/token",
        ]
        let wrongKind = await run(arguments + ["--secret-file", key])
        #expect(wrongKind.status == 65 && wrongKind.errors.contains("the private key can't sign"))
        let noKey = await run(arguments + ["--secret-file", "-"], input: "made-up")
        #expect(noKey.status == 64 && noKey.errors.contains("there is no private key in PEM in standard input"))
        let none = await run(arguments)
        #expect(none.status == 64 && none.errors.contains("no private key was given"))
        #expect(await run(["list"]).errors.contains("the vault is empty"))
    }
}
