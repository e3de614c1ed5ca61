import Foundation
import TestSupport
import Testing

/// Bad input: each refused with its own words and exit code, and nothing changed.
@Suite struct ProviderVariableTests {
    @Test func whatAProviderLeavesOpenIsGivenOrAskedFor() async throws {
        let fixture = try await CommandFixture()
        func add(_ more: String...) async -> ProgramResult {
            await Program.run(
                Program.claviger, ["add", "a", "--no-verify", "--client-id", "x", "--secret-file", "-"] + more,
                environment: fixture.environment, input: "made-up")
        }
        #expect(await add("--provider", "entra").refuses(64, "needs to know the tenant's id or domain"))
        #expect(await add("--provider", "entra", "--set", "tenant=a/b").refuses(64, "tenant must be one word or a host"))
        #expect(await add("--provider", "entra", "--set", "tenant").refuses(64, "--set takes name=value"))
        #expect(await add("--provider", "entra", "--set", "tenant=x", "--set", "t=x").refuses(64, "it has no variable"))
        #expect(await add("--token-url", "https://x.example/t", "--set", "tenant=x").refuses(64, "--set belongs to --provider"))
        let added = await add("--provider", "entra", "--set", "tenant=made-up.example")
        #expect(added.status == 0, "\(added.errors)")
        #expect(
            try await fixture.show("a")["token_url"] as? String
                == "https://login.microsoftonline.com/made-up.example/oauth2/v2.0/token")
        // On a terminal it is asked for.
        let terminal = PseudoTerminal(
            Program.claviger,
            [
                "add", "b", "--provider", "auth0", "--no-verify", "--client-id", "x", "--secret-file",
                fixture.folder.write("s", "made-up"),
            ],
            environment: fixture.environment, output: fixture.folder.file("out"))
        #expect(try await terminal.expect("eu.auth0.com: ").contains("the Auth0 domain"))
        terminal.type("made-up.example\n")
        #expect(await terminal.wait() == 0)
        #expect(try await fixture.show("b")["token_url"] as? String == "https://made-up.example/oauth/token")
        #expect(await fixture.run("providers", "okta").output.contains("POST https://domain/oauth2/default/v1/token"))
    }
}

@Suite struct RefresherRefusalTests {
    @Test func `nobody starts a refresher by hand`() async {
        let result = await Program.run(Program.core, ["refresher"])
        #expect(result.refuses(64, "claviger starts this by itself"))
    }
}

@Suite struct VaultRefusalTests {
    @Test func noVault() async throws {
        let fixture = CommandFixture(withoutVault: ())
        #expect(await fixture.run("list").refuses(66, "there is no vault at"))
    }

    @Test func aVaultThatIsThere() async throws {
        let fixture = try await CommandFixture()
        let before = bytes(ofFile: fixture.vault)
        #expect(await fixture.run("init").refuses(73, "already"))
        #expect(bytes(ofFile: fixture.vault) == before)
    }

    @Test func aWrongAndAnEmptyPassphrase() async throws {
        let fixture = CommandFixture(withoutVault: ())
        let right = fixture.folder.write("right", "made-up passphrase\n")
        let wrong = fixture.folder.write("wrong", "made-up other\n")
        let empty = fixture.folder.write("empty", "\n")
        func environment(_ file: String) -> [String: String] { ["HOME": fixture.folder.path, "CLAVIGER_PASSPHRASE_FILE": file] }
        #expect(await fixture.run("init", environment: environment(empty)).refuses(64, "is empty"))
        #expect(await fixture.run("init", environment: environment(right)).status == 0)
        #expect(await fixture.run("list", environment: environment(right)).status == 0)
        #expect(await fixture.run("list", environment: environment(wrong)).refuses(77, "does not open the vault"))
        let command = ["HOME": fixture.folder.path, "CLAVIGER_PASSPHRASE_COMMAND": "cat \(right)"]
        #expect(await fixture.run("list", environment: command).status == 0)
        let failing = ["HOME": fixture.folder.path, "CLAVIGER_PASSPHRASE_COMMAND": "cat \(right); false"]
        #expect(await fixture.run("list", environment: failing).refuses(78, "failed"))
    }

