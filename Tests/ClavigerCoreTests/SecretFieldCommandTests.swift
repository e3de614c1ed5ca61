import Foundation
import TestSupport
import Testing

/// Secret parameters and headers through the program, at a server that grants nothing without them.
@Suite(.timeLimit(.minutes(2))) struct SecretFieldCommandTests {
    /// The token is named after the values that came, without being them. A refresh token is replaced each time.
    private static let script = """
        import http.server, json, urllib.parse
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = dict(urllib.parse.parse_qsl(body))
                header, param = self.headers["X-Api-Key"] or "", form.get("api_key", "")
                good = header.startswith("canary-header-") and param.startswith("canary-param-")
                answer = {"error": "invalid_client"}
                if good:
                    answer = {"access_token": "t-" + header[14:] + param[13:], "expires_in": 3600}
                    if "refresh_token" in form:
                        answer["refresh_token"] = form["refresh_token"] + "x"
                self.send_response(200 if good else 401)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())
            def log_message(self, *_):
                pass
        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        print("http://127.0.0.1:%d" % server.server_port, flush=True)
        server.serve_forever()
        """

    private let server: PracticeServer
    private let fixture: CommandFixture

    init() async throws {
        server = try await PracticeServer(program: "/usr/bin/env", arguments: ["python3", "-c", Self.script])
        fixture = try await CommandFixture()
    }

    /// Runs a command with values from files that are gone afterwards.
    private func run(_ arguments: [String], header: String? = nil, param: String? = nil, input: String? = nil) async
        -> ProgramResult
    {
        let files = TemporaryFolder()
        let headerOption = header.map { ["--header-file", "X-Api-Key: " + files.write("header", $0)] } ?? []
        let paramOption = param.map { ["--param-file", "api_key=" + files.write("param", $0)] } ?? []
        return await Program.run(
            Program.claviger, arguments + headerOption + paramOption, environment: fixture.environment, input: input)
    }

    private func add(_ more: String..., header: String? = "canary-header-1", param: String? = "canary-param-1") async
        -> ProgramResult
    {
        let plain = ["add", "a", "--token-url", server.address, "--client-id", "x", "--secret-file", "-"]
        return await run(plain + more, header: header, param: param, input: "made-up")
    }

    private func token() async -> String {
        let result = await fixture.run("token", "a", "--fresh")
        return result.status == 0 ? result.output.trimmingCharacters(in: .newlines) : result.errors
    }

    @Test func `they are proven, sent, changed and cleared`() async throws {
        #expect(await add(header: nil).refuses(77, "invalid_client"))
        let added = await add()
        #expect(added.status == 0, "\(added.errors)")
        #expect(await token() == "t-11")
        #expect(await run(["edit", "a", "--header-file", "X-Api-Key: -"], input: "canary-header-2\n").status == 0)
        #expect(await token() == "t-21")
        #expect(await run(["edit", "a"], param: "canary-wrong").refuses(77, "invalid_client"))
        #expect(await run(["rotate", "a", "--client-id", "y", "--secret-file", "-"], input: "made-up-2").status == 0)
        #expect(await run(["rotate", "a", "--rollback"]).status == 0)
        #expect(await run(["rename", "a", "b"]).status == 0)
        #expect(await run(["rename", "b", "a"]).status == 0)
        #expect(await token() == "t-21")
        #expect(await run(["edit", "a", "--no-verify", "--clear", "header-file", "--clear", "param-file"]).status == 0)
        #expect(await token().contains("invalid_client"))
        let shown = try await fixture.show("a")
        #expect(shown["secret_headers"] == nil && shown["secret_params"] == nil)
    }

    /// With a login, it is the refresher that proves them: they come to it over the socket pair.
    @Test func `a refresher gets them`() async throws {
        let file = fixture.folder.write("refresh", "made-up-refresh")
        let added = await add("--grant", "refresh-token", "--refresh-token-file", file)
        #expect(added.status == 0, "\(added.errors)")
        let edited = await run(["edit", "a"], header: "canary-header-2", param: "canary-param-3")
        #expect(edited.status == 0, "\(edited.errors)")
        #expect(await fixture.run("token", "a").output == "t-23\n")
        #expect(fixture.folder.filesHolding("canary-") == [])
    }

    @Test func `nothing ever prints or writes their values`() async throws {
        let socket = fixture.folder.file("a.sock")
        let environment = fixture.environment.merging(["CLAVIGER_SOCKET": socket]) { $1 }
        let caller = ["HOME": fixture.folder.path, "CLAVIGER_SOCKET": socket]
        var all: [ProgramResult] = [await add("--json"), await run(["edit", "a", "--json"], header: "canary-header-2")]
        all.append(await run(["edit", "a"], header: "canary-wrong"))
        let commands = [
            ["show", "a"], ["show", "a", "--json"], ["list"], ["list", "--json"], ["status"], ["log"], ["check", "a"],
        ]
        for command in commands {
            all.append(await Program.run(Program.claviger, command, environment: environment))
        }
        all.append(await Program.run(Program.claviger, ["unlock"], environment: environment))
        for command in [["show", "a"], ["list", "--json"], ["token", "a", "--fresh", "--format", "json"]] {
            all.append(await Program.run(Program.claviger, command, environment: caller))
        }
        for address in ["/v1/credentials", "/v1/credentials/a", "/v1/status"] {
            all.append(await Program.run("/usr/bin/curl", ["-s", "--unix-socket", socket, "http://agent" + address]))
        }
        all.append(await Program.run(Program.claviger, ["agent", "stop"], environment: caller))
        #expect(all.map(\.status) == [0, 0, 77] + Array(repeating: 0, count: all.count - 3))
        #expect(all.allSatisfy { !($0.output + $0.errors).contains("canary") })
        #expect(fixture.folder.filesHolding("canary") == [])
        let text = all[3].output
        #expect(text.contains(#/secret parameters +api_key\n/#) && text.contains(#/secret headers +X-Api-Key\n/#))
        let shown = try await fixture.show("a")
        #expect(shown["secret_headers"] as? [String] == ["X-Api-Key"] && shown["secret_params"] as? [String] == ["api_key"])
        #expect(shown["headers"] as? [String: String] == [:] && shown["params"] as? [String: String] == [:])
    }

    @Test func `a name is plain or secret`() async throws {
        let added = await add("--header", "x-API-key: plain", "--param", "other=1", "--no-verify", header: nil, param: nil)
        #expect(added.status == 0, "\(added.errors)")
        let edited = await run(["edit", "a"], header: "canary-header-1", param: "canary-param-1")
        #expect(edited.status == 0, "\(edited.errors)")
        var shown = try await fixture.show("a")
        #expect(shown["headers"] as? [String: String] == [:] && shown["params"] as? [String: String] == ["other": "1"])
        #expect(await run(["edit", "a", "--no-verify", "--header", "X-API-KEY: plain"]).status == 0)
        shown = try await fixture.show("a")
        #expect(shown["headers"] as? [String: String] == ["X-API-KEY": "plain"] && shown["secret_headers"] == nil)
        #expect(shown["secret_params"] as? [String] == ["api_key"])
    }

    @Test func `what can't be used is refused, and nothing is stored`() async throws {
        let plain = ["add", "a", "--token-url", server.address, "--client-id", "x", "--no-verify"]
        let files = TemporaryFolder()
        let (secret, good) = (files.write("secret", "canary"), files.write("good", "canary-good\r\n"))
        let (empty, two) = (files.write("empty", "\n"), files.write("two", "canary\ncanary\n"))
        let pair = "--secret-file"
        for (options, status, words) in [
            (["--header-file", "X-Api-Key"], Int32(64), "--header-file takes 'name: file'"),
            (["--header-file", "X Key: " + good], 64, "characters that no header may have"),
            (["--header-file", ": " + good], 64, "characters that no header may have"),
            (["--param-file", "api_key"], 64, "--param-file takes key=file"),
            (["--param-file", "=" + good], 64, "--param-file takes key=file"),
            (["--header-file", "X-Api-Key: " + files.file("none")], 66, "cannot read the value of the header “X-Api-Key”"),
            (["--param-file", "api_key=" + files.file("none")], 66, "cannot read the value of the parameter “api_key”"),
            (["--header-file", "X-Api-Key: " + empty], 64, "the value of the header “X-Api-Key” from \(empty) is empty"),
            (["--param-file", "api_key=" + two], 64, "is not one line of text"),
            (["--header-file", "A: " + good, "--header-file", "a: " + good], 64, "--header-file gives one name twice"),
            (["--param-file", "a=" + good, "--param-file", "a=" + good], 64, "--param-file gives one name twice"),
            (["--header", "A: 1", "--header-file", "a: " + good], 64, "--header and --header-file give the same name"),
            (["--header-file", "A: -", "--param-file", "a=-"], 64, "only one secret can come from standard input"),
        ] {
            let result = await run(plain + [pair, secret] + options, input: "canary")
            #expect(result.refuses(status, words), "\(options): \(result.errors)")
            #expect(!result.errors.contains("canary"))
        }
        for arguments in [
            plain + [pair, "-", "--header-file", "A: -"],
            plain + [pair, secret, "--grant", "refresh-token", "--refresh-token-file", "-", "--param-file", "a=-"],
            ["edit", "a", "--header-file", "A: -", "--header-file", "B: -"],
        ] {
            #expect(await run(arguments, input: "x").refuses(64, "only one secret can come from standard input"))
        }
        let many = (1...17).flatMap { ["--param-file", "p\($0)=" + good] }
        #expect(await run(plain + [pair, secret] + many).refuses(64, "--param-file can be given 16 times at most"))
        #expect(await fixture.run("list").errors.contains("the vault is empty"))
    }

    /// A provider file says which values are secret, and everybody who adds a credential has one of their own.
    @Test func `what a provider names is asked for`() async throws {
        let file =
            #"{"name":"mine","title":"Mine","grants":["client_credentials"],"token_url":"\#(server.address)/","client_authentication":"post","secret_parameters":["api_key"],"secret_headers":["X-Api-Key"]}"#
        let folder = fixture.folder.file(".config/claviger/providers")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(file.utf8).write(to: URL(fileURLWithPath: folder + "/mine.json"))
        let secret = fixture.folder.write("secret", "made-up")
        let words = ["add", "m", "--provider", "mine", "--client-id", "me", "--secret-file", secret]
        let alone = await Program.run(Program.claviger, words, environment: fixture.environment)
        #expect(alone.refuses(64, "no value of the parameter “api_key” was given"), "\(alone.errors)")
        #expect(alone.errors.contains("--param-file api_key=FILE"))
        let terminal = PseudoTerminal(
            Program.claviger, words, environment: fixture.environment, output: fixture.folder.file("out"))
        _ = try await terminal.expect("value of the parameter “api_key” for m, not shown: ")
        terminal.type("canary-param-1\n")
        _ = try await terminal.expect("value of the header “X-Api-Key” for m, not shown: ")
        terminal.type("canary-header-2\n")
        #expect(await terminal.wait() == 0)
        #expect(await fixture.run("token", "m").output == "t-21\n")
    }
}
