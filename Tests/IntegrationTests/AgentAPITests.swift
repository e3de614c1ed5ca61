import Foundation
import TestSupport
import Testing

@Suite(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"), .timeLimit(.minutes(10)))
struct AgentAPITests {
    /// An agent with one credential, asked by programs that know only api/agent.yaml.
    private struct Served {
        let folder = TemporaryFolder()
        let server: PracticeServer
        var socket: String { folder.file("a.sock") }

        init() async throws {
            server = try await PracticeServer()
            try await run(["init"])
            let torq = ["--provider", "torq", "--token-url", server.address + "/torq/v1/auth/token"]
            try await run(["add", "torq", "--from-json", "-"] + torq, input: try await server.newKeys("torq").json)
            try await run(["unlock", "--ttl", "1h"])
        }

        func run(_ arguments: [String], input: String? = nil) async throws {
            let environment = ["HOME": folder.path, "CLAVIGER_KEY_FILE": folder.file("key"), "CLAVIGER_SOCKET": socket]
            let result = await Program.run(Program.claviger, arguments, environment: environment, input: input)
            try #require(result.status == 0, "\(result.errors)")
        }

        func python(_ script: String, _ arguments: [String]) async -> ProgramResult {
            await Program.run(
                Python.program, [Python.script(script), Program.root + "/api/agent.yaml", socket] + arguments)
        }
    }

    /// api/agent.yaml is what other languages' clients are made from.
    @Test func theAgentIsWhatItsDescriptionSays() async throws {
        let served = try await Served()
        let checked = await served.python("openapi_check.py", ["torq"])
        #expect(checked.status == 0, "\(checked.errors)")
        #expect(checked.output.split(separator: "\n").count == 6)
        try await served.run(["agent", "stop"])
    }

    /// Requests that the description allows and such that it does not, made up by a program that knows nothing else. What would
    /// end the agent is left out.
    @Test(arguments: [["--name", "torq"], []])
    func `no answer is one that the description does not know`(_ options: [String]) async throws {
        let served = try await Served()
        let checked = await served.python(
            "openapi_cases.py", options + ["--examples", Self.examples, "--leave-out", "lock", "--leave-out", "shutdown"])
        #expect(checked.status == 0, "\(checked.output)")
        try await served.run(["agent", "stop"])
    }

    /// For each operation.
    static let examples = Torture.isLong ? "2000" : "20"
}

extension MachineTests {
    @Suite(.enabled(if: Python.isThere, "make test makes the virtual environment that this needs"))
    struct OthersAPITests {
        /// Every operation, for others may end nothing.
        @Test func `no answer to others is one that the description does not know`() async throws {
            let machine = try await Machine()
            try await machine.keep("init")
            try await machine.add("torq")
            try await machine.keep("agent")
            try await machine.keep("allow", "torq", "--user", machine.developer)
            let user = try #require(unsafe getpwnam(machine.developer)).pointee.pw_uid
            let checked = await Program.run(
                Python.program,
                [
                    Python.script("openapi_cases.py"), Program.root + "/api/agent.yaml", Machine.folder + "/agent.sock", "--name",
                    "torq", "--uid", "\(user)", "--examples", AgentAPITests.examples,
                    // Whatever the method is: nothing is read of their bodies.
                    "--without", "unsupported_method",
                ])
            #expect(checked.status == 0, "\(checked.output)")
            try await machine.keep("token", "torq")
        }
    }
}
