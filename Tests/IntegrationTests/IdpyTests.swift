import Foundation
import FoundationNetworking
import TestSupport
import Testing

/// The OpenID Connect provider idpyoidc, which nobody here wrote.
private struct IdpyServer {
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
        server = try await PracticeServer(program: Python.program, arguments: [Python.script("idpy_server.py"), publicKey])
        try #require(await run(["init"]).status == 0)
    }

    var environment: [String: String] { ["HOME": home.path, "CLAVIGER_KEY_FILE": home.file("vault-key")] }
    var secret: String { home.write("secret", "made-up-idpyoidc-secret-of-32-bytes") }

    func run(_ arguments: [String]) async -> ProgramResult {
        await Program.run(Program.claviger, arguments, environment: environment)
    }

    /// What every credential of a client has, whose name is its authentication.
    private func arguments(_ name: String, grant: String, auth: String) -> [String] {
        let client = ["basic": "client_secret_basic", "post": "client_secret_post"][auth] ?? auth.replacing("-", with: "_")
        var arguments = ["add", name, "--issuer", server.address, "--grant", grant, "--client-auth", auth, "--client-id", client]
        if auth != "none" { arguments += ["--secret-file", auth == "private-key-jwt" ? key : secret] }
        // An assertion must name the very endpoint that it is sent to.
        if auth.hasSuffix("jwt") { arguments += ["--assertion-audience", "{endpoint}"] }
        return arguments
    }

    func add(_ name: String, grant: String, auth: String, _ more: String...) async throws {
        let added = await run(arguments(name, grant: grant, auth: auth) + more)
        try #require(added.status == 0, "\(added.errors)")
    }

    func token(_ name: String, _ more: String...) async throws -> String {
        let result = await run(["token", name] + more)
        try #require(result.status == 0, "\(result.errors)")
        return String(result.output.dropLast())
    }

    /// Logs in by the server's own page, as a browser does it, and once with a password that is wrong.
    func logIn(_ name: String) async throws {
        let terminal = PseudoTerminal(
            Program.claviger, ["login", name, "--no-browser"], environment: environment, output: home.file("out"))
        let screen = try await terminal.expect("code_challenge_method=S256")
        let line = try #require(screen.split(whereSeparator: \.isNewline).first { $0.contains("response_type=code") })
        let session = URLSession(configuration: .ephemeral)
        let (form, _) = try await session.data(from: try #require(URL(string: String(line.drop { $0 != "h" }))))
        let page = String(decoding: form, as: UTF8.self)
        let hidden = try #require(page.firstMatch(of: #/name="token" value="([^"]+)"/#), "\(page)").1
        func send(password: String) async throws -> (String, Int?) {
            var request = URLRequest(url: URL(string: server.address + "/verify/user")!)
            request.httpMethod = "POST"
            request.httpBody = Data("username=made-up-user&password=\(password)&token=\(hidden)".utf8)
            let (data, response) = try await session.data(for: request)
            return (String(decoding: data, as: UTF8.self), (response as? HTTPURLResponse)?.statusCode)
        }
        #expect(try await send(password: "wrong").1 == 403)
        #expect(try await send(password: "made-up-password").0.contains("Logged in"))
        try #require(await terminal.wait() == 0)
    }

    /// New tokens come, the server welcomes them, introspection says so, and after the revocation neither does.
    func live(_ name: String, introspects: Bool = true) async throws {
        let first = try await token(name)
        try #require(try await server.isAccepted(first))
        try await server.request("POST", "/expire")
        try #require(try await server.isAccepted(first) == false)
        let second = try await token(name, "--rejected")
        try #require(try await server.isAccepted(second))
        if introspects {
            let checked = await run(["check", name])
            try #require(checked.status == 0, "\(checked.errors)")
        }
        let revoked = await run(["revoke", name])
        try #require(revoked.status == 0, "\(revoked.errors)")
        try #require(try await server.isAccepted(second) == false)
    }
}

