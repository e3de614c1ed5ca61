import Foundation
import FoundationNetworking
import TestSupport
import Testing

/// Authlib's OAuth 2.0 and OpenID Connect server, which nobody here wrote.
private struct AuthlibServer {
    let server: PracticeServer
    let home = TemporaryFolder()
    let key: String

    init() async throws {
        key = home.file("client.pem")
        let publicKey = home.file("client.pub")
        for arguments in [
            ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key],
            ["pkey", "-in", key, "-pubout", "-out", publicKey],
        ] {
            let made = await Program.run("/usr/bin/openssl", arguments)
            try #require(made.status == 0, "\(made.errors)")
        }
        server = try await PracticeServer(program: Python.program, arguments: [Python.script("authlib_server.py"), publicKey])
        try #require(await run(["init"]).status == 0)
    }

    var environment: [String: String] { ["HOME": home.path, "CLAVIGER_KEY_FILE": home.file("vault-key")] }

    func run(_ arguments: [String], input: String? = nil) async -> ProgramResult {
        await Program.run(Program.claviger, arguments, environment: environment, input: input)
    }

    /// Adds a credential whose client is named after its authentication, everything else found by discovery.
    func add(_ name: String, grant: String, auth: String, _ more: String...) async throws {
        var arguments = [
            "add", name, "--issuer", server.address, "--grant", grant, "--client-auth", auth, "--client-id",
            auth == "basic" || auth == "post" ? "client_secret_\(auth)" : auth.replacing("-", with: "_"),
        ]
        switch auth {
        case "none": break
        case "private-key-jwt": arguments += ["--secret-file", key]
        default: arguments += ["--secret-file", home.write("secret", "made-up-authlib-secret")]
        }
        let added = await run(arguments + more)
        try #require(added.status == 0, "\(added.errors)")
    }

    func token(_ name: String, _ more: String...) async throws -> String {
        let result = await run(["token", name] + more)
        try #require(result.status == 0, "\(result.errors)")
        return String(result.output.dropLast())
    }

    /// New tokens come, the server welcomes them, introspection says so, and after the revocation neither does.
    func live(_ name: String) async throws {
        let first = try await token(name)
        try #require(try await server.isAccepted(first))
        try await server.request("POST", "/expire")
        try #require(try await server.isAccepted(first) == false)
        let second = try await token(name, "--rejected")
        try #require(try await server.isAccepted(second))
        let checked = await run(["check", name])
        try #require(checked.status == 0, "\(checked.errors)")
        let revoked = await run(["revoke", name])
        try #require(revoked.status == 0, "\(revoked.errors)")
        try #require(try await server.isAccepted(second) == false)
    }
}

