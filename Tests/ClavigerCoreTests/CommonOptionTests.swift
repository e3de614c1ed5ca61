import Foundation
import TestSupport
import Testing

@testable import ClavigerCore

/// What goes with every command, and names that were others before.
@Suite struct CommonOptionTests {
    @Test func `quiet prints results and errors alone`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        for words in [["rename", "torq", "b", "--quiet"], ["-q", "rename", "b", "torq"]] {
            let result = await Program.run(Program.claviger, words, environment: fixture.environment)
            #expect(result.status == 0 && result.errors.isEmpty && result.output.isEmpty, "\(result)")
        }
        #expect(await fixture.run("rename", "nobody", "b", "-q").refuses(66, "there is no credential"))
    }

    /// IoT-X wants the password in the address's query.
    @Test func `verbose says where requests went, and no secret`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        let added = await fixture.run(
            "add", "iot", "--provider", "iot-x", "--token-url", server.address + "/query", "--username", "made-up-user",
            "--password-file", "-", "--verbose", input: "made-up-password")
        #expect(added.errors.contains("POST \(server.address)/query: status "), "\(added.errors)")
        #expect(!added.errors.contains("made-up-password") && !added.errors.contains("?"))
        let unreachable = await fixture.run(
            "add", "iot2", "--provider", "iot-x", "--token-url", "http://127.0.0.1:1/authorization", "--username", "made-up-user",
            "--password-file", "-", "-v", input: "made-up-password")
        #expect(unreachable.status == 69 && unreachable.errors.contains("127.0.0.1:1/authorization: cannot reach"))
        #expect(!unreachable.errors.contains("made-up-password"))
        #expect(await fixture.run("log").output.contains("made-up-password") == false)
    }

    @Test func `an agent's socket is named to every command`() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        let elsewhere = ["HOME": home.fixture.folder.path, "CLAVIGER_SOCKET": home.fixture.folder.file("none")]
        #expect(await home.run("token", "torq", "--socket", home.socket, as: elsewhere).status == 0)
        #expect(await home.run("--socket=" + home.socket, "list", as: elsewhere).output.contains("torq"))
        let status = await home.run("agent", "status", "--socket", home.socket, as: elsewhere)
        #expect(status.output.contains("unlocked") && status.output.contains("process"), "\(status)")
        #expect(
            await home.run("agent", "status", "--json", "--socket", home.socket, as: elsewhere).output.contains(
                #""locked" : false"#))
        #expect(await home.run("agent", "stop", "--socket", home.socket, as: elsewhere).status == 0)
    }

    @Test func `what stands behind an address for curl, or behind the terminator, is another program's`() {
        #expect(!CommonWords(["curl", "torq", "https://example.com/", "-v", "--socket", "/x"]).isVerbose)
        #expect(CommonWords(["curl", "-v", "torq", "https://example.com/"]).isVerbose)
        #expect(CommonWords(["exec", "torq", "--", "x", "--system", "-q"]).isSystem == false)
        #expect(CommonWords(["exec", "torq", "--", "x", "--system", "-q"]).isQuiet == false)
        #expect(CommonWords(["--socket", "/x", "list"]).socket == "/x")
        #expect(OldSpellings.today(["exec", "a", "--", "--from", "b"]) { _ in } == ["exec", "a", "--", "--from", "b"])
    }

    @Test func `old spellings work, with a note`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        let keys = try await server.newKeys("torq")
        let added = await fixture.run(
            "add", "torq", "--provider", "torq", "--token-url", server.address + "/torq/v1/auth/token", "--from", "-",
            "--key-id=k",
            input: keys.json)
        #expect(added.status == 0 && added.errors.contains("--from is called --from-json now"), "\(added.errors)")
        #expect(added.errors.contains("--key-id is called --kid now"))
        #expect(try await fixture.show("torq")["key_id"] as? String == "k")
        #expect(await fixture.run("edit", "torq", "--clear", "key-id", "--no-verify").status == 0)
    }

    @Test func `short ways and long ones lead to the same`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        for name in ["one", "two"] { _ = try await fixture.addTorq(server, name) }
        #expect(await fixture.run("ls").output.contains("two"))
        #expect(await fixture.run("version").output == fixture.run("--version").output)
        let json = await fixture.run("token", "one", "--json")
        #expect(json.output.contains(#""access_token""#) && json.output.contains(#""expires_at""#))
        let out = fixture.folder.file("token")
        #expect(await fixture.run("token", "one", "-o", out).output.isEmpty)
        let token = await fixture.run("token", "one").output
        #expect(String(decoding: bytes(ofFile: out), as: UTF8.self) == token)
        #expect(await fixture.run("token", "one", "--format", "dotenv").output == "ONE_ACCESS_TOKEN=" + token)
        #expect(await fixture.run("token", "one", "--min-ttl", "10m").output == token)
        #expect(await fixture.run("show", "one", "two").output.contains("two"))
        #expect(await fixture.run("policy", "allow", "one", "--user", "root").status == 0)
        #expect(await fixture.run("policy", "deny", "--user", "root").status == 0)
        #expect(await fixture.run("revoke", "one", "two").status == 0)
        let removed = await fixture.run("remove", "one", "two", "--yes")
        #expect(removed.status == 0 && removed.errors.contains("its key pair lives on at the provider: end it in"))
        #expect(await fixture.run("list").output.isEmpty)
        for shell in ["bash", "zsh", "fish"] { #expect(await fixture.run("completion", shell).output.contains("claviger")) }
    }

    @Test func `a login is ended at the server and forgotten`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        try await fixture.loggedIn(server)
        #expect(await fixture.run("token", "a").status == 0)
        let ended = await fixture.run("logout", "a")
        #expect(ended.status == 0 && ended.errors.contains("“a”: ended the login at the server"), "\(ended.errors)")
        #expect(await fixture.run("token", "a").status == 77)
        #expect(await fixture.run("list").output.contains("login needed"))
        #expect(await fixture.run("logout", "a").errors.contains("nobody is logged in to “a”"))
        #expect(await fixture.run("logout", "nobody").refuses(66, "there is no credential"))
    }

    @Test func `the registered address of a web client is where its logins come back to`() async throws {
        let fixture = try await CommandFixture()
        func add(_ name: String, _ addresses: String) async -> ProgramResult {
            let json = #"{"web":{"client_id":"a","client_secret":"made-up","redirect_uris":\#(addresses)}}"#
            return await fixture.run("add", name, "--provider", "google", "--from-json", "-", input: json)
        }
        let added = await add("g", #"["https://example.com/x","http://localhost:8765/back"]"#)
        #expect(added.status == 0 && added.errors.contains("logins come back to http://localhost:8765/back"), "\(added.errors)")
        #expect(try await fixture.show("g")["redirect_uri"] as? String == "http://localhost:8765/back")
        let web = await add("h", #"["https://example.com/x"]"#)
        #expect(web.status == 64 && web.errors.contains("no address of this machine is registered"), "\(web.errors)")
        let camel = await fixture.run(
            "add", "c", "--no-verify", "--token-url", "https://127.0.0.1:1/t", "--from-json", "-",
            input: #"{"clientId":"a","clientSecret":"made-up"}"#)
        #expect(camel.status == 0, "\(camel.errors)")
        #expect(try await fixture.show("c")["client_id"] as? String == "a")
    }
}