@Suite(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"), .timeLimit(.minutes(3)))
struct IdpyTests {
    private static let name = "idpyoidc"

    private func record(_ grant: String, _ auth: String) {
        Proven.record(grant: grant, clientAuth: auth, server: Self.name)
    }

    @Test(arguments: ["basic", "post", "private-key-jwt", "client-secret-jwt"])
    func `client credentials live, with a token type that is no type`(auth: String) async throws {
        let idpy = try await IdpyServer()
        try await idpy.add("a", grant: "client-credentials", auth: auth)
        // RFC 6749 section 7.1 knows no type of this name; the server takes it as a bearer token.
        #expect(try await idpy.token("a", "--format", "header").hasPrefix("Authorization: Bearer "))
        try await idpy.live("a")
        record("client-credentials", auth)
    }

    /// With PKCE, `state`, and an ID token that is checked; then refresh tokens that rotate.
    @Test(arguments: ["basic", "post", "none", "private-key-jwt", "client-secret-jwt"])
    func `a login by the servers own page`(auth: String) async throws {
        let idpy = try await IdpyServer()
        try await idpy.add(
            "a", grant: "authorization-code", auth: auth, "--scope", "openid offline_access", "--authorization-param",
            "prompt=consent", "--redirect-uri", try await idpy.server.request("GET", "/redirect").body)
        try await idpy.logIn("a")
        for _ in 0..<5 { _ = try await idpy.token("a", "--fresh") }
        let identity = try await idpy.token("a", "--format", "id-token")
        #expect(identity.split(separator: ".").count == 3)
        #expect(try await idpy.token("a", "--field", "id_token") == identity)
        // A client without a secret may ask about no token here.
        try await idpy.live("a", introspects: auth != "none")
        #expect(await idpy.run(["token", "a"]).status == 77)
        record("authorization-code", auth)
        record("refresh-token", auth)
    }

    /// It can be read what is registered, and not changed: then a person does that. Clients with a secret it fails to register
    /// (a KeyError of its own), and says so with a word that is not one of RFC 7591's.
    @Test func `a client registers itself, and logs in`() async throws {
        let auth = "private-key-jwt"
        let idpy = try await IdpyServer()
        let added = await idpy.run([
            "add", "a", "--register", "--issuer", idpy.server.address, "--grant", "authorization-code", "--client-auth", auth,
            "--scope", "openid offline_access", "--authorization-param", "prompt=consent", "--redirect-uri",
            try await idpy.server.request("GET", "/redirect").body,
            "--assertion-audience", "{endpoint}",
        ])
        try #require(added.status == 0, "\(added.errors)")
        try await idpy.logIn("a")
        _ = try await idpy.token("a", "--fresh")
        let rotated = await idpy.run(["rotate", "a", "--via-registration"])
        #expect(rotated.status == 78 && rotated.errors.contains("does not offer that"), "\(rotated.errors)")
        _ = try await idpy.token("a", "--fresh")
        let secret = await idpy.run([
            "add", "b", "--register", "--issuer", idpy.server.address, "--client-auth", "basic", "--grant", "client-credentials",
        ])
        #expect(secret.status == 77 && secret.errors.contains("refuses the registration (status 400)"), "\(secret.errors)")
        #expect(await idpy.run(["list"]).output.split(separator: "\n").count == 2)
    }

    /// idpyoidc compares the secret in the body itself, and so has only clients that send it there.
    @Test func `a user and a password`() async throws {
        let idpy = try await IdpyServer()
        try await idpy.server.request("POST", "/without-pkce")
        let password = idpy.home.write("password", "made-up-password")
        try await idpy.add("a", grant: "password", auth: "post", "--username", "made-up-user", "--password-file", password)
        try await idpy.live("a")
        record("password", "post")
    }

    @Test(arguments: ["basic", "post", "private-key-jwt", "client-secret-jwt"])
    func `the token of a login is exchanged`(auth: String) async throws {
        let idpy = try await IdpyServer()
        try await idpy.add(
            "wide", grant: "authorization-code", auth: auth, "--scope", "openid offline_access", "--authorization-param",
            "prompt=consent", "--redirect-uri", try await idpy.server.request("GET", "/redirect").body)
        try await idpy.logIn("wide")
        try await idpy.add("a", grant: "token-exchange", auth: auth, "--subject", "wide", "--scope", "openid")
        let exchanged = try await idpy.token("a")
        #expect(try await exchanged != idpy.token("wide"))
        try #require(try await idpy.server.isAccepted(exchanged))
        record("token-exchange", auth)
    }

    /// The metadata names every way that the server has; the client is registered for one.
    @Test(arguments: [
        ("client_secret_post", "takes it with post"), ("client_secret_basic", ""),
    ])
    func `add finds the way that a client is registered for`(client: String, note: String) async throws {
        let idpy = try await IdpyServer()
        let added = await idpy.run([
            "add", "a", "--issuer", idpy.server.address, "--client-id", client, "--secret-file", idpy.secret,
        ])
        #expect(added.status == 0, "\(added.errors)")
        #expect(added.errors.contains("takes it with") == !note.isEmpty && (note.isEmpty || added.errors.contains(note)))
        #expect(try await idpy.server.isAccepted(idpy.token("a")))
    }

    /// What the metadata names is not guessed at: the form is the person's to choose.
    @Test func `a server that does not decode Basic is named as one`() async throws {
        let idpy = try await IdpyServer()
        let add = [
            "add", "a", "--issuer", idpy.server.address, "--client-id", "made-up/id+%41", "--secret-file", idpy.secret,
        ]
        let refused = await idpy.run(add)
        #expect(refused.status != 0 && refused.errors.contains("try --client-auth basic-raw"), "\(refused.errors)")
        let added = await idpy.run(add + ["--client-auth", "basic-raw"])
        #expect(added.status == 0, "\(added.errors)")
        #expect(try await idpy.server.isAccepted(idpy.token("a")))
    }

    /// It answers a wrong secret with 400 and `invalid_request`.
    @Test func `where no way works, the first refusal is told and nothing is stored`() async throws {
        let idpy = try await IdpyServer()
        let added = await idpy.run([
            "add", "a", "--issuer", idpy.server.address, "--client-id", "client_secret_basic", "--secret-file",
            idpy.home.write("wrong", "made-up-wrong"),
        ])
        #expect(added.status != 0 && added.errors.contains("the server refuses the request (invalid_request)"), "\(added.errors)")
        #expect(await idpy.run(["list"]).errors.contains("the vault is empty"))
    }

    /// A refresh token that is dead is `invalid_request` here; the settings say what it means.
    @Test func `an ended login is known by the servers own words`() async throws {
        let idpy = try await IdpyServer()
        try await idpy.add(
            "a", grant: "authorization-code", auth: "basic", "--scope", "openid offline_access", "--authorization-param",
            "prompt=consent", "--answer", "login_ended=Refresh token inactive", "--redirect-uri",
            try await idpy.server.request("GET", "/redirect").body)
        try await idpy.logIn("a")
        try await idpy.server.request("POST", "/end")
        let refused = await idpy.run(["token", "a", "--fresh"])
        #expect(refused.status == 77 && refused.errors.contains("claviger login a"), "\(refused.errors)")
    }
}
