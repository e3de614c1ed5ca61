import Foundation
import TestSupport
import Testing

@Suite struct ManyCredentialsTests {
    @Test func checkTellsWhatWorksAndWhatDoesNot() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server, "good")
        #expect(
            await fixture.run("edit", "good", "--introspection-url", server.address + "/introspect").status == 0)
        _ = try await fixture.addTorq(server, "plain")
        let bad = await fixture.run(
            "add", "bad", "--no-verify", "--provider", "torq", "--token-url", server.address + "/torq/v1/auth/token",
            "--client-id", "x",
            "--secret-file", "-", input: "made-up")
        #expect(bad.status == 0)
        let all = await fixture.run("check", "--all")
        #expect(all.status == 1)
        #expect(all.errors.contains("claviger: error: 1 of 3 failed"))
        #expect(all.output.contains("good   works  the server says that the token is active"))
        #expect(all.output.contains("plain  works  a token was acquired"))
        #expect(all.output.contains("bad    FAILS  the server does not accept this key pair (invalid_client)"))
        #expect(await fixture.run("list").output.contains("key pair refused"))
        #expect(await fixture.run("check", "good", "plain").status == 0)
        let json = await fixture.run("check", "good", "nowhere", "--json")
        #expect(json.status == 1 && json.output.contains(#""works" : false"#))
        #expect(await fixture.run("check").refuses(64, "name the credentials, or use --all"))
    }

    @Test func everythingIsRevokedAtOnce() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server, "one")
        _ = try await fixture.addTorq(server, "two")
        let unreachable = await fixture.run("edit", "two", "--revocation-url", "http://127.0.0.1:1/revoke")
        #expect(unreachable.status == 0)
        let one = String(await fixture.run("token", "one").output.dropLast())
        let two = String(await fixture.run("token", "two").output.dropLast())
        let result = await fixture.run("revoke", "--all", "--yes")
        #expect(result.status == 1)
        #expect(result.output.contains("one  done         revoked 1 token at the server"))
        #expect(result.output.contains("two  NOT REVOKED  cannot reach 127.0.0.1"))
        #expect(try await server.isAccepted(one) == false)
        #expect(try await server.isAccepted(two))
        // What could not be revoked is still there for another try.
        #expect(await fixture.run("edit", "two", "--revocation-url", server.address + "/revoke").status == 0)
        #expect(await fixture.run("revoke", "--all", "--yes", "--json").status == 0)
        #expect(try await server.isAccepted(two) == false)
    }
}