@Suite(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"), .timeLimit(.minutes(3)))
struct AuthlibTests {
    private static let name = "Authlib"

    private func prove(grant: String, auth: String, _ body: (AuthlibServer) async throws -> Void) async throws {
        let authlib = try await AuthlibServer()
        try await body(authlib)
        try await authlib.live("a")
        Proven.record(grant: grant, clientAuth: auth, server: Self.name)
    }

    @Test(arguments: ["basic", "post", "private-key-jwt", "client-secret-jwt"])
    func clientCredentials(auth: String) async throws {
        try await prove(grant: "client-credentials", auth: auth) {
            try await $0.add("a", grant: "client-credentials", auth: auth, "--scope", "read")
        }
    }

    @Test(arguments: ["basic", "post", "none", "private-key-jwt"])
    func password(auth: String) async throws {
        try await prove(grant: "password", auth: auth) {
            let password = $0.home.write("password", "made-up-password")
            try await $0.add("a", grant: "password", auth: auth, "--username", "made-up-user", "--password-file", password)
        }
    }

    /// With `state`, `iss`, PKCE, and an ID token with our nonce in it; then refresh tokens that rotate.
    @Test(arguments: ["basic", "post", "none", "private-key-jwt", "client-secret-jwt"])
    func authorizationCode(auth: String) async throws {
        try await prove(grant: "authorization-code", auth: auth) { authlib in
            try await authlib.add("a", grant: "authorization-code", auth: auth, "--scope", "openid read")
            let terminal = PseudoTerminal(
                Program.claviger, ["login", "a", "--no-browser"], environment: authlib.environment,
                output: authlib.home.file("out"))
            let screen = try await terminal.expect("nonce=")
            let line = try #require(screen.split(whereSeparator: \.isNewline).first { $0.contains("response_type=code") })
            let address = try #require(URL(string: String(line.drop { $0 != "h" })))
            // As a browser does it: through the server, and back to our page.
            let (page, _) = try await URLSession(configuration: .ephemeral).data(from: address)
            #expect(String(decoding: page, as: UTF8.self).contains("Logged in"))
            try #require(await terminal.wait() == 0)
            // Five rotations in a row: reuse would end the login.
            for _ in 0..<5 { _ = try await authlib.token("a", "--fresh") }
        }
        Proven.record(grant: "refresh-token", clientAuth: auth, server: Self.name)
    }

    /// RFC 9126: the browser learns nothing but a name of the request.
    @Test(arguments: ["basic", "post", "none", "private-key-jwt"])
    func `a login that is handed in first`(auth: String) async throws {
        try await prove(grant: "authorization-code", auth: auth) { authlib in
            try await authlib.add(
                "a", grant: "authorization-code", auth: auth, "--scope", "openid read", "--pushed-authorization-url",
                authlib.server.address + "/par")
            let terminal = PseudoTerminal(
                Program.claviger, ["login", "a", "--no-browser"], environment: authlib.environment,
                output: authlib.home.file("out"))
            let screen = try await terminal.expect("request_uri=")
            let line = try #require(screen.split(whereSeparator: \.isNewline).first { $0.contains("request_uri=") })
            let address = try #require(URL(string: String(line.drop { $0 != "h" })))
            let names = URLComponents(url: address, resolvingAgainstBaseURL: false)?.queryItems?.map(\.name)
            #expect(names == ["client_id", "request_uri"])
            let (page, _) = try await URLSession(configuration: .ephemeral).data(from: address)
            #expect(String(decoding: page, as: UTF8.self).contains("Logged in"))
            try #require(await terminal.wait() == 0)
        }
    }

    @Test(arguments: ["basic", "post", "none", "client-secret-jwt"])
    func deviceCode(auth: String) async throws {
        try await prove(grant: "device-code", auth: auth) { authlib in
            try await authlib.add("a", grant: "device-code", auth: auth)
            let terminal = PseudoTerminal(
                Program.claviger, ["login", "a"], environment: authlib.environment, output: authlib.home.file("out"), columns: 80)
            let screen = try await terminal.expect("waiting for")
            // The picture says what the text says, to a reader that nobody here wrote.
            let picture = authlib.home.write("screen", screen)
            let read = await Program.run(Python.program, [Python.script("qr_reader.py"), picture])
            #expect(read.status == 0, "\(read.errors)")
            let address = read.output.trimmingCharacters(in: .newlines)
            #expect(screen.contains("or open \(address)"))
            let code = try #require(URLComponents(string: address)?.queryItems?.first { $0.name == "user_code" }?.value)
            try await authlib.server.request("POST", "/device/\(code)?approve=1")
            try #require(await terminal.wait() == 0)
        }
    }

    /// RFC 7523 section 2.1: the assertion is all that the client brings.
    @Test func assertionGrant() async throws {
        let authlib = try await AuthlibServer()
        let added = await authlib.run([
            "add", "a", "--grant", "jwt-bearer", "--client-auth", "none", "--token-url", authlib.server.address + "/token",
            "--client-id", "none", "--secret-file", authlib.key, "--scope", "read",
        ])
        try #require(added.status == 0, "\(added.errors)")
        try #require(try await authlib.server.isAccepted(authlib.token("a")))
        Proven.record(grant: "jwt-bearer", clientAuth: "none", server: Self.name)
    }

    /// Authlib's parser and client authentication, with a grant of ours: see authlib_server.py.
    @Test(arguments: ["basic", "post", "private-key-jwt"])
    func tokenExchange(auth: String) async throws {
        let authlib = try await AuthlibServer()
        try await authlib.add("wide", grant: "client-credentials", auth: "basic")
        try await authlib.add("a", grant: "token-exchange", auth: auth, "--subject", "wide", "--scope", "read")
        try #require(try await authlib.server.isAccepted(authlib.token("a")))
        // The subject's token has ended at the server, too, which is found out, and mended, on the way.
        try await authlib.live("a")
        Proven.record(grant: "token-exchange", clientAuth: auth, server: Self.name)
    }
}
