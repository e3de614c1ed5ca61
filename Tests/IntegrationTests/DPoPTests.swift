import Foundation
import TestSupport
import Testing

/// Tokens that are bound to a key (RFC 9449), with proofs that a library of another language checks.
@Suite(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"), .timeLimit(.minutes(3)))
struct DPoPTests {
    private struct Fixture {
        let folder = TemporaryFolder()
        let server: PracticeServer
        var environment: [String: String] {
            [
                "HOME": folder.path, "CLAVIGER_KEY_FILE": folder.file("key"), "CLAVIGER_SOCKET": folder.file("a.sock"),
                "PATH": "/usr/bin:/bin",
            ]
        }

        init() async throws {
            server = try await PracticeServer(program: Python.program, arguments: [Python.script("dpop_server.py")])
            try #require(await run("init").status == 0)
        }

        func run(_ arguments: String..., input: String? = nil) async -> ProgramResult {
            await Program.run(Program.claviger, arguments, environment: environment, input: input)
        }

        /// Adds the credential `a`, whose tokens are bound.
        func add(_ arguments: String...) async throws {
            let added = await Program.run(
                Program.claviger,
                [
                    "add", "a", "--client-id", "me", "--dpop", "--token-url", server.address + "/token", "--api-url",
                    server.address + "/api",
                ]
                    + (arguments.contains("--grant") ? [] : ["--secret-file", folder.write("secret", "made-up-secret")])
                    + arguments,
                environment: environment)
            try #require(added.status == 0, "\(added.errors)")
        }

        func state() async throws -> [String: Any] {
            let text = try await server.request("GET", "/state").body
            return try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        }

        func count(_ name: String) async throws -> Int? { try await state()[name] as? Int }
        func wantOtherNonces() async throws { try await server.request("POST", "/admin/nonces") }

        /// The two headers for a request.
        func headers(_ method: String, _ path: String, _ more: String...) async throws -> [String: String] {
            let result = await Program.run(
                Program.claviger,
                ["token", "a", "--format", "dpop", "--method", method, "--url", server.address + path] + more,
                environment: environment)
            try #require(result.status == 0 && result.errors.isEmpty, "\(result.errors)")
            let lines = result.output.split(separator: "\n").map { $0.components(separatedBy: ": ") }
            #expect(lines.map { $0[0] } == ["Authorization", "DPoP"])
            return Dictionary(lines.map { ($0[0], $0[1]) }) { $1 }
        }
    }

    @Test func `a proof is good for one request to one address`() async throws {
        let fixture = try await Fixture()
        try await fixture.add()
        let headers = try await fixture.headers("GET", "/api/x?page=2")
        #expect(headers["Authorization"]?.hasPrefix("DPoP ") == true)
        #expect(try await fixture.server.request("POST", "/api/x", headers: headers).status == 401)
        #expect(try await fixture.server.request("GET", "/api/y", headers: headers).status == 401)
        #expect(try await fixture.server.request("GET", "/api/x?page=2", headers: headers).status == 200)
        #expect(try await fixture.server.request("GET", "/api/x?page=2", headers: headers).status == 401)
        #expect(try await fixture.count("issued") == 1)
        // The key is nowhere but in the vault, and no command shows it.
        let shown = await fixture.run("show", "a", "--json")
        #expect(shown.output.contains(#""dpop" : true"#) && !shown.output.contains("PRIVATE"))
        #expect(fixture.folder.filesHolding("PRIVATE KEY") == [])
    }

    @Test func `a nonce that the token endpoint wants costs no refusal, and is remembered`() async throws {
        let fixture = try await Fixture()
        try await fixture.wantOtherNonces()
        try await fixture.add()
        #expect(try await fixture.count("token_requests") == 2)
        #expect(await fixture.run("unlock").status == 0)
        defer { Task { [fixture] in _ = await fixture.run("agent", "stop") } }
        #expect(await fixture.run("token", "a", "--fresh", "--format", "json").status == 0)
        #expect(await fixture.run("token", "a", "--fresh", "--format", "json").status == 0)
        // The agent asked for the nonce once.
        #expect(try await fixture.count("token_requests") == 5)
        #expect(try await fixture.count("issued") == 3)
        let shown = await fixture.run("show", "a", "--json")
        #expect(!shown.output.contains("refused"))
        #expect(await fixture.run("agent", "stop").status == 0)
    }

    @Test func `a refresh token is spent with the key that it is bound to, nonce or not`() async throws {
        let fixture = try await Fixture()
        let file = fixture.folder.write("refresh", "made-up-refresh")
        try await fixture.add("--grant", "refresh-token", "--client-auth", "none", "--refresh-token-file", file)
        try await fixture.wantOtherNonces()
        for _ in 0..<2 { #expect(await fixture.run("token", "a", "--fresh", "--format", "json").status == 0) }
        #expect((try await fixture.state()["keys"] as? [String])?.count == 1)
        // What the server says of the login's end is kept.
        let shown = await fixture.run("show", "a", "--json").output
        #expect(shown.contains("\"login_expires\"") && shown.contains("\"refresh_by\""))
        #expect(await fixture.run("show", "a").output.contains("ends if not used"))
        #expect(
            try await fixture.server.request("GET", "/api/x", headers: try await fixture.headers("GET", "/api/x")).status == 401)
        Proven.record(grant: "refresh-token", clientAuth: "none", server: "jwcrypto")
    }

    @Test func `with the nonce of the API a proof is taken`() async throws {
        let fixture = try await Fixture()
        try await fixture.add()
        try await fixture.wantOtherNonces()
        let probe = await Program.run(
            "/usr/bin/curl",
            ["-s", "-D", "-", "-o", "/dev/null", "-H", "Authorization: DPoP made-up", fixture.server.address + "/api/x"])
        let line = probe.output.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix("dpop-nonce: ") }
        let nonce = String(try #require(line).dropFirst("dpop-nonce: ".count))
        let headers = try await fixture.headers("GET", "/api/x", "--nonce", nonce)
        #expect(try await fixture.server.request("GET", "/api/x", headers: headers).status == 200)
    }

    @Test func `a token that is bound without our asking is refused, and so is one that is not bound though we ask`() async throws
    {
        let fixture = try await Fixture()
        let secret = fixture.folder.write("secret", "made-up-secret")
        let plain = await fixture.run(
            "add", "b", "--client-id", "me", "--token-url", fixture.server.address + "/token", "--secret-file", secret)
        #expect(plain.status != 0 && plain.errors.contains("--dpop"), "\(plain.errors)")
        let bearer = await fixture.run(
            "add", "b", "--client-id", "me", "--dpop", "--token-url", fixture.server.address + "/bearer", "--secret-file", secret)
        #expect(bearer.status == 69 && bearer.errors.contains("is not bound to the credential's key"), "\(bearer.errors)")
    }

    @Test(arguments: [false, true])
    func `a bound token is not printed without a word`(_ hasAgent: Bool) async throws {
        let fixture = try await Fixture()
        try await fixture.add()
        if hasAgent { #expect(await fixture.run("unlock").status == 0) }
        for format in ["raw", "header", "env", "curl"] {
            let result = await fixture.run("token", "a", "--format", format)
            #expect(result.status == 0 && result.errors.contains("is bound to a key"), "\(format): \(result.errors)")
        }
        let json = await fixture.run("token", "a", "--format", "json")
        #expect(json.errors.isEmpty && json.output.contains(#""token_type" : "DPoP""#), "\(json.errors)")
        let job = await fixture.run("exec", "a", "--", "/bin/sh", "-c", "test -n \"$A_ACCESS_TOKEN\"")
        #expect(job.status == 0 && job.errors.contains("claviger exec --proxy"), "\(job.errors)")
        if hasAgent { #expect(await fixture.run("agent", "stop").status == 0) }
    }

    @Test(arguments: [false, true])
    func `the proxy proves each request, with the nonce that the API wants`(_ hasAgent: Bool) async throws {
        let fixture = try await Fixture()
        try await fixture.add()
        if hasAgent { #expect(await fixture.run("unlock").status == 0) }
        try await fixture.wantOtherNonces()
        let script = #"curl -s "$A_BASE_URL/x?p=1" && curl -s -d made-up "$A_BASE_URL/y""#
        let job = await fixture.run("exec", "--proxy", "a", "--", "/bin/sh", "-c", script)
        #expect(job.status == 0 && job.errors.isEmpty, "\(job.errors)")
        #expect(job.output.contains(#""path": "/api/x?p=1""#) && job.output.contains(#""body": "made-up""#), "\(job.output)")
        #expect(try await fixture.count("nonces_wanted") == 1)
        if hasAgent { #expect(await fixture.run("agent", "stop").status == 0) }
    }

    @Test func `curl proves each of its requests`() async throws {
        let fixture = try await Fixture()
        try await fixture.add()
        try await fixture.wantOtherNonces()
        let posted = await fixture.run("curl", "a", fixture.server.address + "/api/x?p=1", "--silent", "--data", "made-up")
        #expect(posted.status == 0 && posted.output.contains(#""method": "POST""#), "\(posted.errors)")
        #expect(posted.output.contains(#""path": "/api/x?p=1""#) && posted.output.contains(#""body": "made-up""#))
        #expect(try await fixture.count("nonces_wanted") == 1)
        // Its exit status is curl's.
        let failed = await fixture.run("curl", "a", fixture.server.address + "/token", "--silent", "--fail")
        #expect(failed.status == 22, "\(failed.errors)")
    }

    @Test func `binding is turned on and off for a credential that is there`() async throws {
        let fixture = try await Fixture()
        try await fixture.add()
        // The server gives no other tokens than bound ones.
        #expect(await fixture.run("edit", "a", "--clear", "dpop", "--no-verify").status == 0)
        let unbound = await fixture.run("token", "a", "--format", "dpop", "--method", "GET", "--url", fixture.server.address)
        #expect(unbound.status != 0 && unbound.errors.contains("--dpop"), "\(unbound.errors)")
        let edited = await fixture.run("edit", "a", "--dpop")
        #expect(edited.status == 0, "\(edited.errors)")
        #expect(
            try await fixture.server.request("GET", "/api/x", headers: try await fixture.headers("GET", "/api/x")).status == 200)
        // A key that was thrown away does not come back.
        #expect((try await fixture.state()["keys"] as? [String])?.count == 2)
    }

    @Test(arguments: [
        ["--format", "dpop"], ["--format", "dpop", "--method", "GET"], ["--method", "GET"], ["--nonce", "x"],
        ["--format", "dpop", "--method", "G T", "--url", "https://made-up.example"],
        ["--format", "dpop", "--method", "GET", "--url", "http://made-up.example"],
    ])
    func `a proof is for a method and an address`(_ words: [String]) async throws {
        let fixture = try await Fixture()
        let result = await Program.run(Program.claviger, ["token", "a"] + words, environment: fixture.environment)
        #expect(result.status == 64, "\(result.errors)")
    }

    /// RFC 9449 section 10: a code is of no use without the key that the login's request names.
    @Test func `a login's request names the key that its tokens are bound to`() async throws {
        let fixture = try await Fixture()
        try await fixture.add(
            "--grant", "authorization-code", "--client-auth", "none", "--authorization-url",
            fixture.server.address + "/authorize",
            "--redirect-uri", "https://127.0.0.1")
        let terminal = PseudoTerminal(
            Program.claviger, ["login", "a", "--paste"], environment: fixture.environment, output: fixture.folder.file("out"))
        let shown = try await terminal.expect("is what is wanted")
        let thumbprint = try #require(shown.firstMatch(of: /dpop_jkt=([A-Za-z0-9_-]{43})/), "\(shown)").output.1
        let state = try #require(shown.firstMatch(of: /state=([^& ]+)/)).output.1
        terminal.type("https://127.0.0.1/?code=made-up&state=\(state)\n")
        _ = await terminal.wait()
        #expect(try await fixture.state()["keys"] as? [String] == [String(thumbprint)])
    }
}
