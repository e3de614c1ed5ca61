import Foundation
import TestSupport
import Testing

/// `claviger token --field` and `--format id-token`, without an agent and through one.
@Suite(.timeLimit(.minutes(2))) struct TokenFieldCommandTests {
    private static let answer =
        #"{\"access_token\":\"made-up\",\"instance_url\":\"https://x.example\",\"api_secret\":\"made-up-2\",\"id_token\":\"e30.e30.x\"}"#

    /// Under whatever name and at whatever place: a refresh token in an array, and a server that repeats what it was sent.
    @Test func `no secret of the credential's is a field`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        let keys = try await fixture.addTorq(server)
        let edited = await fixture.run(
            "edit", "torq", "--no-verify", "--answer", "access_token=/d/0/a", "--answer", "refresh_token=/d/0/r")
        try #require(edited.status == 0, "\(edited.errors)")
        let body = #"{\"d\":[{\"a\":\"made-up\",\"r\":\"made-up-refresh\",\"x\":\"shown\"}],\"echo\":\"key=\#(keys.secret)\"}"#
        try await server.fail(#"{"status":200,"body":"\#(body)"}"#)
        #expect(await fixture.run("token", "torq", "--fresh").output == "made-up\n")
        #expect(await fixture.run("token", "torq", "--field", "/d/0/x").output == "shown\n")
        #expect(await fixture.run("token", "torq", "--field", "/d/0/r").refuses(66, "the server has sent no"))
        #expect(await fixture.run("token", "torq", "--field", "/d/0/a").refuses(66, "the server has sent no"))
        #expect(await fixture.run("token", "torq", "--field", "d").output.contains("refresh") == false)
        #expect(await fixture.run("token", "torq", "--field", "echo").refuses(77, "may be a secret"))
    }

    @Test(arguments: [false, true])
    func `what came with a token is printed alone`(_ throughAnAgent: Bool) async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        var environment = fixture.environment
        if throughAnAgent {
            environment["CLAVIGER_SOCKET"] = fixture.folder.file("a.sock")
            try #require(await fixture.run("unlock", environment: environment).status == 0)
            environment["CLAVIGER_KEY_FILE"] = nil
        }
        func token(_ options: String...) async -> ProgramResult {
            await Program.run(Program.claviger, ["token", "torq"] + options, environment: environment)
        }
        try await server.fail(#"{"status":200,"body":"\#(Self.answer)"}"#)
        #expect(await token("--rejected", "--field", "instance_url").output == "https://x.example\n")
        #expect(await token().output == "made-up\n")
        #expect(await token("--field", "/instance_url").output == "https://x.example\n")
        #expect(await token("--field", "api_secret").refuses(77, "“api_secret” may be a secret"))
        #expect(await token("--field", "access_token").refuses(77, "may be a secret"))
        #expect(await token("--field", "account_id").refuses(66, "the server has sent no “account_id”"))
        #expect(await token("--field", "").refuses(64, "--field"))
        #expect(await token("--field", "x", "--format", "json").refuses(64, "--field and --format"))
        // One whose end can't be read may have ended, so that another is asked for.
        try await server.fail(#"{"status":200,"body":"\#(Self.answer)"}"#)
        #expect(await token("--format", "id-token").refuses(69, "the ID token can't be checked: it is encrypted, or none"))
        #expect(await token("--format", "id-token").refuses(66, "the server has sent no ID token"))
        if throughAnAgent { #expect(await fixture.run("agent", "stop", environment: environment).status == 0) }
    }
}
