import Foundation
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct ExecTests {
    private func fixture() async throws -> (CommandFixture, PracticeServer, token: String) {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server, "torq-eu")
        _ = try await fixture.addTorq(server, "2nd")
        let token = await fixture.run("token", "torq-eu").output.trimmingCharacters(in: .newlines)
        return (fixture, server, token)
    }

    @Test func aCommandHasTheTokensAndNothingElseOfOurs() async throws {
        let (fixture, server, token) = try await fixture()
        defer { withExtendedLifetime(server) {} }
        let result = await fixture.run(
            "exec", "torq-eu", "2nd", "--env", "MINE=torq-eu", "--", "/bin/sh", "-c",
            #"echo "$MINE ${#_2ND_ACCESS_TOKEN}"; env | grep -c ^CLAVIGER; umask; ulimit -c; ls /proc/self/fd | wc -l"#)
        let shell = await Program.run("/bin/sh", ["-c", "umask; ulimit -c"])
        let lines = result.output.split(separator: "\n").map(String.init)
        #expect(lines.first == "\(token) 36", "\(result.errors)")
        #expect(lines[1] == "0")
        #expect(Array(lines[2...3]) == shell.output.split(separator: "\n").map(String.init))
        // The three streams, and what ls itself opens.
        #expect(lines[4] == "4")
    }

    @Test func itEndsAsTheCommandDoes() async throws {
        let (fixture, server, _) = try await fixture()
        defer { withExtendedLifetime(server) {} }
        #expect(await fixture.run("exec", "torq-eu", "--", "/bin/sh", "-c", "exit 42").status == 42)
        #expect(await fixture.run("exec", "torq-eu", "--", "/bin/sh", "-c", "kill -TERM $$").status == 128 + SIGTERM)
        #expect(await fixture.run("exec", "torq-eu", "--", "/bin/sh", "-c", "kill -PIPE $$").status == 128 + SIGPIPE)
        #expect(await fixture.run("exec", "torq-eu", "--", "/bin/sh", "-c", "echo $0", "--version").output == "--version\n")
        #expect(await fixture.run("exec", "torq-eu", "--", "/bin/cat", input: "through").output == "through")
    }

    @Test func whatCannotBeRunIsSaid() async throws {
        let (fixture, server, token) = try await fixture()
        defer { withExtendedLifetime(server) {} }
        #expect(await fixture.run("exec", "torq-eu", "--", "made-up-command").refuses(127, "cannot run made-up-command"))
        #expect(await fixture.run("exec", "torq-eu", "--", "/dev/null").refuses(126, "cannot run /dev/null"))
        #expect(await fixture.run("exec", "torq-eu").refuses(64, "no command was given"))
        #expect(await fixture.run("exec", "--", "true").refuses(64, "no credential was named"))
        #expect(await fixture.run("exec", "nobody", "--", "/bin/sh", "-c", "echo ran").refuses(66, "no credential “nobody”"))
        for variable in ["X", "=torq-eu", "1X=torq-eu", "A-B=torq-eu"] {
            #expect(await fixture.run("exec", "--env", variable, "--", "true").refuses(64, "--env takes VARIABLE=NAME"))
        }
        let twice = await fixture.run("exec", "--env", "X=torq-eu", "--env", "X=2nd", "--", "true")
        #expect(twice.refuses(64, "wanted twice") && !twice.errors.contains(token))
    }

    /// With an agent it is the thin front that becomes the command: there is no core beside this one.
    @Test func theThinFrontNeedsNoCoreToRunACommand() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        let alone = home.fixture.folder.file("claviger")
        try FileManager.default.copyItem(atPath: Program.claviger, toPath: alone)
        let token = await home.run("token", "torq").output
        let script = #"echo "$TORQ_ACCESS_TOKEN"; env | grep -c ^CLAVIGER; exit 42"#
        let result = await Program.run(alone, ["exec", "torq", "--", "/bin/sh", "-c", script], environment: home.caller)
        #expect(result.status == 42 && result.output == token + "0\n", "\(result.errors)")
        // What it does not know is the core's; and so is what can't be run, and a credential that is not there.
        for words in [["--env", "X=torq"], ["--min-ttl", "1", "torq"]] {
            #expect(await Program.run(alone, ["exec"] + words + ["--", "true"], environment: home.caller).status == 78)
        }
        #expect(await home.run("exec", "torq", "--", "made-up-command").refuses(127, "cannot run made-up-command"))
        #expect(await home.run("exec", "torq", "nobody", "--", "true").refuses(66, "no credential “nobody”"))
        #expect(await home.run("exec", "torq", "torq", "--", "true").refuses(64, "wanted twice"))
        #expect(await home.run("exec", "torq", "--").refuses(64, "no command was given"))
    }

    /// A file's name may be any bytes: for the thin front, and for the core.
    @Test func anArgumentThatIsNoUTF8() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        let command = #"-- /bin/sh -c 'printf %s "$0" | od -An -tx1' "$(printf 'a\377\303')""#
        for options in ["torq", "torq --env X=torq"] {
            let script = "exec '\(Program.claviger)' exec \(options) \(command)"
            let result = await Program.run("/bin/sh", ["-c", script], environment: home.caller)
            #expect(result.output == " 61 ff c3\n", "\(options): \(result.errors)")
        }
        let name = await Program.run(
            "/bin/sh", ["-c", #"exec '\#(Program.claviger)' token "$(printf '\377')""#], environment: home.caller)
        #expect(name.status == 64 && name.output.isEmpty, "\(name.errors)")
    }

    @Test func curlHasTheTokenOnAPipe() async throws {
        let (fixture, server, token) = try await fixture()
        let welcome = await fixture.run("curl", "torq-eu", server.address + "/api", "--silent", "--show-error")
        #expect(welcome.status == 0 && welcome.output.contains("welcome"), "\(welcome.errors)")
        // A curl of our own shows what it was given.
        let folder = TemporaryFolder()
        chmod(folder.write("curl", "#!/bin/sh\necho \"$@\"; cat \"$2\"; env | grep -c ^CLAVIGER\n"), 0o700)
        let environment = fixture.environment.merging(["PATH": folder.path + ":/usr/bin:/bin"]) { $1 }
        let seen = await fixture.run("curl", "torq-eu", "https://api.example/x", "-d", "a b", environment: environment)
        let lines = seen.output.split(separator: "\n").map(String.init)
        #expect(lines.first.map { $0.hasPrefix("--config /dev/fd/") && $0.hasSuffix("https://api.example/x -d a b") } == true)
        #expect(!lines[0].contains(token))
        #expect(lines[1] == "header = \"Authorization: Bearer \(token)\"")
        #expect(lines[2] == "0")
        // Options of ours stand before the name, and those behind the address are curl's, whatever they are called.
        let vault = fixture.folder.file("elsewhere")
        try FileManager.default.copyItem(atPath: fixture.vault, toPath: vault)
        for words in [["curl", "--vault", vault], ["--vault", vault, "curl"]] {
            let all = words + ["torq-eu", "https://api.example/x", "--vault", "y"]
            let result = await Program.run(Program.claviger, all, environment: environment)
            #expect(result.output.contains("https://api.example/x --vault y\n"), "\(result.errors)")
        }
        #expect(FileManager.default.fileExists(atPath: vault + ".log"))
        #expect(await fixture.run("curl", "torq-eu", "http://api.example/x").refuses(64, "in the clear"))
        #expect(await fixture.run("curl", "torq-eu", "--silent").status == 64)
    }

    /// More than a pipe takes without a reader, and with characters that are escaped.
    @Test func `curl gets a token of a hundred thousand bytes`() async throws {
        let (fixture, server, _) = try await fixture()
        let token = String(repeating: "\\", count: 100_000)
        try await server.fail(#"{"body":"{\"access_token\":\"\#(token.replacing("\\", with: #"\\\\"#))\"}"}"#)
        #expect(await fixture.run("token", "torq-eu", "--rejected").output == token + "\n")
        let folder = TemporaryFolder()
        chmod(folder.write("curl", "#!/bin/sh\nwc -c < \"$2\"\n"), 0o700)
        let environment = fixture.environment.merging(["PATH": folder.path + ":/usr/bin:/bin"]) { $1 }
        let seen = await fixture.run("curl", "torq-eu", "https://api.example/x", environment: environment)
        #expect(seen.output == "\(2 * token.utf8.count + "header = \"Authorization: Bearer \"\n".utf8.count)\n", "\(seen.errors)")
    }

    @Test func everyFormat() async throws {
        let (fixture, server, token) = try await fixture()
        defer { withExtendedLifetime(server) {} }
        let expected = [
            "raw": token, "header": "Authorization: Bearer \(token)",
            "headers-json": "{\n  \"Authorization\" : \"Bearer \(token)\"\n}",
            "curl": "header = \"Authorization: Bearer \(token)\"", "netrc": "default login oauth2 password \(token)",
            "env": "export TORQ_EU_ACCESS_TOKEN='\(token)'",
        ]
        for (format, text) in expected {
            #expect(await fixture.run("token", "torq-eu", "--format", format).output == text + "\n", "\(format)")
        }
        let shell = "eval \"$('\(Program.claviger)' token torq-eu --format env)\"; echo \"$TORQ_EU_ACCESS_TOKEN\""
        #expect(await Program.run("/bin/sh", ["-c", shell], environment: fixture.environment).output == token + "\n")
    }
}
