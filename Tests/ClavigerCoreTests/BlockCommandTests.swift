import Foundation
import TestSupport
import Testing

/// `block`, `unblock` and what is said of a blocked credential.
@Suite struct BlockCommandTests {
    @Test func `block stops tokens, says so everywhere, and unblock ends it`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        let token = await fixture.run("token", "torq").output
        let blocked = await fixture.run("block", "torq", "--reason", "in a public repository, ask Ana")
        #expect(blocked.status == 0)
        #expect(blocked.errors.contains("“torq” is blocked since 20") && blocked.errors.contains("made anew in"))
        #expect(blocked.errors.contains("live on until they end or are revoked"))
        for command in [["token", "torq"], ["token", "torq", "--fresh"], ["exec", "torq", "--", "/bin/true"]] {
            let refused = await Program.run(Program.claviger, command, environment: fixture.environment)
            #expect(refused.refuses(77, "has been blocked since 20"), "\(command): \(refused.errors)")
            #expect(refused.errors.contains("ask Ana") && refused.errors.contains("claviger unblock torq"))
        }
        #expect(await fixture.run("list").output.contains("blocked"))
        #expect(await fixture.run("show", "torq").output.contains("in a public repository"))
        #expect(try await fixture.show("torq")["blocked_reason"] as? String == "in a public repository, ask Ana")
        #expect(await fixture.run("status").output.contains("claviger unblock torq"))
        #expect(await fixture.run("check", "torq").status == 0)
        #expect(await fixture.run("rename", "torq", "other").status == 0)
        #expect(await fixture.run("token", "other").status == 77)
        let unblocked = await fixture.run("unblock", "other")
        #expect(unblocked.status == 0 && unblocked.errors.contains("its key pair is the one from before the block"))
        #expect(await fixture.run("token", "other").output == token)
        #expect(await fixture.run("unblock", "other").errors.contains("is not blocked"))
    }

    @Test func `many are blocked at once, whatever becomes of one`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        for name in ["one", "two"] { _ = try await fixture.addTorq(server, name) }
        let some = await fixture.run("block", "one", "nowhere", "two")
        #expect(some.status == 1 && some.errors.contains("“nowhere” FAILED") && some.errors.contains("1 of 3 failed"))
        for name in ["one", "two"] { #expect(await fixture.run("token", name).status == 77) }
        #expect(await fixture.run("unblock", "one", "two").status == 0)
        #expect(await fixture.run("block", "--all").status == 0)
        for name in ["one", "two"] { #expect(await fixture.run("token", name).status == 77) }
    }

    @Test func `what can't be blocked is refused`() async throws {
        let fixture = try await CommandFixture()
        #expect(await fixture.run("block").refuses(64, "name the credentials, or use --all"))
        #expect(await fixture.run("block", "a", "--all").refuses(64, "name the credentials, or use --all"))
        #expect(await fixture.run("block", "a").refuses(66, "there is no credential"))
        #expect(await fixture.run("unblock", "a").refuses(66, "there is no credential"))
        let long = String(repeating: "e\u{301}", count: 200)
        #expect(await fixture.run("block", "a", "--reason", long).refuses(64, "500 bytes at most"))
        #expect(await fixture.run("block", "a", "--reason", "two\nlines").refuses(64, "one line of text"))
    }
}
