import Foundation
import TestSupport
import Testing

/// What a reviewer asks the log.
@Suite struct LogCommandTests {
    @Test func `who had this token`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        for name in ["one", "two"] { _ = try await fixture.addTorq(server, name) }
        let token = await fixture.run("token", "one", "--reason", "a job").output
        _ = await fixture.run("token", "two")
        let had = await fixture.run("log", "--token", "-", input: token)
        #expect(had.status == 0 && had.output.split(separator: "\n").count == 1, "\(had)")
        #expect(had.output.contains("  token  one  done  ") && had.output.contains(#"reason "a job""#))
        #expect(!had.output.contains(token.dropLast()) && had.errors.isEmpty)
        let name = try #require(unsafe getpwuid(getuid()).map { unsafe String(cString: $0.pointee.pw_name) })
        #expect(had.output.contains("uid \(getuid()) \(name)  "))
        let nobody = await fixture.run("log", "--token", "-", input: "made-up-token")
        #expect(nobody.refuses(1, "no line of the log is about that") && nobody.errors.contains("it goes back to 20"))
        #expect(await fixture.run("log", "--token", "-", "--credential", "two", input: token).status == 1)
        // A token on the command line would be in the shell's history: what stands there is a file's name.
        #expect(await fixture.run("log", "--token", "made-up-token").refuses(66, "made-up-token"))
    }

    @Test func `lines are chosen by user, credential and kind, and failures say why`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        for name in ["one", "two"] { _ = try await fixture.addTorq(server, name) }
        try await server.fail(#"{"status":401,"body":"{\"error\":\"invalid_client\"}"}"#)
        #expect(await fixture.run("token", "two", "--fresh").status == 77)
        func lines(_ options: String...) async -> [Substring] {
            let result = await Program.run(Program.claviger, ["log"] + options, environment: fixture.environment)
            return result.output.split(separator: "\n")
        }
        #expect(await lines("--credential", "two", "--kind", "token").count == 1)
        #expect(await lines("--credential", "two", "--kind", "token").first?.contains("failed: client_refused  ") == true)
        #expect(await lines("--credential", "two", "--json").contains { $0.contains(#""problem":"client_refused""#) })
        #expect(await lines("--credential", "one", "--credential", "two").count == lines().count)
        #expect(await lines("--kind", "add").count == 4)
        #expect(await lines("--user", "\(getuid())").count == lines().count)
        #expect(await lines("--user", "4000000000").isEmpty)
        #expect(await fixture.run("log", "--verify").status == 0)
    }

    @Test(arguments: [
        (["--kind", "made-up"], Int32(64), "--kind takes one of token, refresh"),
        (["--user", "made-up-nobody"], 66, "there is no user"),
        (["--verify", "--since", "foo"], 64, "are for showing them"),
        (["--verify", "--user", "root"], 64, "are for showing them"),
        (["--acknowledge", "--kind", "token"], 64, "are for showing them"), (["--since", "foo"], 64, "--since takes"),
        (["--token", "/made/up"], 66, "/made/up"),
    ])
    func `nonsense is refused`(_ options: [String], _ status: Int32, _ words: String) async throws {
        let fixture = try await CommandFixture()
        let result = await Program.run(Program.claviger, ["log"] + options, environment: fixture.environment)
        #expect(result.refuses(status, words), "\(result.errors)")
    }
}
