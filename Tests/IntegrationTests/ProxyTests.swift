import Foundation
import TestSupport
import Testing

/// `exec --proxy` with Python's HTTP on both sides of it.
@Suite(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"), .timeLimit(.minutes(3)))
struct ProxyTests {
    private struct Fixture {
        let folder = TemporaryFolder()
        let certificates: Certificates
        let server: PracticeServer
        let api: PracticeServer
        var environment: [String: String] {
            ["HOME": folder.path, "CLAVIGER_KEY_FILE": folder.file("key"), "CLAVIGER_SOCKET": folder.file("a.sock")]
        }

        init() async throws {
            certificates = try await Certificates()
            server = try await PracticeServer()
            api = try await PracticeServer(
                program: Python.program, arguments: [Python.script("api_server.py")] + certificates.pair("good"))
            try #require(await run("init").status == 0)
            let added = await run(
                "add", "api", "--provider", "torq", "--token-url", server.address + "/torq/v1/auth/token", "--api-url",
                api.address + "/v1", "--ca-file", certificates.authority, "--from-json", "-",
                input: try await server.newKeys("torq").json)
            try #require(added.status == 0, "\(added.errors)")
        }

        func run(_ arguments: String..., input: String? = nil, as environment: [String: String]? = nil) async -> ProgramResult {
            await Program.run(Program.claviger, arguments, environment: environment ?? self.environment, input: input)
        }
    }

    @Test(arguments: [false, true])
    func aJobThatNeverHasAToken(_ throughAnAgent: Bool) async throws {
        let fixture = try await Fixture()
        var caller = fixture.environment
        if throughAnAgent {
            try #require(await fixture.run("unlock").status == 0)
            // Who has no key gets the proxy's tokens from the agent.
            caller["CLAVIGER_KEY_FILE"] = nil
        }
        let job = await fixture.run("exec", "--proxy", "api", "--", Python.program, Python.script("api_client.py"), as: caller)
        #expect(job.status == 0, "\(job.output) \(job.errors)")
        #expect(job.output == "\n" && job.errors.isEmpty)
        if throughAnAgent { #expect(await fixture.run("agent", "stop").status == 0) }
    }

    /// `--presentation`, for an API that wants its token elsewhere.
    @Test func `a token goes where the API wants it`() async throws {
        let fixture = try await Fixture()
        func call(_ presentation: String) async throws -> (document: [String: Any], link: String) {
            let edited = await fixture.run("edit", "api", "--no-verify", "--presentation", presentation)
            try #require(edited.status == 0, "\(edited.errors)")
            let script =
                #"curl -s -D "$HOME/head" -H 'X-Key: mine' "$API_BASE_URL/echo?a=b"; echo; grep -i '^link:' "$HOME/head""#
            let job = await fixture.run("exec", "--proxy", "api", "--", "/bin/sh", "-c", script)
            let lines = job.output.split(separator: "\n").map(String.init)
            let document = try JSONSerialization.jsonObject(with: Data((lines.first ?? "").utf8)) as? [String: Any]
            return (try #require(document), lines.last ?? "")
        }
        let header = try await call("X-Key: k={token};v=1")
        let token = await fixture.run("token", "api").output.trimmingCharacters(in: .newlines)
        #expect(header.document["key"] as? String == "k=\(token);v=1" && header.document["path"] as? String == "/v1/echo?a=b")
        #expect((header.document["headers"] as? [String])?.contains("authorization") == false)
        let query = try await call("?key={token}")
        #expect(query.document["key"] as? String == "mine" && query.document["path"] as? String == "/v1/echo?a=b&key=\(token)")
        // The address that the server repeats leads back to the proxy, which adds the token again.
        #expect(query.link.contains("/echo?page=2&a=b&key=>") && !query.link.contains(token))
        #expect(await fixture.run("token", "api", "--format", "curl").output == "url-query = \"key=\(token)\"\n")
        #expect(await fixture.run("token", "api", "--format", "header").refuses(64, "as the parameter key of the query"))
        // An agent says the same.
        try #require(await fixture.run("unlock").status == 0)
        #expect(await fixture.run("token", "api", "--format", "header").refuses(64, "as the parameter key of the query"))
        #expect(await fixture.run("token", "api", "--format", "curl").output == "url-query = \"key=\(token)\"\n")
        #expect(try await call("X-Key: {token}").document["key"] as? String == token)
        #expect(await fixture.run("token", "api", "--format", "header").output == "X-Key: \(token)\n")
        #expect(await fixture.run("agent", "stop").status == 0)
    }

    @Test func itLivesAsLongAsTheCommand() async throws {
        let fixture = try await Fixture()
        let script = "echo $API_BASE_URL $$; kill -KILL $$"
        let job = await fixture.run("exec", "--proxy", "api", "--", "/bin/sh", "-c", script)
        #expect(job.status == 128 + SIGKILL)
        let address = try #require(job.output.split(separator: " ").first.map(String.init))
        let port = try #require(address.split(separator: ":").last?.split(separator: "/").first.map(String.init))
        #expect(
            try await eventually {
                await Program.run("/usr/bin/curl", ["-s", "http://127.0.0.1:\(port)/"]).status == 7
            })
        // Whoever waits for all of its children is not kept waiting by the proxy, which is none.
        let waiting =
            #"import os; os.fork() or os._exit(0); os.wait()\#ntry: os.wait()\#nexcept ChildProcessError: print("none")"#
        #expect(await fixture.run("exec", "--proxy", "api", "--", Python.program, "-c", waiting).output == "none\n")
        #expect(await fixture.run("exec", "--proxy", "api", "--", "/bin/sh", "-c", "exit 42").status == 42)
        #expect(
            await fixture.run("exec", "--proxy", "api", "--env", "MINE=api", "--", "/usr/bin/env").output.contains(
                "MINE=http://127"))
    }

    @Test func whatIsMissingIsSaidBeforeTheCommandRuns() async throws {
        let fixture = try await Fixture()
        let command = ["--", "/bin/echo", "ran"]
        func exec(_ arguments: String..., as environment: [String: String]? = nil) async -> ProgramResult {
            await Program.run(Program.claviger, ["exec"] + arguments + command, environment: environment ?? fixture.environment)
        }
        #expect(await exec("--proxy", "nobody").refuses(66, "no credential “nobody”"))
        #expect(await exec("--proxy", "api", as: ["HOME": fixture.folder.path]).refuses(77, "the vault is locked"))
        try await fixture.server.fail(#"{"status":401,"body":"{\"error\":\"invalid_client\"}"}"#)
        _ = await fixture.run("revoke", "api")
        #expect(await exec("--proxy", "api").refuses(77, "invalid_client"))
        #expect(await fixture.run("edit", "api", "--api-url", "http://api.example.com").refuses(64, "--api-url"))
        #expect(await fixture.run("edit", "api", "--api-url", "https://api.example.com/?a=b").refuses(64, "can't have a query"))
        #expect(await fixture.run("edit", "api", "--clear", "api-url").status == 0)
        #expect(await exec("--proxy", "api").refuses(78, "the credential “api” has no address of an API"))
    }

    /// In the answer's title, where the command sees it.
    @Test(arguments: [
        ("https://127.0.0.1:1", "cannot reach 127.0.0.1: the connection was refused"),
        ("https://no-such-host.invalid", "cannot reach no-such-host.invalid: no such host is known"),
    ])
    func `an API that can't be reached is named`(_ address: String, _ words: String) async throws {
        let fixture = try await Fixture()
        try #require(await fixture.run("edit", "api", "--api-url", address).status == 0)
        #expect(await title(fixture) == "502 api: " + words)
    }

    @Test func `a certificate that is not trusted is named`() async throws {
        let fixture = try await Fixture()
        try #require(await fixture.run("edit", "api", "--clear", "ca-file").status == 0)
        #expect(
            await title(fixture)
                == "502 api: the certificate of 127.0.0.1 is refused: its authority is not trusted here")
    }

    /// It has a token that is good for an hour.
    @Test func `a running proxy refuses from the second on in which its credential is blocked`() async throws {
        let fixture = try await Fixture()
        let script = """
            call() { curl -s -o /dev/null -w '%{http_code}\n' "$API_BASE_URL/echo"; }
            call; "$0" block api 2>/dev/null; until [ "$(call)" = 403 ]; do sleep 0.1; done; call
            "$0" unblock api 2>/dev/null; until [ "$(call)" = 200 ]; do sleep 0.1; done; call
            """
        let variables = fixture.environment.map { "\($0)='\($1)' " }.joined()
        let job = await fixture.run(
            "exec", "--proxy", "api", "--", "/bin/sh", "-c",
            script.replacing("\"$0\"", with: "env \(variables) \(Program.claviger)"))
        #expect(job.output == "200\n403\n200\n", "\(job.errors)")
    }

    private func title(_ fixture: Fixture) async -> String {
        let script = #"curl -s -w '\n%{http_code}' "$API_BASE_URL/echo""#
        let lines = await fixture.run("exec", "--proxy", "api", "--", "/bin/sh", "-c", script).output.split(separator: "\n")
        let document = try? JSONSerialization.jsonObject(with: Data((lines.first ?? "").utf8)) as? [String: Any]
        return "\(lines.last ?? "") \(document?["title"] ?? "")"
    }

    /// Where nobody can tell whose a connection is, nobody is served.
    @Test func `without a way to tell users apart it does not start`() async throws {
        let fixture = try await Fixture()
        func run(_ options: String...) async -> ProgramResult {
            await Program.run(
                "/usr/bin/python3",
                [Python.script("without_netlink.py"), Program.core, "exec"] + options + ["api", "--", "/bin/echo", "ran"],
                environment: fixture.environment)
        }
        #expect(await run("--proxy").refuses(78, "cannot see whose connections come to the proxy: operation not permitted"))
        #expect(await run().output == "ran\n")
    }

    @Test func `other users of the proxy are named before the command runs`() async throws {
        let fixture = try await Fixture()
        func run(_ options: String...) async -> ProgramResult {
            await Program.run(
                Program.claviger, ["exec"] + options + ["api", "--", "/bin/echo", "ran"], environment: fixture.environment)
        }
        #expect(await run("--proxy", "--proxy-user", "no-such-user").refuses(66, "there is no user “no-such-user”"))
        #expect(await run("--proxy-user", "root").refuses(64, "--proxy-user is about --proxy"))
        #expect(await run("--proxy", "--proxy-user", "12345", "--proxy-user", "root").output == "ran\n")
    }
}
