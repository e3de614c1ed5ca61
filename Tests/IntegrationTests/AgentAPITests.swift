import Foundation
import TestSupport
import Testing

@Suite(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"), .timeLimit(.minutes(2)))
struct AgentAPITests {
    /// api/agent.yaml is what other languages' clients are made from.
    @Test func theAgentIsWhatItsDescriptionSays() async throws {
        let folder = TemporaryFolder()
        let server = try await PracticeServer()
        let socket = folder.file("a.sock")
        let environment = ["HOME": folder.path, "CLAVIGER_KEY_FILE": folder.file("key"), "CLAVIGER_SOCKET": socket]
        func run(_ arguments: [String], input: String? = nil) async throws {
            let result = await Program.run(Program.claviger, arguments, environment: environment, input: input)
            try #require(result.status == 0, "\(result.errors)")
        }
        try await run(["init"])
        let torq = ["--provider", "torq", "--token-url", server.address + "/torq/v1/auth/token"]
        try await run(["add", "torq", "--from", "-"] + torq, input: try await server.newKeys("torq").json)
        try await run(["unlock", "--ttl", "1h"])
        let checked = await Program.run(
            Python.program, [Python.script("openapi_check.py"), Program.root + "/api/agent.yaml", socket, "torq"])
        #expect(checked.status == 0, "\(checked.errors)")
        #expect(checked.output.split(separator: "\n").count == 6)
        try await run(["agent", "stop"])
    }
}
