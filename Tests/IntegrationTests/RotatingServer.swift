import Foundation
import FoundationNetworking
import TestSupport
import Testing

/// Authlib's server with rotation, reuse detection and no grace period, a home with a vault, and a login in it named `a`.
struct RotatingServer {
    let server: PracticeServer
    let home = TemporaryFolder()

    /// What the server has counted, see Servers/rotating_server.py.
    struct State: Decodable {
        var requests: Int
        var refreshes: Int
        var worked: Int
        var reuses: Int
        var families: Int
        var revoked: [String]
    }

    /// - Parameters:
    ///   - grace: seconds for which a replaced refresh token is still taken, at the server and in the provider file.
    ///   - more: options of `claviger add`.
    init(grace: Int? = nil, isLoggedIn: Bool = true, _ more: [String] = []) async throws {
        server = try await PracticeServer(
            program: Python.program, arguments: [Python.script("Servers/rotating_server.py")])
        if let grace { try await server.request("POST", "/admin/grace/\(grace)") }
        try writeProvider(grace: grace)
        try #require(await run(["init"]).status == 0)
        var arguments = ["add", "a", "--provider", "rotating", "--client-id", "client_secret_post", "--secret-file", secretFile]
        if isLoggedIn { arguments += ["--refresh-token-file", try await newLogin()] }
        let added = await run(arguments + more)
        try #require(added.status == 0, "\(added.errors)")
    }

    private func writeProvider(grace: Int?) throws {
        let folder = home.file("config/claviger/providers")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let grace = grace.map { #", "refresh_token_grace": \#($0)"# } ?? ""
        home.write(
            "config/claviger/providers/rotating.json",
            """
            {"name": "rotating", "title": "A server that rotates", "grants": ["authorization_code", "client_credentials"],
             "client_authentication": "post", "token_url": "\(server.address)/token",
             "authorization_url": "\(server.address)/authorize", "revocation_url": "\(server.address)/revoke",
             "refresh_token_rotates": true\(grace)}
            """)
        home.write("secret", "made-up-authlib-secret")
    }

    /// A file with the secret of every client.
    var secretFile: String { home.file("secret") }

    var environment: [String: String] {
        [
            "HOME": home.path, "XDG_CONFIG_HOME": home.file("config"), "CLAVIGER_KEY_FILE": home.file("key"),
            "CLAVIGER_SOCKET": home.file("none.sock"),
        ]
    }

    func run(_ arguments: [String], input: String? = nil) async -> ProgramResult {
        await Program.run(Program.claviger, arguments, environment: environment, input: input)
    }

    func run(_ arguments: String...) async -> ProgramResult { await run(arguments) }

    // MARK: The server's administration

    func state() async throws -> State {
        let text = try await server.request("GET", "/admin/state").body
        return try JSONDecoder().decode(State.self, from: Data(text.utf8))
    }

    /// Each element is one fault in JSON, for one request to come.
    func fail(_ faults: String...) async throws {
        try await server.request("POST", "/admin/faults", body: "[\(faults.joined(separator: ","))]")
    }

    /// No token is good for a second call, so that every call needs a new one, and none counts as forced.
    func endsTokensAtOnce() async throws { try await server.request("POST", "/admin/lifetime/-1") }

    func release() async throws { try await server.request("POST", "/admin/release") }

    /// A file with the refresh token of a login that was made elsewhere.
    func newLogin() async throws -> String {
        let text = try await server.request("POST", "/admin/login").body
        let token = try #require(try JSONDecoder().decode([String: String].self, from: Data(text.utf8))["refresh_token"])
        return home.write("refresh-token", token)
    }

    /// A file with another secret of the client.
    /// - Parameter endsOthers: whether it is now the only one.
    func newSecret(endsOthers: Bool = false) async throws -> String {
        let text = try await server.request("POST", endsOthers ? "/admin/regenerate" : "/admin/secret").body
        let secret = try #require(try JSONDecoder().decode([String: String].self, from: Data(text.utf8))["client_secret"])
        return home.write("new-secret-\(UUID().uuidString)", secret)
    }

    /// Waits, for ten seconds at most, until the server has made a token for so many requests.
    func waits(untilWorked count: Int) async throws -> Bool {
        try await eventually { try await state().worked >= count }
    }

    // MARK: Logging in

    /// As a browser does it: through the server, and back to the page of the program that waits.
    static func browse(_ address: String) async throws -> String {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = 240
        let (page, _) = try await URLSession(configuration: configuration).data(from: #require(URL(string: address)))
        return String(decoding: page, as: UTF8.self)
    }

    /// The address in what a login has printed so far, if it is all there.
    static func address(in text: String) -> String? {
        guard
            let line = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().first(where: {
                $0.contains("response_type=code")
            })
        else { return nil }
        return String(line.drop { $0 != "h" }).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Logs in as a person does.
    func logIn() async throws {
        let child = Program.spawn(
            Program.claviger, ["login", "a", "--no-browser"], environment: environment, input: "/dev/null",
            output: "/dev/null", errors: home.file("login"))
        var address: String?
        _ = try await eventually {
            address = Self.address(in: String(decoding: bytes(ofFile: home.file("login")), as: UTF8.self))
            return address != nil
        }
        #expect(try await Self.browse(#require(address)).contains("Logged in"))
        try #require(await Program.wait(child) == 0)
    }
}
