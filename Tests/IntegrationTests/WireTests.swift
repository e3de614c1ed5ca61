import Foundation
import TestSupport
import Testing

/// What the first five services are sent, byte for byte, with a secret and a password that every encoding changes. The requests
/// are those that their customers and their pages show.
@Suite(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"), .timeLimit(.minutes(3)))
struct WireTests {
    private static let secret = #"s+/=%&é "q"#
    private static let password = #"p+/=%&é ?#"#
    /// In a form (WHATWG URL, application/x-www-form-urlencoded) and in a query.
    private static let secretInForm = "s%2B%2F%3D%25%26%C3%A9+%22q"
    private static let passwordInQuery = "p%2B%2F%3D%25%26%C3%A9%20%3F%23"

    private struct Fixture {
        let folder = TemporaryFolder()
        let server: PracticeServer
        var environment: [String: String] {
            [
                "HOME": folder.path, "CLAVIGER_KEY_FILE": folder.file("key"), "CLAVIGER_SOCKET": folder.file("none"),
                "BROWSER": "/bin/true",
            ]
        }

        init() async throws {
            server = try await PracticeServer(program: Python.program, arguments: [Python.script("wire_server.py")])
            try #require(await run("init").status == 0)
        }

        func run(_ arguments: String..., input: String? = nil) async -> ProgramResult {
            await Program.run(Program.claviger, arguments, environment: environment, input: input)
        }

        /// Adds a credential of a service whose endpoints lie at this server.
        func add(_ provider: String, _ path: String, _ more: [String] = [], input: String) async throws {
            let words = ["add", "a", "--provider", provider, "--token-url", server.address + path] + more
            let added = await Program.run(Program.claviger, words, environment: environment, input: input)
            try #require(added.status == 0, "\(added.errors)")
        }

        /// What came since the last time, with HOST for this server's.
        func wire() async throws -> [String] {
            let text = try await server.request("GET", "/wire").body
            let host = server.address.dropFirst("http://".count)
            return try JSONDecoder().decode([String].self, from: Data(text.utf8)).map { request in
                String(decoding: request.unicodeScalars.map { UInt8($0.value) }, as: UTF8.self).replacing(host, with: "HOST")
            }
        }

    }

    /// - Parameter fields: those that the service asks for; claviger's own stand around them.
    private func request(_ line: String, _ fields: [String] = [], body: String? = nil) -> String {
        let form = body.map { _ in ["Content-Type: application/x-www-form-urlencoded"] } ?? []
        let head = ["\(line) HTTP/1.1", "Accept: application/json", "User-Agent: claviger"] + fields + form
        return (head + ["host: HOST", "Content-Length: \(body?.utf8.count ?? 0)", "", body ?? ""]).joined(separator: "\r\n")
    }

    /// As `curl -u ID:SECRET` writes it.
    private func basic(_ id: String, _ secret: String) -> String {
        "Authorization: Basic " + Data("\(id):\(secret)".utf8).base64EncodedString()
    }

    private func keys(_ id: String) -> String {
        String(decoding: try! JSONEncoder().encode(["client_id": id, "client_secret": Self.secret]), as: UTF8.self)
    }

    /// `curl -X POST .../v1/auth/token -u ID:SECRET -d grant_type=client_credentials` with two headers.
    @Test func `Torq`() async throws {
        let fixture = try await Fixture()
        try await fixture.add("torq", "/v1/auth/token", ["--from-json", "-"], input: keys("made-up-id"))
        let wanted = request(
            "POST /v1/auth/token", [basic("made-up-id", Self.secret), "Accept-Language: en_US"],
            body: "grant_type=client_credentials")
        #expect(try await fixture.wire() == [wanted])
        #expect(await fixture.run("token", "a").output == "made-up-torq\n")
    }

    @Test(arguments: ["qa", "cloudacademy"])
    func `QA and Cloud Academy`(_ provider: String) async throws {
        let fixture = try await Fixture()
        try await fixture.add(provider, "/oauth2/token/", ["--from-json", "-"], input: keys("made-up-id"))
        let wanted = request(
            "POST /oauth2/token/",
            body: "grant_type=client_credentials&client_id=made-up-id&client_secret=\(Self.secretInForm)")
        #expect(try await fixture.wire() == [wanted])
        #expect(await fixture.run("token", "a").output == "made-up-qa\n")
    }

    @Test func `IoT-X`() async throws {
        let fixture = try await Fixture()
        try await fixture.add(
            "iot-x", "/authorization", ["--username", "made-up user", "--password-file", "-"], input: Self.password)
        let wanted = request("POST /authorization?username=made-up%20user&password=\(Self.passwordInQuery)")
        #expect(try await fixture.wire() == [wanted])
        #expect(await fixture.run("token", "a").output == "made-up-iotx\n")
    }

    @Test func `Google`() async throws {
        let fixture = try await Fixture()
        let json = #"{"installed":{"client_id":"made-up-id","client_secret":"made-up"}}"#
        try await fixture.add(
            "google", "/token", ["--revocation-url", fixture.server.address + "/revoke", "--from-json", "-"], input: json)
        let login = await fixture.run("login", "a", "--refresh-token-file", "-", input: "1//made-up+/=")
        #expect(login.status == 0, "\(login.errors)")
        #expect(await fixture.run("revoke", "a").status == 0)
        let client = "client_id=made-up-id&client_secret=made-up"
        let refreshToken = "1%2F%2Fmade-up%2B%2F%3D"
        #expect(
            try await fixture.wire() == [
                request("POST /token", body: "grant_type=refresh_token&refresh_token=\(refreshToken)&\(client)"),
                request("POST /revoke", body: "token=\(refreshToken)&token_type_hint=refresh_token&\(client)"),
                request("POST /revoke", body: "token=made-up-google&token_type_hint=access_token&\(client)"),
            ])
    }

    /// `curl https://api.dropbox.com/oauth2/token -d grant_type=refresh_token -d refresh_token=... -u KEY:SECRET`.
    @Test func `Dropbox`() async throws {
        let fixture = try await Fixture()
        try await fixture.add("dropbox", "/oauth2/token", ["--from-json", "-"], input: keys("made-up-id"))
        let login = await fixture.run("login", "a", "--refresh-token-file", "-", input: "made-up+/=")
        #expect(login.status == 0, "\(login.errors)")
        let wanted = request(
            "POST /oauth2/token", [basic("made-up-id", Self.secret)],
            body: "grant_type=refresh_token&refresh_token=made-up%2B%2F%3D")
        #expect(try await fixture.wire() == [wanted])
    }

    /// Where a person logs in with a browser: what its address says, and what the code is exchanged with.
    @Test(arguments: [
        ("google", "/token", "access_type=offline&prompt=consent"), ("dropbox", "/oauth2/token", "token_access_type=offline"),
    ])
    func `a login asks for one that lasts`(_ provider: String, _ path: String, _ parameters: String) async throws {
        let fixture = try await Fixture()
        let json = #"{"client_id":"made-up-id","client_secret":"made-up"}"#
        try await fixture.add(provider, path, ["--redirect-uri", "https://127.0.0.1", "--from-json", "-"], input: json)
        let terminal = PseudoTerminal(
            Program.claviger, ["login", "a", "--paste"], environment: fixture.environment, output: fixture.folder.file("out"))
        let shown = try await terminal.expect("is what is wanted")
        let address = try #require(shown.firstMatch(of: /https:\/\/[^ \r\n]+/)).output
        #expect(address.contains("&" + parameters), "\(address)")
        #expect(address.contains("response_type=code&client_id=made-up-id&redirect_uri=https%3A%2F%2F127.0.0.1&"))
        #expect(address.contains("&code_challenge_method=S256"))
        let state = try #require(address.firstMatch(of: /state=([^&]+)/)).output.1
        terminal.type("https://127.0.0.1/?code=made-up%2Fcode&state=\(state)\n")
        _ = await terminal.wait()
        let sent = try #require(try await fixture.wire().first)
        #expect(
            sent.contains("grant_type=authorization_code&code=made-up%2Fcode&redirect_uri=https%3A%2F%2F127.0.0.1&code_verifier=")
        )
    }

    /// The password of IoT-X stands in the address: nothing that is told or kept of a request that fails may have it.
    @Test(arguments: [
        #"{"status": 400, "body": "made-up"}"#, #"{"status": 401, "body": "{\"error\": \"invalid_client\"}"}"#,
        #"{"status": 500, "body": "{}"}"#, #"{"status": 302, "body": ""}"#, #"{"status": 200, "body": "no token"}"#,
        #"{"status": 429, "body": ""}"#,
    ])
    func `a password in a query is told to nobody`(_ answer: String) async throws {
        let fixture = try await Fixture()
        for _ in 0..<8 { try await fixture.server.request("POST", "/answer", body: answer) }
        let added = await fixture.run(
            "add", "a", "--provider", "iot-x", "--token-url", fixture.server.address + "/authorization", "--username", "u",
            "--password-file", "-", "--verbose", input: Self.password)
        #expect(added.status != 0)
        let log = await fixture.run("log", "--json")
        for text in [added.output, added.errors, log.output, log.errors] {
            for secret in [Self.password, Self.passwordInQuery, "p+/="] { #expect(!text.contains(secret), "\(text)") }
        }
    }
}
