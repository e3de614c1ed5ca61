import AgentProtocol
import TestSupport
import Testing

@Suite struct ProblemTests {
    @Test func `every code has a word of its own, and statuses that fit each other`() {
        #expect(Set(ProblemCode.allCases.map(\.word)).count == ProblemCode.allCases.count)
        for code in ProblemCode.allCases {
            #expect(code.word.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x5F }, "\(code)")
            #expect((400...507).contains(code.status) && (1...130).contains(code.exit), "\(code)")
            #expect(ProblemCode(word: code.word, status: 0, exit: 0) == code)
        }
    }

    /// Clients in other languages are made from it.
    @Test func `the agent's description has every code that it answers`() {
        let description = String(decoding: bytes(ofFile: Program.root + "/api/agent.yaml"), as: UTF8.self)
        let listed = Set(description.split(separator: "\n").filter { $0.hasPrefix("            - ") }.map { $0.dropFirst(14) })
        let ofCommands: [ProblemCode] = [.alreadyExists, .checkFailed, .notRunnable, .commandNotFound, .interrupted]
        for code in ProblemCode.allCases {
            #expect(listed.contains(code.word[...]) != ofCommands.contains(code), "\(code)")
        }
    }

    @Test func `a code of another version is known by its statuses`() {
        #expect(ProblemCode(word: "made_up", status: 423, exit: 77) == .agentLocked)
        #expect(ProblemCode(word: nil, status: 421, exit: 78) == .otherVault)
        #expect(ProblemCode(word: nil, status: 418, exit: 75).exit == 75)
        #expect(ProblemCode(word: nil, status: 500, exit: 42) == .internalError)
    }

    @Test func `the plain text of a problem is what a command prints`() {
        let problem = Problem("there is no way", hint: .login("torq"), .loginRequired)
        let printed = Problem.lines(ofPlainText: Array(problem.plainText.utf8))
        #expect(printed?.exit == 77)
        #expect(printed?.lines == "claviger: error: there is no way\nclaviger: hint: log in with claviger login torq\n")
        let bare = Problem.lines(ofPlainText: Array(Problem("no", .tryAgain).plainText.utf8))
        #expect(bare?.lines == "claviger: error: no\n")
    }

    @Test(arguments: ["", "77", "0\nno\n", "x\nno\n", "77\nno", "77\nno\nhint\nmore"])
    func `what is no such text is none`(_ text: String) {
        #expect(Problem.lines(ofPlainText: Array(text.utf8)) == nil)
    }
}

@Suite struct HintTests {
    @Test(arguments: [
        ("torq", "claviger login torq"), ("a b", "claviger login 'a b'"), ("it's", #"claviger login 'it'\''s'"#),
        ("$(made-up)", "claviger login '$(made-up)'"), ("größe", "claviger login größe"), ("a;b", "claviger login 'a;b'"),
        ("~x", "claviger login '~x'"), ("a@b.example:1", "claviger login a@b.example:1"),
    ])
    func `names are one word for a shell`(_ name: String, _ command: String) {
        #expect(Hint.login(name).text == "log in with " + command)
    }

    @Test func `every hint about a credential names it`() {
        let hints: [Hint] = [
            .login("q r"), .loginAgain("q r"), .rotate("q r"), .resumeRotation("q r"), .renewAgain("q r"),
            .compareSettings("q r"), .takeOver("q r"),
            .fixDiskAndLogin("q r"), .setEndpoint("q r"), .setAPIAddress("q r"), .changeSubject("q r"), .rejectToken("q r"),
            .askForRule("q r"), .waitForRotation("q r"), .askForScopes("q r", ["a b"]),
        ]
        for hint in hints { #expect(hint.text.contains(" 'q r'") && !hint.text.contains("NAME"), "\(hint)") }
    }
}