    @Test func noTerminalToAskOn() async throws {
        let fixture = try await CommandFixture()
        let bare = ["HOME": fixture.folder.path]
        #expect(await fixture.run("list", environment: bare).refuses(77, "no terminal"))
        #expect(await fixture.run("--vault", fixture.folder.file("new"), "init", environment: bare).refuses(64, "no terminal"))
        #expect(
            await fixture.run("add", "a", "--token-url", "https://example.com", "--client-id", "x")
                .refuses(64, "no client secret was given, and there is no terminal"))
        #expect(await fixture.run("add", "a", "--token-url", "https://example.com").refuses(64, "no client id was given"))
    }

    @Test func damagedAndNewerVaults() async throws {
        let fixture = try await CommandFixture()
        let whole = bytes(ofFile: fixture.vault)
        func write(_ bytes: [UInt8]) { fixture.folder.write(".local/share/claviger/vault", bytes) }
        write(Array(whole.dropLast()))
        #expect(await fixture.run("list").refuses(65, "the vault is damaged: its root"))
        write(whole + [0])
        #expect(await fixture.run("list").refuses(65, "the vault is damaged: its records have trailing bytes"))
        write(Array(whole.prefix(20)))
        #expect(await fixture.run("list").refuses(65, "the vault is damaged: its header"))
        write([])
        #expect(await fixture.run("list").refuses(65, "the vault is damaged: its header"))
        var newer = whole
        newer[8] = 2
        write(newer)
        #expect(await fixture.run("list").refuses(65, "format 2"))
        var long = whole
        long[14] = 2
        write(long)
        let limit = await fixture.run("list")
        #expect(limit.refuses(65, "the vault is damaged: its header has a length over the limit of 65536"))
        // A way back is named only where there is one.
        #expect(!limit.errors.contains("hint:"))
        fixture.folder.write(".local/share/claviger/vault.previous", whole)
        #expect(await fixture.run("list").errors.contains("hint: the state before the last change is in the file"))
    }

    @Test func `a slot that was made in the last second there can be is listed`() async throws {
        let fixture = CommandFixture(withoutVault: ())
        let vector = try #require(Vector.all.first { $0.name == "note-of-the-last-second" })
        let key = fixture.folder.write("key", "claviger-key-1 404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f\n")
        let vault = fixture.folder.write("vault", vector.file)
        let result = await fixture.run("key", "list", "--vault", vault, "--key-file", key)
        #expect(result.status == 0 && result.output.contains("9999-12-31T23:59:59Z"), "\(result.errors)")
    }

    @Test func whatIsNoVaultFile() async throws {
        let fixture = try await CommandFixture()
        #expect(await fixture.run("--vault", fixture.folder.path, "list").refuses(66, "is a folder"))
        mkfifo(fixture.folder.file("fifo"), 0o600)
        #expect(await fixture.run("list", "--vault", fixture.folder.file("fifo")).refuses(66, "is a FIFO"))
        chmod(fixture.vault, 0o644)
        #expect(await fixture.run("list").refuses(77, "mode 644"))
    }

    @Test func keyFilesThatAreNone() async throws {
        let fixture = try await CommandFixture()
        let other = fixture.folder.file("other")
        #expect(await fixture.run("init", "--vault", fixture.folder.file("v2"), "--key-file", other).status == 0)
        #expect(await fixture.run("list", "--key-file", other).refuses(77, "does not open the vault"))
        #expect(await fixture.run("list", "--key-file", fixture.folder.file("nowhere")).refuses(66, "open the key file"))
        let text = fixture.folder.write("text", "hello\n")
        #expect(await fixture.run("list", "--key-file", text).refuses(65, "the key file is not a claviger key file"))
        #expect(await fixture.run("list", "--key-file", fixture.vault).refuses(65, "the key file is a vault, not a key file"))
        #expect(await fixture.run("list", "--vault", other).refuses(64, "what was named as the vault is a key file"))
    }

    @Test func aVaultPutBack() async throws {
        let fixture = try await CommandFixture()
        let older = bytes(ofFile: fixture.vault)
        let added = await fixture.run(
            "add", "a", "--no-verify", "--token-url", "https://example.com/t", "--client-id", "x", "--secret-file", "-",
            input: "made-up")
        #expect(added.status == 0)
        fixture.folder.write(".local/share/claviger/vault", older)
        #expect(await fixture.run("list").refuses(65, "generation 1"))
        #expect(await fixture.run("--accept-older-vault", "list").status == 0)
        #expect(await fixture.run("list").status == 0)
    }

    @Test(.enabled(if: geteuid() == 0, "needs root, to mount a small file system"))
    func aFullDisk() async throws {
        let fixture = try await CommandFixture()
        let disk = fixture.folder.file("disk")
        mkdir(disk, 0o700)
        #expect(await Program.run("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=20k", "none", disk]).status == 0)
        let made = await fixture.run("--vault", disk + "/vault", "init")
        var last = made
        for number in 0..<20 where last.status == 0 {
            last = await fixture.run(
                "--vault", disk + "/vault", "add", "n\(number)", "--no-verify", "--token-url", "https://example.com/t",
                "--client-id",
                "x", "--secret-file", "-", input: "made-up")
        }
        let list = await fixture.run("--vault", disk + "/vault", "list")
        _ = await Program.run("/usr/bin/umount", ["-l", disk])
        #expect(made.status == 0)
        #expect(last.refuses(74, "the disk is full"))
        #expect(list.status == 0)
    }
}

