import Foundation
import TestSupport
import Testing

/// What people do wrong, and what they are told: each word of it, in mistakes.txt, where it can be read aloud.
@Suite(.timeLimit(.minutes(3))) struct MistakeTests {
    private struct Mistake: Equatable {
        var words: String
        var status: Int32
        var errors: String
    }

    private static func table() throws -> [Mistake] {
        let path = #filePath.replacing("MistakeTests.swift", with: "mistakes.txt")
        let text = try String(contentsOfFile: path, encoding: .utf8)
        return try text.split(separator: "\n\n").dropFirst().map { block in
            let lines = block.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            let command = try #require(lines.first.flatMap { $0.wholeMatch(of: /\$ claviger (.*)/)?.output.1 })
            let status = try #require(lines.dropFirst().first.flatMap { $0.wholeMatch(of: /\[([0-9]+)\]/)?.output.1 })
            let errors = lines.dropFirst(2).joined(separator: "\n")
            return Mistake(
                words: String(command), status: try #require(Int32(status)),
                errors: errors.hasSuffix("\n") ? String(errors.dropLast()) : errors)
        }
    }

    @Test func `each mistake is answered with its words and its status, and nothing is lost`() async throws {
        let table = try Self.table()
        #expect(table.count >= 160)
        let fixture = try await CommandFixture()
        for (name, text) in [("file", "made-up"), ("empty", ""), ("lines", "a\nb\n"), ("object", #"{"client_id": "a"}"#)] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: fixture.folder.file(name)))
            chmod(fixture.folder.file(name), 0o600)
        }
        mkdir(fixture.folder.file("dir"), 0o700)
        let added = await fixture.run(
            "add", "torq", "--no-verify", "--token-url", "https://127.0.0.1:1/token", "--client-id", "x", "--secret-file",
            fixture.folder.file("file"))
        try #require(added.status == 0)
        let before = await fixture.run("show", "torq", "--json").output
        await withTaskGroup { group in
            for lane in 0..<4 {
                let mistakes = table.enumerated().filter { $0.offset % 4 == lane }.map(\.element)
                group.addTask { await Self.make(mistakes, fixture) }
            }
        }
        #expect(await fixture.run("list").output.split(separator: "\n").count == 2)
        #expect(await fixture.run("show", "torq", "--json").output == before)
    }

    private static func make(_ mistakes: [Mistake], _ fixture: CommandFixture) async {
        let home = fixture.folder.path
        for mistake in mistakes {
            let words = mistake.words.split(separator: " ").map { String($0.replacing("HOME", with: home)) }
            let result = await Program.run(Program.claviger, words, environment: fixture.environment, input: "")
            let errors = String(result.errors.replacing(home, with: "HOME").trimmingSuffix("\n"))
            let found = Mistake(words: mistake.words, status: result.status, errors: errors)
            #expect(found == mistake)
            #expect(!mistake.words.contains("s3cret") || !result.errors.contains("s3cret"))
        }
    }
}

extension String {
    fileprivate func trimmingSuffix(_ suffix: String) -> Substring { hasSuffix(suffix) ? dropLast(suffix.count) : self[...] }
}
