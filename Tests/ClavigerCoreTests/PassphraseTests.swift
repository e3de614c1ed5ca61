import Foundation
import Sodium
import TestSupport
import Testing

@testable import ClavigerCore

@Suite struct PassphraseRuleTests {
    private func weakness(_ text: String, names: [String] = []) throws -> PassphraseRule.Weakness? {
        try PassphraseRule(names: names).weakness(of: Secret(utf8: text))
    }

    @Test(arguments: [
        "made-up of some words", "correct horse battery staple", "x9#Kq2!vB7zL", "sechs wörter", "ünïcödé wörds ab",
        "8241 0953 7716",
        "hello my own world of love",
    ])
    func `takes what is not easily guessed`(_ text: String) throws {
        #expect(try weakness(text) == nil)
    }

    @Test(arguments: [("a", 1), ("made-up two", 11), ("öööäääüüüßß", 11), ("x9#Kq2!vB7z", 11)])
    func `refuses what is short, in characters`(_ text: String, _ count: Int) throws {
        #expect(try weakness(text) == .short(count: count))
    }

    @Test(arguments: ["aaaaaaaaaaaaaaaa", "made-upmade-up", "xk4xk4xk4xk4x", "1212121221211", "a b a b a b a b c"])
    func `refuses what repeats itself`(_ text: String) throws {
        #expect(try weakness(text) == .repeating)
    }

    @Test(arguments: [
        "abcdefghijklmn", "qwertyuiop[]", "zyxwvutsrqponm", "1234567890123", "Password2024!", "p@ssw0rd1234!", "P4SSWORT-geheim",
        "letmein-letmein-x", "claviger-vault-1", "iloveyou!!!!!!", "qwertz123456yxcvbnm", "trustno1trustno2",
    ])
    func `refuses common words, sequences and keyboards`(_ text: String) throws {
        #expect(try weakness(text) == .common)
    }

    @Test func `refuses the names that are expected`() throws {
        let text = "Wilhelmina-tresorfach-1"
        #expect(try weakness(text) == nil)
        #expect(try weakness(text, names: ["wilhelmina", "tresorfach"]) == .common)
        // Too short to be a word.
        #expect(try weakness("x9#Kq2!vB7zL", names: ["x", "k", ""]) == nil)
    }
}

@Suite(.timeLimit(.minutes(2))) struct NewPassphraseTests {
    private let fixture = CommandFixture(withoutVault: ())
    private var bare: [String: String] { ["HOME": fixture.folder.path, "CLAVIGER_SOCKET": "/none"] }

    private func with(_ passphrase: String) -> [String: String] {
        bare.merging(["CLAVIGER_PASSPHRASE_FILE": fixture.folder.write("passphrase", passphrase)]) { $1 }
    }

    @Test func `a weak one is refused wherever it is new, unless somebody insists`() async throws {
        let short = "the new passphrase is too short: it has 1 character, and needs 12"
        #expect(await fixture.run("init", environment: with("a")).refuses(64, short))
        #expect(!FileManager.default.fileExists(atPath: fixture.vault))
        let command = bare.merging(["CLAVIGER_PASSPHRASE_COMMAND": "echo password1234"]) { $1 }
        #expect(await fixture.run("init", environment: command).refuses(64, "is easily guessed: it is little more than common"))
        #expect(await fixture.run("init", "--weak", environment: with("a")).status == 0)
        // It opens the vault, for it is not new any more.
        #expect(await fixture.run("list", environment: with("a")).status == 0)
        for command in [["key", "add"], ["passwd"]] {
            let words = command + ["--new-passphrase-file", "-"]
            let refused = await Program.run(Program.claviger, words, environment: with("a"), input: "b\n")
            #expect(refused.refuses(64, short) && refused.errors.contains("--weak"), "\(refused)")
            let insisted = await Program.run(Program.claviger, words + ["--weak"], environment: with("a"), input: "b\n")
            #expect(insisted.status == 0, "\(insisted)")
            if command == ["key", "add"] {
                let id = await fixture.run("key", "list", environment: with("a")).output.split(separator: "\n")[2].prefix(8)
                #expect(await fixture.run("key", "remove", String(id), environment: with("a")).status == 0)
            }
        }
    }

    @Test func `on a terminal it is refused before it is typed again`() async throws {
        let terminal = PseudoTerminal(
            Program.claviger, ["init"], environment: bare, output: fixture.folder.file("out"))
        _ = try await terminal.expect("new passphrase for")
        terminal.type("a\n")
        let screen = try await terminal.expect("--weak")
        #expect(screen.contains("too short") && !screen.contains("same again"), "\(screen)")
        #expect(await terminal.wait() == 64)
    }

    @Test func `a wrong one may be typed three times, and no oftener`() async throws {
        #expect(await fixture.run("init", environment: with("made-up words to open it")).status == 0)
        for (answers, status) in [(["wrong", "made-up words to open it"], Int32(0)), (["wrong", "wrong", "wrong"], 77)] {
            let terminal = PseudoTerminal(
                Program.claviger, ["list"], environment: bare, output: fixture.folder.file("out"))
            var screen = ""
            for answer in answers {
                screen += try await terminal.expect("passphrase of")
                terminal.type(answer + "\n")
            }
            #expect(await terminal.wait() == status)
            screen += try await terminal.expect(status == 0 ? "empty" : "error:")
            #expect(screen.split(separator: "try again").count == answers.count, "\(screen)")
        }
        // One that is stored is not tried twice.
        let stored = await fixture.run("list", environment: with("wrong"))
        #expect(stored.refuses(77, "does not open the vault") && !stored.errors.contains("try again"), "\(stored)")
    }
}