@Suite struct InputRefusalTests {
    @Test(arguments: [
        ("http://example.com/t", "in the clear"), ("https://user:made-up@example.com/t", "user name or password"),
        ("file:///etc/passwd", "scheme file"), ("nonsense", "is not an address"), ("https://example.com/#x", "fragment"),
    ])
    func addresses(_ address: String, _ words: String) async throws {
        let fixture = try await CommandFixture()
        let before = bytes(ofFile: fixture.vault)
        let result = await fixture.run(
            "add", "a", "--token-url", address, "--client-id", "x", "--secret-file", "-", input: "made-up")
        #expect(result.refuses(64, words))
        #expect(!result.errors.contains("made-up"))
        #expect(bytes(ofFile: fixture.vault) == before)
    }

    @Test(arguments: ["a/b", "a\nb", "", String(repeating: "a", count: 129), "a\u{1B}[31m"])
    func names(_ name: String) async throws {
        let fixture = try await CommandFixture()
        let result = await fixture.run(
            "add", name, "--token-url", "https://example.com", "--client-id", "x", "--secret-file", "-", input: "made-up")
        #expect(result.refuses(64, "the name"))
        #expect(!result.errors.contains("\u{1B}"))
    }

    @Test(arguments: [
        ("", "is empty"), ("\n", "is empty"), ("one\ntwo\n", "not one line"), ("tab\there", "not one line"),
        ("\u{1B}[0m", "not one line"),
    ])
    func secrets(_ input: String, _ words: String) async throws {
        let fixture = try await CommandFixture()
        #expect(
            await fixture.run(
                "add", "a", "--token-url", "https://example.com", "--client-id", "x", "--secret-file", "-", input: input
            ).refuses(64, words))
    }

    @Test func aSecretThatIsTooLong() async throws {
        let fixture = try await CommandFixture()
        let input = String(repeating: "x", count: 70_000)
        #expect(
            await fixture.run(
                "add", "a", "--token-url", "https://example.com", "--client-id", "x", "--secret-file", "-", input: input
            ).refuses(64, "longer than 65536"))
    }

    @Test func standardInputClosed() async throws {
        let fixture = try await CommandFixture()
        let line = "exec \(Program.claviger) add a --token-url https://example.com --client-id x --secret-file - <&-"
        let result = await Program.run("/bin/sh", ["-c", line], environment: fixture.environment)
        #expect(result.refuses(66, "cannot read the client secret from standard input"))
    }

    @Test func standardOutputClosedOrFull() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        for redirection in [">&-", ">/dev/full"] {
            let line = "exec \(Program.claviger) token torq \(redirection)"
            let result = await Program.run("/bin/sh", ["-c", line], environment: fixture.environment)
            #expect(result.refuses(74, "cannot write to standard output"))
        }
    }

    @Test func jsonThatIsNone() async throws {
        let fixture = try await CommandFixture()
        for (input, words) in [
            ("nonsense", "not a JSON object"), ("[]", "not a JSON object"), (#"{"client_id":"x"}"#, "no client_secret"),
            (#"{"client_id":"x","client_secret":"a\nb"}"#, "not one line"),
        ] {
            #expect(
                await fixture.run("add", "a", "--token-url", "https://example.com", "--from-json", "-", input: input).refuses(
                    64, words))
        }
    }

    @Test func takenAndUnknownNames() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        let taken = await fixture.run(
            "add", "torq", "--token-url", "https://example.com", "--client-id", "x", "--secret-file", "-", input: "y")
        #expect(taken.refuses(73, "there is a credential “torq” already"))
        #expect(await fixture.run("token", "torg").refuses(66, "did you mean “torq”?"))
        #expect(await fixture.run("rotate", "google", "--secret-file", "-", input: "x").refuses(66, "no credential “google”"))
        #expect(await fixture.run("add", "x", "--provider", "torg").refuses(64, "no provider “torg”"))
    }

    @Test func usage() async throws {
        let fixture = try await CommandFixture()
        #expect(await fixture.run("add", "x").refuses(64, "neither a provider nor a token endpoint"))
        #expect(await fixture.run("token").refuses(64, "missing expected argument"))
        #expect(await fixture.run("token", "a", "--min-ttl", "soon").refuses(64, "min-ttl"))
        #expect(await fixture.run("token", "a", "--min-ttl=-1").refuses(64, "--min-ttl"))
        #expect(await fixture.run("token", "a", "--fresh", "--rejected").refuses(64, "--rejected implies"))
        #expect(await fixture.run("nonsense").refuses(64, "nonsense"))
        #expect(await fixture.run("edit", "x").refuses(64, "nothing was given"))
        #expect(await fixture.run("rotate", "x", "--rollback", "--resume").refuses(64, "exclude each other"))
        #expect(await fixture.run("add", "x", "--from-json", "-", "--secret-file", "-").refuses(64, "share standard input"))
        #expect(await fixture.run("add", "x", "--header", "no colon", "--provider", "torq").refuses(64, "'name: value'"))
        #expect(await fixture.run("add", "x", "--header", "a: b\r\nc: d", "--provider", "torq").refuses(64, "no header may have"))
        #expect(await fixture.run("add", "x", "--ca-file", fixture.keyFile, "--provider", "torq").refuses(64, "no certificate"))
        let help = await fixture.run("--help")
        #expect(help.status == 0 && help.output.contains("SUBCOMMANDS") && help.errors == "")
    }
}

