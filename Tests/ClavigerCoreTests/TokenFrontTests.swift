import Foundation
import TestSupport
import Testing

/// Every way to say `token`, to the thin front alone and to the core: both print the same, and end with the same status.
@Suite(.timeLimit(.minutes(3))) struct TokenFrontTests {
    /// What the thin front answers by itself where an agent runs. `VAULT` stands for the vault's path.
    private static let answered: [[String]] = [
        ["token", "torq"], ["token", "torq", "--min-ttl", "60"], ["token", "--min-ttl=60", "torq"],
        ["token", "torq", "--vault", "VAULT"], ["token", "torq", "--vault=VAULT"], ["--vault", "VAULT", "token", "torq"],
        ["--vault=VAULT", "token", "torq"], ["token", "torq", "--scope", "read"], ["token", "torq", "--scope", "read write"],
        ["token", "--scope", "read", "torq", "--scope=write"], ["token", "torq", "--audience", "https://made-up.example/?a&b"],
        ["token", "torq", "--format", "raw"], ["token", "torq", "--format=header"],
        ["token", "torq", "--format", "headers-json"],
        ["token", "--format", "curl", "torq"], ["token", "torq", "--format", "netrc"], ["token", "torq", "--format", "env"],
        ["token", "torq", "--format", "json"], ["token", "torq", "--reason", "made up, with \u{e4} & more"],
        ["token", "torq", "--take-over"],
        // Refused by the agent, with its words.
        ["token", "tork"], ["token", "no such", "--format", "json"], ["token", "torq", "--min-ttl", "999999999"],
    ]

    /// What only the core can answer: a mistake, or a key that opens the vault itself.
    private static let handedOn: [[String]] = [
        ["token"], ["token", "torq", "tork"], ["token", "torq", "--min-ttl", "soon"], ["token", "torq", "--min-ttl", "-1"],
        ["token", "torq", "--min-ttl=-1"], ["token", "torq", "--format", "made-up"], ["token", "torq", "--format"],
        ["token", "torq", "--format="], ["token", "torq", "--scope", ""], ["token", "torq", "--scope", "a\"b"],
        ["token", "torq", "--scope", "--fresh"], ["token", "torq", "--fresh", "--rejected"], ["token", "torq", "--fresh=1"],
        ["token", "torq", "--made-up"], ["token", "torq", "-x"], ["token", "", "torq"], ["token", "--", "torq"],
        ["token", "torq", "--vault", "/made/up"], ["--vault", "/made/up", "token", "torq"], ["--fresh", "token", "torq"],
        ["token", "torq", "--rejected-token-file", "/made/up"], ["token", "torq", "--key-file", "/made/up"],
        ["--accept-older-vault", "token", "torq"], ["token", "a", "--reason"], ["--vault"],
    ]

    /// A copy of the front with no core beside it.
    private static func alone(_ home: AgentHome) throws -> String {
        let path = home.fixture.folder.file("claviger")
        try FileManager.default.copyItem(atPath: Program.claviger, toPath: path)
        return path
    }

    /// Without what changes from second to second.
    private static func still(_ text: String) -> String {
        text.replacing(try! Regex(#""expires_in" : [0-9]+"#), with: "")
    }

    @Test func `the front says what the core says, by the agent`() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        let alone = try Self.alone(home)
        for words in Self.answered {
            let arguments = words.map { $0.replacing("VAULT", with: home.fixture.vault) }
            let core = await Program.run(Program.core, arguments, environment: home.caller)
            let front = await Program.run(alone, arguments, environment: home.caller)
            #expect(front.status == core.status, "\(words)")
            #expect(Self.still(front.output) == Self.still(core.output), "\(words)")
            #expect(front.errors == core.errors, "\(words)")
        }
    }

    @Test func `what the front does not understand is the core's`() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        let alone = try Self.alone(home)
        for words in Self.handedOn {
            let core = await Program.run(Program.core, words, environment: home.caller)
            let front = await Program.run(Program.claviger, words, environment: home.caller)
            #expect((front.status, front.output, front.errors) == (core.status, core.output, core.errors), "\(words)")
            let missing = await Program.run(alone, words, environment: home.caller)
            #expect(missing.refuses(78, "claviger-core is neither beside"), "\(words)")
        }
    }

    @Test func `a new token is new, whoever asks`() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        let alone = try Self.alone(home)
        func token(_ arguments: String...) async -> String {
            let result = await Program.run(alone, ["token", "torq"] + arguments, environment: home.caller)
            #expect(result.status == 0, "\(result.errors)")
            return result.output
        }
        let first = await token()
        let second = await token("--fresh")
        let third = await token("--rejected")
        #expect(Set([first, second, third]).count == 3)
        #expect(await token() == third)
    }

    /// The agent is told which token was rejected, and never the token itself.
    @Test func `the rejected token comes from a file, else from the variable`() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        let alone = try Self.alone(home)
        let file = home.fixture.folder.write("rejected", "made-up-token\n")
        for program in [alone, Program.core] {
            let before = try await home.server.counts().requests
            let named = await Program.run(
                program, ["token", "torq", "--rejected-token-file", file], environment: home.caller)
            #expect(named.status == 0, "\(named.errors)")
            let variable = home.caller.merging(["TORQ_ACCESS_TOKEN": "made-up-token"]) { $1 }
            #expect(await Program.run(program, ["token", "torq", "--rejected"], environment: variable).status == 0)
            #expect(try await home.server.counts().requests <= before + 2)
        }
        // A pipe can be read once: by the core.
        let piped = await Program.run(
            Program.claviger, ["token", "torq", "--rejected-token-file", "-"], environment: home.caller, input: "made-up-token\n")
        #expect(piped.status == 0, "\(piped.errors)")
        let empty = await Program.run(
            Program.claviger, ["token", "torq", "--rejected-token-file", "-"], environment: home.caller, input: "")
        #expect(empty.refuses(64, "the rejected token from standard input is empty"))
        #expect(home.fixture.folder.filesHolding("made-up-token").map { $0.hasSuffix("rejected") } == [true])
    }

    @Test func `the vault that is meant is the same for both`() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        let alone = try Self.alone(home)
        let link = home.fixture.folder.file("link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: home.fixture.vault)
        for vault in [home.fixture.vault, link] {
            let environment = home.caller.merging(["CLAVIGER_VAULT": vault]) { $1 }
            #expect(await Program.run(alone, ["token", "torq"], environment: environment).status == 0)
            let exec = await Program.run(
                alone, ["exec", "torq", "--", "/bin/sh", "-c", "test -n \"$TORQ_ACCESS_TOKEN\""], environment: environment)
            #expect(exec.status == 0, "\(exec.errors)")
        }
        // An empty one names none; a relative path is meant from here.
        #expect(
            await Program.run(alone, ["token", "torq"], environment: home.caller.merging(["CLAVIGER_VAULT": ""]) { $1 }).status
                == 0)
        let relative = "cd '\(home.fixture.folder.path)' && exec '\(alone)' token torq --vault .local/share/claviger/vault"
        #expect(await Program.run("/bin/sh", ["-c", relative], environment: home.caller).status == 0)
        let other = home.caller.merging(["CLAVIGER_VAULT": "/made/up"]) { $1 }
        #expect(await Program.run(Program.claviger, ["token", "torq"], environment: other).refuses(78, "serves another vault"))
    }

    /// The XDG Base Directory Specification: a relative path is invalid, and ignored.
    @Test func `a relative folder in an XDG variable is ignored by both`() async throws {
        let fixture = try await CommandFixture()
        var environment = fixture.environment
        for name in ["XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] { environment[name] = "made-up" }
        #expect(await fixture.run("list", environment: environment).status == 0)
        environment["CLAVIGER_SOCKET"] = nil
        let started = await fixture.run("unlock", environment: environment)
        #expect(started.status == 0, "\(started.errors)")
        let socket = fixture.folder.file(".local/state/claviger/agent.sock")
        #expect(FileManager.default.fileExists(atPath: socket))
        environment["CLAVIGER_KEY_FILE"] = nil
        #expect(await fixture.run("list", environment: environment).status == 0)
        #expect(await fixture.run("token", "tork", environment: environment).status == 66)
        #expect(await fixture.run("agent", "stop", environment: environment).status == 0)
    }

    @Test(arguments: [">&-", ">/dev/full"])
    func `a token that can't be printed is no success`(_ redirection: String) async throws {
        let home = try await AgentHome()
        try await home.unlock()
        for program in [Program.claviger, Program.core] {
            let line = "exec '\(program)' token torq \(redirection)"
            let result = await Program.run("/bin/sh", ["-c", line], environment: home.caller)
            #expect(result.refuses(74, "cannot write to standard output: "), "\(result.errors)")
        }
    }
}
