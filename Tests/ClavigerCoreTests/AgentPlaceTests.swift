import Foundation
import TestSupport
import Testing

/// Where the agent is found, and that none is left behind which nobody can reach.
@Suite(.timeLimit(.minutes(2))) struct AgentPlaceTests {
    let fixture: CommandFixture

    init() async throws { fixture = try await CommandFixture() }

    private func environment(_ socket: String) -> [String: String] {
        fixture.environment.merging(["CLAVIGER_SOCKET": socket]) { $1 }
    }

    /// The number of the agent's process.
    private func agent(_ environment: [String: String]) async throws -> Int32 {
        let status = await fixture.run("status", "--json", environment: environment)
        let json = try #require(try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any])
        return try #require((json["agent"] as? [String: Any])?["pid"] as? Int32)
    }

    @Test(arguments: [false, true])
    func `an agent without its socket locks and ends`(_ isReplaced: Bool) async throws {
        let environment = environment(fixture.folder.file("run/a.sock"))
        #expect(await fixture.run("unlock", environment: environment).status == 0)
        let old = try await agent(environment)
        // As at a log-out.
        try FileManager.default.removeItem(atPath: fixture.folder.file("run"))
        if isReplaced { #expect(await fixture.run("unlock", environment: environment).status == 0) }
        while kill(old, 0) == 0 { try await Task.sleep(for: .milliseconds(20)) }
        if isReplaced {
            #expect(try await agent(environment) != old)
            #expect(await fixture.run("agent", "stop", environment: environment).status == 0)
        }
        // An agent that ends takes its own away.
        while FileManager.default.fileExists(atPath: fixture.folder.file("run/a.sock")) {
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    @Test func `an agent stands on no folder and is called claviger`() async throws {
        let environment = environment(fixture.folder.file("a.sock"))
        #expect(await fixture.run("unlock", environment: environment).status == 0)
        let pid = try await agent(environment)
        func read(_ name: String) throws -> String {
            String(decoding: try Data(contentsOf: URL(fileURLWithPath: "/proc/\(pid)/\(name)")), as: UTF8.self)
        }
        #expect(try read("comm") == "claviger\n")
        #expect(try read("cmdline").hasPrefix("claviger\0agent\0run\0"))
        if geteuid() == 0 { #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd") == "/") }
        #expect(await fixture.run("agent", "stop", environment: environment).status == 0)
    }

    @Test func `many may unlock at once, and one agent runs`() async throws {
        let environment = environment(fixture.folder.file("a.sock"))
        let results = await withTaskGroup(of: ProgramResult.self) { group in
            for _ in 0..<8 { group.addTask { await fixture.run("unlock", environment: environment) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(results.allSatisfy { $0.status == 0 }, "\(results.map(\.errors))")
        #expect(await fixture.run("agent", "stop", environment: environment).status == 0)
        #expect(await fixture.run("lock", environment: environment).errors.contains("no agent runs"))
    }

    /// Cron, su and services are given no folder of the session's, or another user's.
    @Test(.enabled(if: geteuid() == 0)) func `root uses nothing of another user`() async throws {
        let (home, runtime) = (fixture.folder.file("theirs"), fixture.folder.file("runtime"))
        for folder in [home, runtime] {
            mkdir(folder, 0o755)
            try #require(chown(folder, 65534, 65534) == 0)
        }
        let handedOn = ["HOME": home, "XDG_RUNTIME_DIR": runtime, "CLAVIGER_KEY_FILE": fixture.keyFile]
        for command in [["init"], ["unlock"], ["agent"], ["status"], ["list"]] {
            let result = await Program.run(Program.claviger, command, environment: handedOn)
            #expect(result.refuses(78, "$HOME is another user's"), "\(command): \(result.errors)")
        }
        // So are those folders that a variable of its own names.
        let data = ["HOME": fixture.folder.path, "XDG_DATA_HOME": home, "XDG_STATE_HOME": home + "/state"]
        let own = fixture.environment.merging(data) { $1 }
        #expect(await fixture.run("list", environment: own).status == 0)
        // A vault that is named may lie anywhere.
        try FileManager.default.copyItem(atPath: fixture.vault, toPath: home + "/vault")
        try #require(chown(home + "/vault", 65534, 65534) == 0)
        let named = handedOn.merging(["CLAVIGER_VAULT": home + "/vault"]) { $1 }
        #expect(await fixture.run("list", environment: named).status == 0)
        for folder in [home, runtime] {
            for path in FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? [] {
                let owner = try FileManager.default.attributesOfItem(atPath: folder + "/" + path)[.ownerAccountID] as? Int
                #expect(owner == 65534, "\(path) is of \(owner ?? -1)")
            }
        }
    }

    /// Others could put another socket in the place of the agent's.
    @Test func `a runtime folder that others may write is left out`() async throws {
        let runtime = fixture.folder.file("runtime")
        mkdir(runtime, 0o700)
        chmod(runtime, 0o777)
        var variables = fixture.environment.merging(["XDG_RUNTIME_DIR": runtime]) { $1 }
        variables["CLAVIGER_SOCKET"] = nil
        #expect(await fixture.run("agent", environment: variables).status == 0)
        #expect(!FileManager.default.fileExists(atPath: runtime + "/claviger"))
        #expect(await fixture.run("agent", "stop", environment: variables).status == 0)
    }

    @Test func `a place that is no socket's is named`() async throws {
        let folder = fixture.folder.file("folder")
        mkdir(folder, 0o700)
        let file = fixture.folder.write("file", "made up")
        for (place, words) in [(folder, "there is a folder"), (file, "there is a file")] {
            let result = await fixture.run("agent", environment: environment(place))
            #expect(result.refuses(73, "cannot listen on \(place): \(words)"), "\(result.errors)")
            #expect(result.errors.contains("$CLAVIGER_SOCKET"))
        }
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "made up")
        #expect(await fixture.run("agent", environment: environment("/proc/a.sock")).errors.contains("/proc/a.sock"))
    }
}
