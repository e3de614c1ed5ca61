import Foundation
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct KeyCommandTests {
    private func withoutKey(_ fixture: CommandFixture) -> [String: String] {
        fixture.environment.filter { $0.key != "CLAVIGER_KEY_FILE" }
    }

    @Test func keysComeAndGo() async throws {
        let fixture = try await CommandFixture()
        let added = await fixture.run(
            "key", "add", "--new-passphrase-file", "-", "--label", "admins", input: "made-up words one\n")
        #expect(added.status == 0, "\(added.errors)")
        #expect(
            await fixture.run("key", "add", "--new-passphrase-file", "-", input: "made-up words one").refuses(
                64, "opens the vault already"))
        let passphrase = withoutKey(fixture).merging(["CLAVIGER_PASSPHRASE_FILE": fixture.folder.write("p", "made-up words one")])
        {
            $1
        }
        #expect(await fixture.run("list", environment: passphrase).status == 0)
        let rows = await fixture.run("key", "list").output.split(separator: "\n").map {
            $0.split(separator: " ").map(String.init)
        }
        #expect(rows.map { $0[1] } == ["KIND", "key", "passphrase"])
        #expect(rows[2].last == "admins")
        #expect(await fixture.run("key", "list", "--json").output.contains(#""kind" : "key_file""#))

        #expect(await fixture.run("key", "remove", rows[1][0]).refuses(64, "opened with the very key that is to go"))
        #expect(await fixture.run("key", "remove", "made-up").refuses(66, "no key of the vault has an id like"))
        #expect(await fixture.run("key", "remove", rows[1][0], environment: passphrase).status == 0)
        #expect(await fixture.run("list").refuses(77, "does not open the vault"))

        let file = await fixture.run("key", "add", "--new-key-file", fixture.folder.file("second"), environment: passphrase)
        #expect(file.status == 0 && file.errors.contains("made the key file"))
        #expect(await fixture.run("--key-file", fixture.folder.file("second"), "list").status == 0)
        #expect(await fixture.run("log", environment: passphrase).output.contains("key_remove"))
        #expect(await fixture.run("log", "--verify", environment: passphrase).status == 0)
    }

    @Test func `every change of the keys is in the log before its result is known`() async throws {
        let fixture = try await CommandFixture()
        #expect(await fixture.run("key", "remove", "made-up").status == 66)
        #expect(await fixture.run("key", "add", "--new-passphrase-file", "-", input: "made-up words one").status == 0)
        #expect(await fixture.run("passwd", "--new-passphrase-file", "-", input: "made-up words two").status == 0)
        let lines = await fixture.run("log").output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        #expect(
            lines.map { Array($0[1...2]) } == [
                ["key_remove", "begun"], ["key_remove", "failed"], ["key_add", "begun"], ["key_add", "done"],
                ["key_replace", "begun"], ["key_replace", "done"],
            ])
        // Each commit has sealed its own intent.
        #expect(await fixture.run("log", "--verify").errors.contains("the vault vouches for those up to 5;"))
        // What can't be logged is not told as done.
        try FileManager.default.removeItem(atPath: fixture.vault + ".log")
        try FileManager.default.createDirectory(atPath: fixture.vault + ".log", withIntermediateDirectories: false)
        let unlogged = await fixture.run("passwd", "--new-passphrase-file", "-", input: "made-up words three")
        #expect(unlogged.status != 0 && !unlogged.errors.contains("new passphrase"), "\(unlogged.errors)")
        // Nor is it done.
        try FileManager.default.removeItem(atPath: fixture.vault + ".log")
        let passphrase = fixture.folder.write("passphrase", "made-up words two")
        let environment = withoutKey(fixture).merging(["CLAVIGER_PASSPHRASE_FILE": passphrase]) { $1 }
        #expect(await fixture.run("list", environment: environment).status == 0)
    }

    @Test func aPassphraseIsChanged() async throws {
        let fixture = CommandFixture(withoutVault: ())
        let old = withoutKey(fixture).merging(["CLAVIGER_PASSPHRASE_FILE": fixture.folder.write("old", "made-up words one")]) {
            $1
        }
        let new = withoutKey(fixture).merging(["CLAVIGER_PASSPHRASE_FILE": fixture.folder.write("new", "made-up words two")]) {
            $1
        }
        try #require(await fixture.run("init", environment: old).status == 0)
        #expect(await fixture.run("passwd", environment: old).refuses(64, "no terminal to ask for a new passphrase"))
        #expect(await fixture.run("passwd", "--new-passphrase-file", "-", input: "", environment: old).status == 64)
        let changed = await fixture.run("passwd", "--new-passphrase-file", "-", input: "made-up words two\n", environment: old)
        #expect(changed.status == 0, "\(changed.errors)")
        #expect(await fixture.run("list", environment: old).refuses(77, "does not open the vault"))
        #expect(await fixture.run("list", environment: new).status == 0)
        // Who has a key file can help somebody who has forgotten the passphrase.
        #expect(await fixture.run("key", "add", "--new-key-file", fixture.keyFile, environment: new).status == 0)
        #expect(await fixture.run("passwd", "--new-passphrase-file", "-", input: "made-up words one").status == 0)
        #expect(await fixture.run("list", environment: old).status == 0)
        #expect(await fixture.run("key", "add", "--new-passphrase-file", "-", input: "made-up words three").status == 0)
        #expect(await fixture.run("passwd", "--new-passphrase-file", "-", input: "x").refuses(64, "several passphrases"))
    }

    /// As with `claviger --vault V list`: a command of two words is no other case.
    @Test func `the options of the vault stand before a command of two words, too`() async throws {
        let fixture = try await CommandFixture()
        let environment = withoutKey(fixture).merging(["HOME": fixture.folder.file("elsewhere")]) { $1 }
        let options = ["--vault", fixture.vault, "--key-file=" + fixture.keyFile]
        for command in [["key", "list"], ["key", "list", "--json"], ["policy", "list"], ["policy"], ["list"]] {
            let result = await Program.run(Program.claviger, options + command, environment: environment)
            #expect(result.status == 0, "\(command): \(result.errors)")
        }
        let added = await Program.run(
            Program.claviger, options + ["key", "add", "--new-passphrase-file", "-"], environment: environment,
            input: "made-up words")
        #expect(added.status == 0, "\(added.errors)")
        // A word behind a command of one word is that command's own, whatever it is.
        let shown = await Program.run(Program.claviger, options + ["show", "list"], environment: environment)
        #expect(shown.refuses(66, "there is no credential “list”"))
    }

    @Test func withoutAPassphraseThereIsNoneToChange() async throws {
        let fixture = try await CommandFixture()
        #expect(await fixture.run("passwd", "--new-passphrase-file", "-", input: "x").refuses(64, "opens with no passphrase"))
        let both = await fixture.run("key", "add", "--new-passphrase-file", "-", "--new-key-file", "/x", input: "x")
        #expect(both.refuses(64, "can't both be given"))
    }

    @Test func statusSaysWhatThereIsToDo() async throws {
        let home = try await AgentHome()
        let before = await home.run("status", as: home.admin)
        #expect(before.status == 0 && before.output.contains("none runs") && before.output.contains("torq"))
        #expect(!before.output.contains("To do"))
        try await home.unlock("--ttl", "1h")
        let open = await home.run("status")
        #expect(open.output.contains("unlocked, locks at") && open.output.contains("ready"), "\(open.output)")
        // A key pair that died.
        _ = try await home.server.newKeys("torq")
        try await home.server.fail(#"{"status":401,"body":"{\"error\":\"invalid_client\"}"}"#)
        #expect(await home.run("token", "torq", "--fresh").status == 77)
        let refused = await home.run("status")
        #expect(refused.output.contains("torq: the server refuses the key pair; make a new one, and claviger rotate torq"))
        let json = try JSONSerialization.jsonObject(with: Data(await home.run("status", "--json").output.utf8)) as? [String: Any]
        #expect((json?["agent"] as? [String: Any])?["locked"] as? Bool == false)
        #expect((json?["to_do"] as? [[String: Any]])?.count == 1)
        #expect(await home.run("lock").status == 0)
        let locked = await home.run("status")
        #expect(locked.status == 77 && locked.output.contains("locked; claviger unlock opens"))
        // A key of another vault's says nothing of this agent's.
        let other = try await CommandFixture()
        let elsewhere = await home.run("--vault", other.vault, "--key-file", other.keyFile, "status")
        #expect(elsewhere.status == 0 && elsewhere.output.contains("serves \(home.fixture.vault)"), "\(elsewhere.output)")
    }
}
