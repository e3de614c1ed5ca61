import Foundation
import TestSupport
import Testing

/// A question for a passphrase on a terminal, in scripts and under job control.
@Suite(.timeLimit(.minutes(3))) struct PromptSignalTests {
    private let fixture = CommandFixture(withoutVault: ())
    private static let passphrase = "made-up passphrase of a test"
    private static let shells = [["/bin/sh", "-i"], ["/bin/bash", "--norc", "--noediting", "-i"]]

    private var vaultIsMade: Bool { FileManager.default.fileExists(atPath: fixture.vault) }

    /// A session whose leader is this program, with a terminal.
    private func session(_ words: [String]) -> PseudoTerminal {
        PseudoTerminal(
            words[0], Array(words.dropFirst()), environment: ["HOME": fixture.folder.path, "PS1": "$ "], output: "/dev/tty")
    }

    /// Answers both questions of `init`, the first of which is on the screen.
    private func answer(_ terminal: PseudoTerminal) async throws {
        #expect(try await eventually { !terminal.echoes })
        terminal.type(Self.passphrase + "\n")
        let second = try await terminal.expect("the same again: ")
        #expect(!second.contains("made-up"), "\(second)")
        terminal.type(Self.passphrase + "\n")
        let end = try await terminal.expect("keep a copy")
        #expect(end.contains("made the vault") && !end.contains("made-up"), "\(end)")
    }

    @Test(arguments: [SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGALRM, SIGUSR1, SIGTERM + 25])
    func `a signal ends it as usual, and the terminal is as it was`(_ signal: Int32) async throws {
        let pid = fixture.folder.file("pid")
        let script = "sh -c 'echo $$ >\"\(pid)\"; exec \"\(Program.core)\" init'; echo \"status $?\"; read made_up"
        let terminal = session(["/bin/sh", "-c", script])
        _ = try await terminal.expect("new passphrase")
        #expect(try await eventually { !terminal.echoes })
        terminal.type("made-")
        let text = String(decoding: bytes(ofFile: pid), as: UTF8.self).trimmingCharacters(in: .newlines)
        kill(try #require(pid_t(text)), signal)
        let end = try await terminal.expect("status \(128 + signal)")
        #expect(end.contains("status \(128 + signal)") && !end.contains("made-"), "\(end)")
        #expect(terminal.echoes)
        #expect(!vaultIsMade)
    }

    @Test func `a key that interrupts ends it as usual`() async throws {
        let terminal = session([Program.claviger, "init"])
        _ = try await terminal.expect("new passphrase")
        #expect(try await eventually { !terminal.echoes })
        terminal.type("made-\u{3}")
        #expect(await terminal.wait() == 128 + SIGINT)
        #expect(terminal.echoes)
        #expect(!vaultIsMade)
    }

    /// As with nohup(1): what is ignored is no end.
    @Test func `a signal that is ignored changes nothing`() async throws {
        let terminal = session(["/bin/sh", "-c", "trap '' HUP; exec \"\(Program.core)\" init"])
        _ = try await terminal.expect("new passphrase")
        #expect(try await eventually { !terminal.echoes })
        kill(terminal.processID, SIGHUP)
        try await answer(terminal)
    }

    @Test(arguments: shells)
    func `a key stops it, with the terminal as it was, and it asks again`(_ shell: [String]) async throws {
        let terminal = session(shell)
        _ = try await terminal.expect("$ ")
        terminal.type("'\(Program.core)' init\n")
        _ = try await terminal.expect("new passphrase for")
        #expect(try await eventually { !terminal.echoes })
        terminal.type("half of it\u{1A}")
        #expect(try await terminal.expect("Stopped").contains("Stopped"))
        #expect(try await eventually { terminal.echoes })
        terminal.type("fg\n")
        _ = try await terminal.expect("new passphrase for")
        try await answer(terminal)
        #expect(try await eventually { terminal.echoes })
    }

    /// What a shell shows until it tells that a job of its has stopped, which it does before its next prompt.
    private func untilStopped(_ terminal: PseudoTerminal) async throws -> String {
        var screen = ""
        #expect(
            try await eventually {
                terminal.type("\n")
                screen += try await terminal.expect("$ ")
                return screen.contains("Stopped")
            }, "\(screen)")
        return screen
    }

    @Test(arguments: shells)
    func `in the background it stops before it asks`(_ shell: [String]) async throws {
        let terminal = session(shell)
        _ = try await terminal.expect("$ ")
        terminal.type("'\(Program.core)' init &\n")
        let screen = try await untilStopped(terminal)
        #expect(terminal.echoes && !screen.contains("new passphrase"), "\(screen)")
        terminal.type("fg\n")
        _ = try await terminal.expect("new passphrase for")
        try await answer(terminal)
    }

    @Test func `a question that is shown stops in the background, too`() async throws {
        let terminal = PseudoTerminal(
            "/bin/sh", ["-i"],
            environment: ["HOME": fixture.folder.path, "PS1": "$ ", "CLAVIGER_KEY_FILE": fixture.keyFile], output: "/dev/tty")
        _ = try await terminal.expect("$ ")
        terminal.type("'\(Program.core)' init\n")
        _ = try await terminal.expect("keep a copy")
        terminal.type("'\(Program.core)' add a --no-verify --token-url https://example.com/t &\n")
        let screen = try await untilStopped(terminal)
        #expect(!screen.contains("client id"), "\(screen)")
        terminal.type("fg\n")
        _ = try await terminal.expect("client id")
        terminal.type("made-up-id\n")
        #expect(try await terminal.expect("not shown").contains("made-up-id"))
        terminal.type("made-up secret\n")
        #expect(try await terminal.expect("stored").contains("stored"))
    }

    /// SIGSTOP can't be caught: whoever has the terminal meanwhile makes it show what is typed.
    @Test func `after a stop that nobody saw coming it hides again`() async throws {
        let terminal = session([Program.core, "init"])
        _ = try await terminal.expect("new passphrase for")
        #expect(try await eventually { !terminal.echoes })
        terminal.type(Self.passphrase + "\n")
        // The second question does not throw away what was typed before it, but for this reason.
        _ = try await terminal.expect("the same again: ")
        kill(terminal.processID, SIGSTOP)
        #expect(
            try await eventually {
                String(decoding: bytes(ofFile: "/proc/\(terminal.processID)/stat"), as: UTF8.self).contains(") T ")
            })
        terminal.showTyping()
        // What is shown is no part of the answer.
        terminal.type("half of it")
        _ = try await terminal.expect("half of it")
        kill(terminal.processID, SIGCONT)
        _ = try await terminal.expect("the same again: ")
        #expect(try await eventually { !terminal.echoes })
        terminal.type(Self.passphrase + "\n")
        let end = try await terminal.expect("keep a copy")
        #expect(end.contains("made the vault") && !end.contains("made-up"), "\(end)")
        #expect(await terminal.wait() == 0)
        #expect(terminal.echoes)
    }

    /// Both questions are answered by one paste, between the markers that terminals put around it.
    @Test(arguments: ["\(passphrase)\n\(passphrase)\n", "\u{1B}[200~\(passphrase)\n\(passphrase)\u{1B}[201~\n"])
    func `what is pasted behind the first line answers the next question`(_ paste: String) async throws {
        let terminal = session([Program.core, "init"])
        _ = try await terminal.expect("new passphrase for")
        #expect(try await eventually { !terminal.echoes })
        terminal.type(paste)
        let screen = try await terminal.expect("keep a copy")
        #expect(screen.contains("made the vault") && !screen.contains("made-up"), "\(screen)")
        #expect(await terminal.wait() == 0)
    }
}