@Suite struct PolicyExplainTests {
    @Test func `what a user may have is said, with the rule that decides`() async throws {
        let fixture = try await CommandFixture()
        let added = await fixture.run(
            "add", "a", "--token-url", "https://127.0.0.1:1/t", "--client-id", "x", "--secret-file",
            fixture.folder.write("s", "made-up"), "--no-verify")
        #expect(added.status == 0, "\(added.errors)")
        func explain(_ arguments: String...) async -> ProgramResult {
            await Program.run(
                Program.core, ["policy", "explain", "a", "--user"] + arguments, environment: fixture.environment)
        }
        #expect(await explain("4711").output == "no rule lets 4711 have tokens of a\n")
        _ = await fixture.run("allow", "a", "--user", "4711", "--max-ttl", "1h")
        #expect(
            await explain("4711").output
                == "4711 may have tokens of a, that live for 1h 0m at most, by the rule for user 4711; scopes: the credential's own\n"
        )
        #expect(await explain("4711", "--scope", "x").output == "no rule lets 4711 have tokens of a with the scopes x\n")
        #expect(await explain("4711", "--json").output.contains(#""allowed" : true"#))
        #expect(await explain("4711", "--scope", "x", "--json").output.contains(#""allowed" : false"#))
        #expect(await explain("root").output.hasPrefix("no rule limits root"))
        #expect(await explain("made-up-user").refuses(66, "there is no user"))
        #expect(await fixture.run("policy", "explain", "b", "--user", "root").refuses(66, "there is no credential"))
    }
}

