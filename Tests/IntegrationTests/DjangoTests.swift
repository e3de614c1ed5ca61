import Foundation
import TestSupport
import Testing

/// What the tests of this folder run with: the virtual environment that `make test` makes.
enum Python {
    static let program = Program.root + "/.build/venv/bin/python"
    static let isThere = FileManager.default.isExecutableFile(atPath: program)

    static func script(_ name: String) -> String { Program.root + "/Tests/IntegrationTests/" + name }
}

enum Chromium {
    static let isThere = ["/usr/bin/chromium", "/usr/bin/chromedriver"].allSatisfy(FileManager.default.isExecutableFile)
}

/// An authority and certificates, made anew for each test that wants them.
struct Certificates {
    let folder = TemporaryFolder()

    init() async throws {
        let made = await Program.run(Python.program, [Python.script("certificates.py"), folder.path])
        try #require(made.status == 0, "\(made.errors)")
    }

    var authority: String { folder.file("ca.pem") }

    /// A certificate and its key.
    func pair(_ name: String) -> [String] { [folder.file("\(name).pem"), folder.file("\(name).key")] }

    func arguments(_ name: String) -> [String] {
        ["--certificate", folder.file("\(name).pem"), "--private-key", folder.file("\(name).key")]
    }
}

/// django-oauth-toolkit, which nobody here wrote.
struct DjangoServer {
    let folder = TemporaryFolder()
    let server: PracticeServer
    let certificates: Certificates?
    static let name = "django-oauth-toolkit"

    init(certificates: Certificates? = nil) async throws {
        self.certificates = certificates
        let files = certificates?.pair("good") ?? []
        server = try await PracticeServer(
            program: Python.program, arguments: [Python.script("django_server.py"), folder.path] + files)
    }

    var address: String { server.address }

    /// Sends a request with curl, since Foundation's client here can't be told what to trust.
    func post(_ path: String, _ form: [String] = [], basic: String? = nil) async throws -> [String: Any] {
        var arguments = ["--silent", "--fail", "--request", "POST", address + path]
        if let certificates { arguments += ["--cacert", certificates.authority] }
        if let basic { arguments += ["--user", basic] }
        for field in form { arguments += ["--data-urlencode", field] }
        let result = await Program.run("/usr/bin/curl", arguments)
        try #require(result.status == 0, "\(path): \(result.errors)")
        return try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    }

    /// A key pair in the JSON that `--from-json` takes.
    func keys(_ path: String) async throws -> (id: String, secret: String, json: String) {
        let made = try await post(path)
        let id = try #require(made["client_id"] as? String)
        let secret = try #require(made["client_secret"] as? String)
        let json = try JSONSerialization.data(withJSONObject: made)
        return (id, secret, String(decoding: json, as: UTF8.self))
    }

    /// RFC 7662, asked by another client of the server's.
    func isActive(_ token: String) async throws -> Bool {
        let witness = try await keys("/test/application")
        let answer = try await post(
            "/oauth2/introspect/", ["token=\(token)"], basic: "\(witness.id):\(witness.secret)")
        return answer["active"] as? Bool == true
    }
}

/// A home folder and the program run in it.
private struct Home {
    let folder = TemporaryFolder()
    var environment: [String: String] { ["HOME": folder.path, "CLAVIGER_KEY_FILE": folder.file("key")] }

    init() async throws {
        try #require(await run(["init"]).status == 0)
    }

    func run(_ arguments: [String], input: String? = nil) async -> ProgramResult {
        await Program.run(Program.claviger, arguments, environment: environment, input: input)
    }

    func token(_ arguments: String...) async throws -> String {
        let result = await run(["token", "qa"] + arguments)
        try #require(result.status == 0, "\(result.errors)")
        return String(result.output.dropLast())
    }
}

