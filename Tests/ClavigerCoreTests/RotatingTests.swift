import Foundation
import TestSupport
import Testing

/// The minutes between the new key pair at the provider and the new one in the vault, for those who want tokens.
@Suite(.timeLimit(.minutes(3))) struct RotatingTests {
    /// An agent whose key pair's provider has just ended it; its tokens are gone, too.
    private struct Fixture {
        let home: AgentHome
        var pipe: String { home.fixture.folder.file("pipe") }
        var errors: String { home.fixture.folder.file("rotate.err") }

        init() async throws {
            home = try await AgentHome()
            try #require(await home.run("edit", "torq", "--no-verify", "--client-id", "made-up-dead", as: home.admin).status == 0)
            try #require(await home.run("agent", as: home.admin).status == 0)
            try #require(mkfifo(pipe, 0o600) == 0)
        }

        /// Somebody calls `rotate`, and has not given it the new pair yet.
        func beginRotating() async throws -> pid_t {
            let pid = Program.spawn(
                "/bin/sh", ["-c", "exec \"$0\" rotate torq --from-json - < \"$1\"", Program.claviger, pipe],
                environment: home.admin,
                input: "/dev/null", output: "/dev/null", errors: errors)
            return pid
        }

        func state() async -> String { await home.run("list").output }
    }

    @Test func `who asks meanwhile is told, waits if told to, and has a token as soon as it is there`() async throws {
        let fixture = try await Fixture()
        let home = fixture.home
        #expect(await home.run("token", "torq").refuses(77, "does not accept this key pair"))
        let refused = await home.run("token", "torq")
        #expect(refused.refuses(77, "has refused this key pair (invalid_client) since 20"), "\(refused.errors)")
        let impatient = await home.run("token", "torq", "--wait", "1s")
        #expect(impatient.status == 77 && impatient.errors.contains("waiting for another one"))

        let rotating = try await fixture.beginRotating()
        let writer = try #require(FileHandle(forWritingAtPath: fixture.pipe))
        #expect(try await eventually { await fixture.state().contains("being rotated") })
        let told = await home.run("token", "torq")
        #expect(told.refuses(75, "the key pair of “torq” is being rotated, since 20"), "\(told.errors)")
        #expect(told.errors.contains("claviger token torq --wait 60s"))
        #expect(await home.run("status").output.contains("being rotated"))
        async let waiting = home.run("token", "torq", "--wait", "60s")
        let keys = try await home.server.newKeys("torq")
        try writer.write(contentsOf: Data(keys.json.utf8))
        try writer.close()
        #expect(await Program.wait(rotating) == 0)
        let waited = await waiting
        #expect(waited.status == 0, "\(waited.errors)")
        #expect(try await home.server.isAccepted(waited.output.trimmingCharacters(in: .newlines)))
        #expect(await fixture.state().contains("ready"))
        #expect(await home.run("agent", "stop").status == 0)
    }

    @Test func `a rotation that is given up is over`() async throws {
        let fixture = try await Fixture()
        _ = await fixture.home.run("token", "torq")
        let rotating = try await fixture.beginRotating()
        let writer = try #require(FileHandle(forWritingAtPath: fixture.pipe))
        #expect(try await eventually { await fixture.home.run("token", "torq").status == 75 })
        kill(rotating, SIGKILL)
        _ = await Program.wait(rotating)
        #expect(await fixture.home.run("token", "torq").status == 77)
        #expect(await fixture.state().contains("key pair refused"))
        try writer.close()
        #expect(await fixture.home.run("agent", "stop").status == 0)
    }

    @Test func `what is no length of time is refused`() async throws {
        let fixture = try await CommandFixture()
        for word in ["0", "soon", "-1", "1y"] {
            #expect(await fixture.run("token", "a", "--wait=" + word).refuses(64, "--wait"), "\(word)")
        }
    }
}