@Suite struct MissingProcTests {
    /// The runtime finds no arguments then, and a command without any is one that prints its help.
    @Test(.enabled(if: geteuid() == 0, "needs root, to cover /proc"))
    func `without proc no command passes for another`() async throws {
        let fixture = try await CommandFixture()
        let script = "mount -t tmpfs none /proc && exec \"$0\" \"$@\""
        let result = await Program.run(
            "/usr/bin/unshare", ["-m", "/bin/sh", "-c", script, Program.core, "list"], environment: fixture.environment)
        #expect(result.refuses(78, "the arguments of this command can't be read"), "\(result)")
    }

    @Test(.enabled(if: geteuid() == 0, "needs root, to cover /proc"))
    func `without proc nothing of the current folder runs`() async throws {
        let folder = TemporaryFolder()
        // What somebody else has left there.
        let planted = folder.write("claviger-core", "#!/bin/sh\necho planted\n")
        chmod(planted, 0o755)
        symlink(Program.claviger, folder.file("claviger"))
        let script = "mount -t tmpfs none /proc && cd \"$1\" && exec \"$2\" list"
        for (name, words) in [
            ("./claviger", "it can't be told where claviger is installed"),
            (Program.claviger, "the arguments of this command can't be read"),
            (folder.file("claviger"), "the arguments of this command can't be read"),
        ] {
            let result = await Program.run("/usr/bin/unshare", ["-m", "/bin/sh", "-c", script, "sh", folder.path, name])
            #expect(result.refuses(78, words), "\(name): \(result)")
        }
    }
}

