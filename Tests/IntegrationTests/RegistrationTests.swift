import Foundation
import TestSupport
import Testing

/// Clients that register themselves (RFC 7591), renew their secrets and go again (RFC 7592), for APIs that name their
/// authorization server (RFC 9728).
@Suite(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"), .timeLimit(.minutes(3)))
struct RegistrationTests {
    private struct Fixture {
        let folder = TemporaryFolder()
        let server: PracticeServer
        var environment: [String: String] {
            ["HOME": folder.path, "CLAVIGER_KEY_FILE": folder.file("key"), "CLAVIGER_SOCKET": folder.file("a.sock")]
        }

        init() async throws {
            server = try await PracticeServer(program: Python.program, arguments: [Python.script("registration_server.py")])
            try #require(await run("init").status == 0)
        }

        func run(_ arguments: String...) async -> ProgramResult {
            await Program.run(Program.claviger, arguments, environment: environment)
        }

        func register(_ arguments: String...) async -> ProgramResult {
            await Program.run(
                Program.claviger, ["add", "a", "--issuer", server.address, "--register"] + arguments, environment: environment)
        }

        func mode(_ name: String) async throws { try await server.request("POST", "/admin/" + name) }

        func state() async throws -> (clients: [String: [String: Any]], counts: [String: Int]) {
            let text = try await server.request("GET", "/state").body
            let state = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            return (
                try #require(state["clients"] as? [String: [String: Any]]), try #require(state["counts"] as? [String: Int])
            )
        }

        /// Nothing is left of a client that was not stored.
        func isEmpty() async throws -> Bool {
            let clients = try await state().clients
            let listed = await run("list").errors
            return clients.isEmpty && listed.contains("the vault is empty")
        }

        func works() async throws {
            let token = await run("token", "a", "--fresh")
            try #require(token.status == 0, "\(token.errors)")
            let answer = try await server.request(
                "GET", "/api/things", headers: ["Authorization": "Bearer " + token.output.dropLast()])
            #expect(answer.status == 200)
        }
    }

    @Test(arguments: ["basic", "post", "private-key-jwt"])
    func `a client registers itself, renews its secret and goes again`(auth: String) async throws {
        let fixture = try await Fixture()
        let added = await fixture.register("--client-auth", auth, "--scope", "read write")
        #expect(added.status == 0 && added.errors.contains("the client id is made-up-"), "\(added.errors)")
        try await fixture.works()
        let client = try #require(try await fixture.state().clients.values.first)
        #expect(client["client_name"] as? String == "claviger (a)" && client["scope"] as? String == "read write")
        #expect(client["grant_types"] as? [String] == ["client_credentials"])
        for _ in 0..<2 {
            let rotated = await fixture.run("rotate", "a", "--via-registration")
            #expect(rotated.status == 0 && rotated.errors.contains("proven: a token was acquired"), "\(rotated.errors)")
            try await fixture.works()
        }
        // What manages the client is a secret as well.
        let shown = await fixture.run("show", "a", "--json")
        #expect(shown.output.contains(#""registration_url" : "\#(fixture.server.address)/register/"#), "\(shown.output)")
        #expect(!shown.output.contains("made-up-manage") && fixture.folder.filesHolding("made-up-manage") == [])
        let removed = await fixture.run("remove", "a", "--deregister", "--yes")
        #expect(removed.status == 0, "\(removed.errors)")
        #expect(try await fixture.isEmpty())
    }

    @Test func `a server that hands out allowances is shown one`() async throws {
        let fixture = try await Fixture()
        try await fixture.mode("closed")
        let refused = await fixture.register()
        #expect(refused.status == 77 && refused.errors.contains("--initial-access-token-file"), "\(refused.errors)")
        let allowance = fixture.folder.write("allowance", "made-up-initial")
        let metadata = fixture.folder.write("more.json", #"{"contacts": ["made-up@example.com"], "client_name": "Made up"}"#)
        let added = await fixture.register("--initial-access-token-file", allowance, "--registration-metadata", metadata)
        #expect(added.status == 0, "\(added.errors)")
        let client = try #require(try await fixture.state().clients.values.first)
        #expect(client["contacts"] as? [String] == ["made-up@example.com"] && client["client_name"] as? String == "Made up")
    }

    @Test func `the server chooses how the client proves itself`() async throws {
        let fixture = try await Fixture()
        try await fixture.mode("post")
        let added = await fixture.register()
        #expect(added.status == 0 && added.errors.contains("the server has registered it with post"), "\(added.errors)")
        try await fixture.works()
    }

    /// The address stays the same for every login.
    @Test func `a client for logins is registered with one redirect address`() async throws {
        let fixture = try await Fixture()
        let added = await fixture.register("--grant", "authorization-code")
        #expect(added.status == 0 && added.errors.contains("log in with claviger login a"), "\(added.errors)")
        let client = try #require(try await fixture.state().clients.values.first)
        let uris = try #require(client["redirect_uris"] as? [String])
        #expect(uris.count == 1 && uris[0].wholeMatch(of: #/http://127\.0\.0\.1:6\d{4}/callback/#) != nil, "\(uris)")
        #expect(client["grant_types"] as? [String] == ["authorization_code", "refresh_token"])
        #expect(await fixture.run("show", "a").output.contains(uris[0]))
    }

    @Test func `a redirect address that the server does not take is named`() async throws {
        let fixture = try await Fixture()
        let added = await fixture.register("--grant", "authorization-code", "--redirect-uri", "http://localhost:61234/callback")
        #expect(added.status == 77 && added.errors.contains("refuses the registration (invalid_redirect_uri)"), "\(added.errors)")
        #expect(!added.errors.contains("made-up words"))
        #expect(try await fixture.isEmpty())
    }

    @Test func `a secret that ends is told of in time`() async throws {
        let fixture = try await Fixture()
        try await fixture.mode("expires")
        #expect(await fixture.register().status == 0)
        #expect(await fixture.run("show", "a").output.contains("key pair ends"))
        #expect(await fixture.run("show", "a", "--json").output.contains("key_pair_expires"))
    }

    /// The first secret is dead, and nobody has seen the second.
    @Test func `a lost answer is asked for again`() async throws {
        let fixture = try await Fixture()
        #expect(await fixture.register().status == 0)
        try await fixture.mode("loses")
        let lost = await fixture.run("rotate", "a", "--via-registration")
        #expect(lost.status == 69 && lost.errors.contains("--via-registration"), "\(lost.errors)")
        #expect(await fixture.run("token", "a", "--fresh").status == 77)
        let rotated = await fixture.run("rotate", "a", "--via-registration")
        #expect(rotated.status == 0, "\(rotated.errors)")
        try await fixture.works()
        // The second only read what was there.
        #expect(try await fixture.state().counts["PUT /register/ID"] == 1)
    }

    @Test func `a key whose update is lost is proven by --resume`() async throws {
        let fixture = try await Fixture()
        #expect(await fixture.register("--client-auth", "private-key-jwt").status == 0)
        try await fixture.mode("loses")
        let lost = await fixture.run("rotate", "a", "--via-registration")
        #expect(lost.status == 69 && lost.errors.contains("--resume"), "\(lost.errors)")
        #expect(await fixture.run("token", "a", "--fresh").status == 77)
        let resumed = await fixture.run("rotate", "a", "--resume")
        #expect(resumed.status == 0, "\(resumed.errors)")
        try await fixture.works()
    }

    @Test(arguments: [
        ("keeps", "has kept the secret"), ("refuses", "refuses the registration (invalid_client_metadata)"),
    ])
    func `an update that brings nothing changes nothing`(mode: String, words: String) async throws {
        let fixture = try await Fixture()
        #expect(await fixture.register().status == 0)
        try await fixture.mode(mode)
        let rotated = await fixture.run("rotate", "a", "--via-registration")
        #expect(rotated.status != 0 && rotated.errors.contains(words), "\(rotated.errors)")
        try await fixture.works()
        let shown = await fixture.run("show", "a").output
        #expect(shown.contains("state") && !shown.contains("staged"), "\(shown)")
        // The token that manages it is another one by now, and is known.
        #expect(await fixture.run("remove", "a", "--deregister", "--yes").status == 0)
    }

    @Test func `a client that nobody may manage is rotated by hand`() async throws {
        let fixture = try await Fixture()
        try await fixture.mode("nomanage")
        let added = await fixture.register()
        #expect(added.status == 0 && added.errors.contains("lets nobody manage this client"), "\(added.errors)")
        let rotated = await fixture.run("rotate", "a", "--via-registration")
        #expect(rotated.status == 78 && rotated.errors.contains("claviger rotate"), "\(rotated.errors)")
        let removed = await fixture.run("remove", "a", "--deregister", "--yes")
        #expect(removed.status == 78 && removed.errors.contains("lets nobody manage it"), "\(removed.errors)")
        try await fixture.works()
    }

    @Test func `a client that is gone at the server can be removed here`() async throws {
        let fixture = try await Fixture()
        #expect(await fixture.register().status == 0)
        try await fixture.mode("forgets")
        for arguments in [["rotate", "a", "--via-registration"], ["remove", "a", "--deregister", "--yes"]] {
            let refused = await Program.run(Program.claviger, arguments, environment: fixture.environment)
            #expect(refused.status == 77 && refused.errors.contains("it may be gone there"), "\(refused.errors)")
        }
        #expect(await fixture.run("remove", "a", "--yes").status == 0)
        #expect(try await fixture.isEmpty())
    }

    @Test(arguments: [
        (["--client-id", "made-up"], "give no key pair"), (["--grant", "password"], "can't register itself"),
        (["--try"], "can't be tried"),
        (["--client-auth", "tls"], "can't register itself"),
    ])
    func `what does not go together is refused before anything is sent`(arguments: [String], words: String) async throws {
        let fixture = try await Fixture()
        let added = await Program.run(
            Program.claviger, ["add", "a", "--issuer", fixture.server.address, "--register"] + arguments,
            environment: fixture.environment)
        #expect(added.status == 64 && added.errors.contains(words), "\(added.errors)")
        #expect(try await fixture.isEmpty())
    }

    @Test func `an API leads to its server`() async throws {
        let fixture = try await Fixture()
        let added = await fixture.run("add", "a", "--resource-url", fixture.server.address + "/api/things", "--register")
        #expect(added.status == 0, "\(added.errors)")
        #expect(added.errors.contains("--issuer chooses another") && added.errors.contains("it asks for the scopes read"))
        try await fixture.works()
        let shown = await fixture.run("show", "a").output
        #expect(
            shown.contains(fixture.server.address + "/api\n") && shown.contains(fixture.server.address + "/api/things"),
            "\(shown)")
        let other = await fixture.run(
            "add", "b", "--resource-url", fixture.server.address + "/api/things", "--issuer", "https://third.example",
            "--register")
        #expect(other.status == 78 && other.errors.contains("takes no tokens of https://third.example"), "\(other.errors)")
    }

    @Test func `an API that is described as another one is refused`() async throws {
        let fixture = try await Fixture()
        try await fixture.mode("elsewhere")
        let added = await fixture.run("add", "a", "--resource-url", fixture.server.address + "/api/things", "--register")
        #expect(added.status == 69 && added.errors.contains("it is about another resource"), "\(added.errors)")
        let none = await fixture.run("add", "a", "--resource-url", fixture.server.address + "/none", "--register")
        #expect(none.status == 69 && none.errors.contains("names none"), "\(none.errors)")
        #expect(try await fixture.isEmpty())
    }
}
