import Foundation
import TestSupport
import Testing

/// `lock` and `agent stop` while a command's refresher waits for the server.
@Suite(.timeLimit(.minutes(2))) struct FinishingRefreshTests {
    /// Holds a refresh at the server while `body` runs.
    private func holding(
        _ rotating: RotatingServer, _ arguments: [String], _ body: () async throws -> Void
    ) async throws -> ProgramResult {
        let before = try await rotating.state()
        try await rotating.fail(#"{"hold": true}"#)
        async let token = rotating.run(arguments)
        try #require(try await rotating.waits(untilWorked: before.worked + 1))
        try await body()
        try await rotating.release()
        return await token
    }

    private func named(_ result: ProgramResult, _ rotating: RotatingServer) -> Bool {
        result.errors.contains(
            "still finishes a refresh of \(rotating.home.path)/.local/share/claviger/vault; its tokens are not handed out")
    }

    @Test func `lock names a refresh that is being finished, also where no agent runs`() async throws {
        let rotating = try await RotatingServer()
        let token = try await holding(rotating, ["token", "a", "--fresh"]) {
            let lock = await rotating.run("lock")
            #expect(lock.status == 69 && lock.errors.contains("no agent runs"))
            #expect(named(lock, rotating), "\(lock.errors)")
        }
        #expect(token.status == 77 && token.output.isEmpty && token.errors.contains("claviger lock has been run"), "\(token)")
        // What the server has answered is stored, and the next command has it.
        let requests = try await rotating.state().requests
        let next = await rotating.run("token", "a")
        #expect(next.status == 0 && !next.output.isEmpty, "\(next)")
        #expect(try await rotating.state().requests == requests)
        let lock = await rotating.run("lock")
        #expect(!lock.errors.contains("process"))
    }

    @Test(arguments: [["lock"], ["agent", "stop"]])
    func `with --wait it comes back when the refresh is finished`(_ command: [String]) async throws {
        let rotating = try await RotatingServer()
        try #require(await rotating.run("agent").status == 0)
        let arguments = ["token", "a", "--fresh", "--key-file", rotating.home.file("key")]
        let token = try await holding(rotating, arguments) {
            let errors = rotating.home.file("errors")
            let child = Program.spawn(
                Program.claviger, command + ["--wait"], environment: rotating.environment, input: "/dev/null",
                output: "/dev/null", errors: errors)
            let isNamed = try await eventually {
                String(decoding: bytes(ofFile: errors), as: UTF8.self).contains("still finishes")
            }
            #expect(isNamed)
            // Not before the server has answered.
            try await Task.sleep(for: .milliseconds(300))
            #expect(kill(child, 0) == 0)
            try await rotating.release()
            #expect(await Program.wait(child) == 0)
        }
        #expect(token.status == 77 && token.output.isEmpty)
        if command == ["lock"] { #expect(await rotating.run("agent", "stop").status == 0) }
    }
}