@Suite struct ServerRefusalTests {
    private static let faults: [(String, Int32, String)] = [
        (#"{"status":302,"headers":{"Location":"https://example.com/"}}"#, 69, "sends us elsewhere (status 302)"),
        (#"{"body":"<html>hello</html>"}"#, 69, "no JSON object"),
        (#"{"body":""}"#, 69, "an empty answer"),
        (#"{"body":"{}"}"#, 69, "no access token"),
        (#"{"body":"{\"access_token\":\"a\",\"expires_in\":\"3600abc\"}"}"#, 69, "a lifetime"),
        (#"{"body":"{\"access_token\":\"a\\nb\"}"}"#, 69, "characters that no token may have"),
        (#"{"huge_body":5000000}"#, 69, "larger than any token"),
        (#"{"huge_body":200000}"#, 69, "too long for any request"),
        (#"{"status":429,"headers":{"Retry-After":"900"}}"#, 75, "rate limited by the server"),
        (#"{"status":400,"body":"{\"error\":\"invalid_scope\"}"}"#, 77, "invalid_scope"),
        (#"{"status":401}"#, 77, "rotate torq"),
    ]

    @Test(arguments: faults.indices)
    func answersThatAreNoTokens(_ index: Int) async throws {
        let (fault, status, words) = Self.faults[index]
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        try await server.fail(fault)
        #expect(await fixture.run("token", "torq", "--fresh").refuses(status, words))
        #expect(await fixture.run("token", "torq").status == 0)
    }

    @Test func aServerThatIsNotThere() async throws {
        let fixture = try await CommandFixture()
        let before = bytes(ofFile: fixture.vault)
        let result = await fixture.run(
            "add", "a", "--token-url", "http://127.0.0.1:1/t", "--client-id", "x", "--secret-file", "-", input: "made-up")
        #expect(result.refuses(69, "cannot reach 127.0.0.1: the connection was refused"))
        #expect(bytes(ofFile: fixture.vault) == before)
    }

    @Test func addingAWrongSecretStoresNothing() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        let before = bytes(ofFile: fixture.vault)
        let result = await fixture.run(
            "add", "torq", "--provider", "torq", "--token-url", server.address + "/torq/v1/auth/token", "--client-id", "x",
            "--secret-file", "-", input: "made-up-wrong")
        #expect(result.refuses(77, "invalid_client"))
        #expect(!result.errors.contains("made-up-wrong"))
        #expect(bytes(ofFile: fixture.vault) == before)
    }

    @Test func rotatingToAWrongSecretKeepsTheOldPair() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        let old = try await fixture.addTorq(server)
        #expect(await fixture.run("rotate", "torq", "--secret-file", "-", input: "made-up-wrong").refuses(77, "invalid_client"))
        let shown = try await fixture.show("torq")
        #expect(shown["client_id"] as? String == old.id)
        #expect(shown["staged_key_pair_since"] == nil)
        #expect(await fixture.run("token", "torq", "--fresh").status == 0)
    }

    @Test func aRotationThatCouldNotBeProvenIsFinishedLater() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        let new = try await server.newKeys("torq")
        try await server.fail(#"{"body":"<html>maintenance</html>"}"#)
        let result = await fixture.run("rotate", "torq", "--from-json", "-", input: new.json)
        #expect(result.refuses(69, "rotate torq --resume"))
        #expect(await fixture.run("list").output.contains("rotation unfinished"))
        #expect(await fixture.run("rotate", "torq", "--resume").status == 0)
        #expect(try await fixture.show("torq")["client_id"] as? String == new.id)
    }
}

@Suite struct PromptTests {
    @Test func passphrasesAreAskedForTwiceAndNotShown() async throws {
        let fixture = CommandFixture(withoutVault: ())
        let environment = ["HOME": fixture.folder.path]
        let terminal = PseudoTerminal(Program.claviger, ["init"], environment: environment, output: fixture.folder.file("out"))
        _ = try await terminal.expect("new passphrase for")
        #expect(!terminal.echoes)
        terminal.type("made-up words one\n")
        let second = try await terminal.expect("the same again: ")
        #expect(!second.contains("made-up"))
        terminal.type("made-up words onX\u{7F}e\n")
        #expect(try await terminal.expect("keep a copy").contains("made the vault"))
        #expect(await terminal.wait() == 0)

        let reader = PseudoTerminal(Program.claviger, ["list"], environment: environment, output: fixture.folder.file("out"))
        #expect(try await reader.expect("passphrase of").contains("vault: "))
        reader.type("made-up words one\n")
        #expect(try await reader.expect("empty").contains("the vault is empty"))
        #expect(await reader.wait() == 0)
    }

    @Test func addAsksForWhatIsMissingAndSaysWhereItIsMade() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        let keys = try await server.newKeys("torq")
        let terminal = PseudoTerminal(
            Program.claviger,
            ["add", "torq", "--provider", "torq", "--token-url", server.address + "/torq/v1/auth/token"],
            environment: fixture.environment, output: fixture.folder.file("out"))
        #expect(try await terminal.expect("): ").contains("client id of torq (made in the Torq dashboard"))
        terminal.type(keys.id + "\n")
        _ = try await terminal.expect("not shown: ")
        #expect(!terminal.echoes)
        terminal.type(keys.secret + "\n")
        let screen = try await terminal.expect("proven")
        #expect(!screen.contains(keys.secret))
        #expect(await terminal.wait() == 0)
        #expect(bytes(ofFile: fixture.folder.file("out")).isEmpty)
    }

    @Test func differentPassphrasesMakeNoVault() async throws {
        let fixture = CommandFixture(withoutVault: ())
        let terminal = PseudoTerminal(
            Program.claviger, ["init"], environment: ["HOME": fixture.folder.path], output: fixture.folder.file("out"))
        _ = try await terminal.expect("new passphrase")
        terminal.type("made-up words one\n")
        _ = try await terminal.expect("again")
        terminal.type("made-up words two\n")
        #expect(try await terminal.expect("not the same").contains("error: the two passphrases are not the same"))
        #expect(await terminal.wait() == 64)
        #expect(!FileManager.default.fileExists(atPath: fixture.vault))
    }

    @Test func removeAsks() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        for (answer, status) in [("\n", Int32(75)), ("y\n", 0)] {
            let terminal = PseudoTerminal(
                Program.claviger, ["remove", "torq"], environment: fixture.environment, output: fixture.folder.file("out"))
            _ = try await terminal.expect("[y/N] ")
            terminal.type(answer)
            #expect(await terminal.wait() == status)
        }
        #expect(await fixture.run("list").errors.contains("the vault is empty"))
    }
}
