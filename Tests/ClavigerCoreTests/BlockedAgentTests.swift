import Foundation
import TestSupport
import Testing

/// A running agent and what it has handed out, when a credential is blocked behind it.
@Suite(.timeLimit(.minutes(3))) struct BlockedAgentTests {
    @Test func `an agent hands out nothing more, and its file goes and comes back`() async throws {
        let home = try await AgentHome()
        let file = home.fixture.folder.file("token")
        #expect(await home.run("agent", "--sink", "torq=\(file)", "--keep-fresh", as: home.admin).status == 0)
        let token = await home.run("token", "torq").output
        #expect(try await eventually { !bytes(ofFile: file).isEmpty })
        #expect(await home.run("block", "torq", "--reason", "made up", as: home.admin).status == 0)
        let refused = await home.run("token", "torq")
        #expect(refused.refuses(77, "has been blocked since") && refused.errors.contains("made up"), "\(refused.errors)")
        #expect(await home.run("list").output.contains("blocked"))
        #expect(try await eventually { access(file, F_OK) != 0 })
        // Neither lock and unlock nor another agent is a way around.
        #expect(await home.run("agent", "stop").status == 0)
        #expect(await home.run("agent", "--sink", "torq=\(file)", "--keep-fresh", as: home.admin).status == 0)
        #expect(await home.run("token", "torq").status == 77)
        #expect(access(file, F_OK) != 0)
        #expect(await home.run("unblock", "torq", as: home.admin).status == 0)
        #expect(await home.run("token", "torq").output == token)
        #expect(try await eventually { !bytes(ofFile: file).isEmpty })
        #expect(await home.run("agent", "stop").status == 0)
    }
}
