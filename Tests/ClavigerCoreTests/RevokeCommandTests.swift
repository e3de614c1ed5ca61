import Foundation
import TestSupport
import Testing

/// What `revoke` says and how it ends where something lives on.
@Suite struct RevokeCommandTests {
    @Test func `what lives on is NOT REVOKED, with its end and the page`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        #expect(await fixture.run("edit", "torq", "--clear", "revocation-url").status == 0)
        #expect(await fixture.run("token", "torq").status == 0)
        let one = await fixture.run("revoke", "torq")
        #expect(one.status == 1 && one.errors.contains("“torq” is NOT REVOKED"), "\(one.errors)")
        #expect(one.errors.contains("whoever has a copy can use it until 20") && one.errors.contains("make its key pair anew in"))
        #expect(one.errors.contains("claviger block torq hands out no new tokens"))
        #expect(await fixture.run("token", "torq").status == 0)
        let all = await fixture.run("revoke", "--all", "--yes")
        #expect(
            all.status == 1 && all.errors.contains("1 of 1 NOT REVOKED") && all.output.contains("torq  NOT REVOKED"), "\(all)")
        #expect(!all.output.contains("done"))
        #expect(await fixture.run("token", "torq").status == 0)
        let json = await fixture.run("revoke", "--all", "--yes", "--json")
        #expect(json.status == 1 && json.output.contains(#""lives_on" : true"#) && json.output.contains(#""keys_page""#))
        // Forgotten here, there is nothing left to say of it.
        #expect(await fixture.run("revoke", "--all", "--yes").status == 0)
    }

    @Test func `everything is revoked only by who says yes`() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        let token = String(await fixture.run("token", "torq").output.dropLast())
        #expect(await fixture.run("revoke", "--all").refuses(64, "this needs a yes"))
        #expect(try await server.isAccepted(token))
        #expect(await fixture.run("revoke", "--all", "--yes").status == 0)
        #expect(try await server.isAccepted(token) == false)
        #expect(await fixture.run("revoke", "torq", "--all").refuses(64, "name the credentials, or use --all"))
    }
}
