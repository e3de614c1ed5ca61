import Foundation
import TestSupport
import Testing

/// What any version has stored, this one reads: each test runs on the fixtures of each generation.
@Suite(.timeLimit(.minutes(2))) struct ReadingTests {
    @Test func `there are fixtures`() throws {
        #expect(Generation.all.count >= 1)
        #expect(Generation.credentials.count >= 20)
        // Tokens end one day: then it is time for the next generation.
        #expect(try Generation.credentials.count { try $0.liveToken() != nil } >= 15)
    }

    @Test(arguments: Generation.all)
    func `shows every credential as it was shown then`(_ generation: Generation) async throws {
        let home = try StoredHome(generation)
        let expected = try generation.expected()
        let recorded = try #require(expected["list"] as? [Any]).map(JSON.atThisTime)
        #expect(JSON.lost(recorded, try await home.json("list")) == [])
        let each = try #require(expected["show"] as? [String: Any])
        for (name, credential) in each {
            #expect(JSON.lost(try JSON.atThisTime(credential), try await home.json("show", name)) == [], "\(name)")
        }
    }

    @Test(arguments: Generation.all)
    func `lists rules, keys and providers as they were listed then`(_ generation: Generation) async throws {
        let home = try StoredHome(generation)
        let expected = try generation.expected()
        #expect(JSON.lost(try #require(expected["policy"]), try await home.json("policy", "list")) == [])
        #expect(JSON.lost(try #require(expected["keys"]), try await home.json("key", "list")) == [])
        let providers = try #require(expected["providers"] as? [String: Any])
        for (name, provider) in providers {
            #expect(JSON.lost(provider, try await home.json("providers", name)) == [], "\(name)")
        }
    }

    @Test(arguments: Generation.all)
    func `reads and verifies the log with its rotated files`(_ generation: Generation) async throws {
        let home = try StoredHome(generation)
        let recorded = try #require(try generation.expected()["log"] as? [Any])
        let lines = try await home.does("log", "--json").split(separator: "\n")
        let found = try lines.map { try JSON.object(Array($0.utf8)) }
        #expect(JSON.lost(recorded, found) == [])
        #expect(await home.run(["log", "--verify"]).errors.contains("the log is whole: \(recorded.count) lines"))
        // The text of each kind of event, too: a line that is not understood would be left out.
        #expect(try await home.does("log").split(separator: "\n").count == recorded.count)
    }

    /// The chain goes on where the older version's ended, and the sealed head still vouches for its lines.
    @Test(arguments: Generation.all)
    func `goes on with the log`(_ generation: Generation) async throws {
        let home = try StoredHome(generation)
        let recorded = try #require(try generation.expected()["log"] as? [Any])
        let shortened = home.vault + ".log"
        let whole = bytes(ofFile: shortened)
        try await home.does("rename", "renamed", "renamed-again")
        #expect(await home.run(["log", "--verify"]).errors.contains("the log is whole: \(recorded.count + 2) lines"))
        home.folder.write("data/claviger/vault.log", Array(whole.dropLast(400)))
        #expect(await home.run(["log", "--verify"]).status == 65)
    }

    @Test(arguments: Generation.credentials.filter { (try? $0.liveToken()) != nil })
    func `hands out the cached token`(_ stored: Generation.Stored) async throws {
        let home = try StoredHome(stored.generation)
        #expect(try await home.does("token", stored.name) == (try #require(try stored.liveToken())) + "\n")
    }

    @Test(arguments: Generation.all)
    func `opens with the passphrase, too`(_ generation: Generation) async throws {
        let home = try StoredHome(generation)
        var environment = home.environment
        environment["CLAVIGER_KEY_FILE"] = nil
        environment["CLAVIGER_PASSPHRASE_FILE"] = home.folder.write("passphrase", "made-up new passphrase\n")
        let listed = await Program.run(Program.claviger, ["list"], environment: environment)
        #expect(listed.status == 0, "\(listed.errors)")
    }

    /// The generation file says that a newer state was seen here.
    @Test(arguments: Generation.all)
    func `remembers the newest generation, and opens the previous one where that is accepted`(_ generation: Generation)
        async throws
    {
        let home = try StoredHome(generation)
        home.folder.write("data/claviger/vault", bytes(ofFile: home.vault + ".previous"))
        #expect(await home.run(["list"]).refuses(65, "older"))
        try await home.does("--accept-older-vault", "list")
        try await home.does("list")
    }

    /// A provider file fills the same members of a record that it filled then.
    @Test(arguments: Generation.all)
    func `makes a credential from the provider file`(_ generation: Generation) async throws {
        let home = try StoredHome(generation)
        try await home.does(
            "add", "new", "--provider", "everything", "--set", "tenant=made-up", "--client-id", "made-up-client", "--secret-file",
            "-", "--no-verify", input: "made-up-secret")
        let recorded = try #require(try generation.contents().description("everything")["settings"] as? [String: Any])
        let given = [
            "audiences", "resources", "placement", "certificate_authority", "key_id", "subject", "actor", "resend", "issuer",
            "secret_headers", "secret_parameters",
        ]
        let found = try await home.contents().description("new")["settings"]
        #expect(JSON.lost(recorded.filter { !given.contains($0.key) }, found) == [])
    }

    /// As systemd starts it for somebody who has not replaced the units of an older version.
    @Test(arguments: Generation.all)
    func `the systemd units still start the agent`(_ generation: Generation) async throws {
        let home = try StoredHome(generation)
        func value(_ unit: String, _ key: String) throws -> String {
            let lines = String(decoding: bytes(ofFile: generation.path + "/units/claviger-agent." + unit), as: UTF8.self)
                .split(separator: "\n")
            return String(try #require(lines.first { $0.hasPrefix(key + "=") }).dropFirst(key.count + 1))
        }
        let start = try value("service", "ExecStart").split(separator: " ").map(String.init)
        #expect(start[0].hasSuffix("/libexec/claviger/claviger-core"))
        let runtime = home.folder.file("run")
        let socket = try value("socket", "ListenStream").replacing("%t", with: runtime)
        let script = """
            import os, socket, sys
            os.makedirs(os.path.dirname(sys.argv[1]))
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(sys.argv[1])
            listener.listen()
            os.dup2(listener.fileno(), 3)
            os.set_inheritable(3, True)
            os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
            os.execv(sys.argv[2], sys.argv[2:])
            """
        var environment = home.environment
        environment["CLAVIGER_SOCKET"] = nil
        environment["XDG_RUNTIME_DIR"] = runtime
        let agent = Program.spawn(
            "/usr/bin/python3", ["-c", script, socket, Program.core] + start.dropFirst(), environment: environment,
            input: "/dev/null", output: home.folder.file("out"), errors: home.folder.file("err"))
        let caller = environment.filter { $0.key != "CLAVIGER_KEY_FILE" }
        #expect(
            try await eventually {
                await Program.run(Program.claviger, ["token", "cc-basic"], environment: caller).status == 0
            })
        #expect(await Program.run(Program.claviger, ["agent", "stop"], environment: caller).status == 0)
        #expect(await Program.wait(agent) == 0)
    }
}
