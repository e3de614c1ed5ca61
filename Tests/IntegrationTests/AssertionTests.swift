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

    @Test(arguments: [
        (rsa, "RS256"), (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "ES256"),
        (["-algorithm", "ED25519"], "EdDSA"),
    ])
    func aClientProvesItselfWithItsPrivateKey(_ algorithm: [String], _ name: String) async throws {
        let key = try await makeKey(algorithm)
        let server = try await PracticeServer(program: Python.program, arguments: [Python.script("jwt_server.py"), key])
        let added = await run([
            "add", "a", "--client-auth", "private-key-jwt", "--client-id", "me", "--key-id", "k1", "--token-url",
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
        let added = await run(["add", "robot", "--scope", "read write", "--from", "-"], input: json)
        #expect(added.status == 0, "\(added.errors)")
        #expect(await run(["token", "robot"]).output == "RS256.k7.robot@project.example.read+write\n")
        try #require(await run(["token", "robot", "--scope", "other"]).output == "RS256.k7.robot@project.example.other\n")
        Proven.record(grant: "jwt-bearer", clientAuth: "none", server: "jwcrypto")
    }

    @Test func whatIsNoKeyIsRefused() async throws {
        let key = try await makeKey(["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp521r1"])
        let arguments = [
            "add", "a", "--client-auth", "private-key-jwt", "--client-id", "me", "--token-url", "http://127.0.0.1:1/token",
        ]
        let wrongCurve = await run(arguments + ["--secret-file", key])
        #expect(wrongCurve.status == 65 && wrongCurve.errors.contains("the private key can't sign"))
        let noKey = await run(arguments + ["--secret-file", "-"], input: "made-up")
        #expect(noKey.status == 64 && noKey.errors.contains("there is no private key in PEM in standard input"))
        let none = await run(arguments)
        #expect(none.status == 64 && none.errors.contains("no private key was given"))
        #expect(await run(["list"]).errors.contains("the vault is empty"))
    }
}