@Suite(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"), .timeLimit(.minutes(3)))
struct DjangoTests {
    /// Wherever the main job ends, a server that we did not write agrees.
    private func mainJob(_ django: DjangoServer, trust: [String]) async throws {
        let home = try await Home()
        let old = try await django.keys("/test/application")
        let added = await home.run(
            [
                "add", "qa", "--provider", "qa", "--token-url", django.address + "/oauth2/token/", "--revocation-url",
                django.address + "/oauth2/revoke_token/", "--introspection-url", django.address + "/oauth2/introspect/",
                "--from-json",
                "-",
            ] + trust, input: old.json)
        try #require(added.status == 0, "\(added.errors)")
        let first = try await home.token()
        #expect(first.count == 30)
        #expect(try await home.token() == first)
        #expect(try await django.isActive(first))
        let document = try await home.token("--format", "json")
        // Ten hours, or less by what has passed.
        #expect(document.contains(#/"expires_in" : (35\d\d\d|36000),?\n/#))

        // It expires, and another one comes.
        _ = try await django.post("/test/lifetime/1")
        let second = try await home.token("--fresh")
        #expect(second != first)
        #expect(try await eventually { try await !django.isActive(second) })
        _ = try await django.post("/test/lifetime/36000")
        let third = try await home.token()
        #expect(third != second)
        #expect(try await django.isActive(third))

        // The secret is regenerated at the server.
        let new = try await django.keys("/test/regenerate/\(old.id)")
        let refused = await home.run(["token", "qa", "--fresh"])
        #expect(refused.status == 77)
        #expect(refused.errors.contains("store the new one with claviger rotate qa"))
        #expect(await home.run(["rotate", "qa", "--secret-file", "-"], input: "made-up-wrong").status == 77)
        let rotated = await home.run(["rotate", "qa", "--secret-file", "-"], input: new.secret)
        #expect(rotated.status == 0, "\(rotated.errors)")
        let fourth = try await home.token()
        #expect(try await django.isActive(fourth))

        let revoked = await home.run(["revoke", "qa"])
        #expect(revoked.errors == "claviger: revoked 1 token at the server\n")
        #expect(try await django.isActive(fourth) == false)
        for secret in [old.secret, new.secret, first, fourth] { #expect(home.folder.filesHolding(secret) == []) }
        Proven.record(grant: "client-credentials", clientAuth: "post", server: DjangoServer.name)
    }

    @Test func theMainJobOverHTTP() async throws {
        try await mainJob(DjangoServer(), trust: [])
    }

    @Test func theMainJobOverHTTPS() async throws {
        let certificates = try await Certificates()
        try await mainJob(DjangoServer(certificates: certificates), trust: ["--ca-file", certificates.authority])
    }

    /// A real browser, through the server's own login and consent, to our page; then rotation with reuse protection on.
    @Test(.enabled(if: Chromium.isThere, "make test installs the browser that this needs"))
    func aLoginInTheBrowserAndItsRefreshTokens() async throws {
        let django = try await DjangoServer()
        let home = try await Home()
        let keys = try await django.keys("/test/application?grant=authorization-code")
        let added = await home.run(
            [
                "add", "qa", "--grant", "authorization-code", "--token-url", django.address + "/oauth2/token/",
                "--authorization-url", django.address + "/oauth2/authorize/", "--revocation-url",
                django.address + "/oauth2/revoke_token/", "--scope", "read", "--from-json", "-",
            ], input: keys.json)
        try #require(added.status == 0, "\(added.errors)")
        let picture = Program.root + "/.build/landing-page.png"
        try? FileManager.default.removeItem(atPath: picture)
        let browser = home.folder.write(
            "browser", "#!/bin/sh\nexec \(Python.program) \(Python.script("browser.py")) \(picture) \"$1\"\n")
        chmod(browser, 0o700)
        let login = await Program.run(
            Program.claviger, ["login", "qa"],
            environment: home.environment.merging(["BROWSER": browser, "HOME": home.folder.path]) { $1 })
        #expect(login.status == 0, "\(login.errors)")
        let first = try await home.token()
        #expect(try await django.isActive(first))
        #expect(try await eventually { FileManager.default.fileExists(atPath: picture) })

        // Ten processes at once, five times over, each time after the token has ended: the login lives.
        for _ in 0..<5 {
            _ = try await django.post("/test/lifetime/0")
            _ = try await home.token("--fresh")
            _ = try await django.post("/test/lifetime/36000")
            let outputs = await withTaskGroup(of: ProgramResult.self) { group in
                for _ in 0..<10 { group.addTask { await home.run(["token", "qa"]) } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outputs.allSatisfy { $0.status == 0 }, "\(outputs.first { $0.status != 0 }?.errors ?? "")")
            #expect(Set(outputs.map(\.output)).count == 1)
        }
        let last = try await home.token()
        #expect(try await django.isActive(last))
        #expect(await home.run(["revoke", "qa"]).errors.contains("ended the login at the server"))
        #expect(try await django.isActive(last) == false)
        #expect(await home.run(["token", "qa"]).status == 77)
        Proven.record(grant: "authorization-code", clientAuth: "basic", server: DjangoServer.name)
        Proven.record(grant: "refresh-token", clientAuth: "basic", server: DjangoServer.name)
    }

    /// RFC 6749 section 4.3, at a server that still has it.
    @Test func aUserAndPassword() async throws {
        let django = try await DjangoServer()
        let home = try await Home()
        let keys = try await django.keys("/test/application?grant=password")
        let added = await home.run(
            [
                "add", "qa", "--grant", "password", "--client-id", keys.id, "--secret-file", home.folder.write("s", keys.secret),
                "--token-url", django.address + "/oauth2/token/", "--username", "person", "--password-file", "-",
            ], input: "made-up-password")
        #expect(added.status == 0, "\(added.errors)")
        #expect(try await django.isActive(home.token()))
        #expect(
            await home.run(
                ["rotate", "qa", "--password-file", "-", "--secret-file", home.folder.file("s")], input: "made-up-wrong"
            ).status == 77)
        try #require(await home.run(["token", "qa", "--fresh"]).status == 0)
        Proven.record(grant: "password", clientAuth: "basic", server: DjangoServer.name)
    }

    /// A secret with a plus, a slash, a space, a percent sign and a letter beyond ASCII survives each way of sending it.
    @Test(arguments: ["basic", "post"])
    func awkwardSecrets(_ way: String) async throws {
        let django = try await DjangoServer()
        let home = try await Home()
        let keys = try await django.keys("/test/application?awkward=5")
        let added = await home.run(
            [
                "add", "qa", "--client-auth", way, "--token-url", django.address + "/oauth2/token/", "--scope", "read",
                "--from-json",
                "-",
            ],
            input: keys.json)
        #expect(added.status == 0, "\(added.errors)")
        #expect(try await home.token("--format", "json").contains(#""scope" : "read""#))
        #expect(await home.run(["token", "qa", "--scope", "nonsense"]).errors.contains("invalid_scope"))
        Proven.record(grant: "client-credentials", clientAuth: way, server: DjangoServer.name)
    }
}
