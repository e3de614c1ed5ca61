import Foundation
import Testing

@testable import ClavigerCore

/// Places for tokens in a text, and what is no such place.
@Suite struct TemplateTests {
    private func filled(_ text: String) throws -> String {
        let bytes = try Template(Array(text.utf8)).filled { "<\($0.name)|\($0.member)>" }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(arguments: [
        ("plain", "plain"), ("", ""), ("{{ torq.access_token }}", "<torq|access_token>"), ("a{{torq.scope}}b", "a<torq|scope>b"),
        ("{{ $.integrations.torq.access_token }}", "<torq|access_token>"),
        ("x: ##{{ $.integrations.torq.access_token }}.", "x: <torq|access_token>."),
        ("##{{ torq.access_token }}", "##<torq|access_token>"), ("#{{ $.integrations.a.scope }}", "#<a|scope>"),
        (#"{{ "my own".access_token }}"#, "<my own|access_token>"), (#"{{ $.integrations."a b".scope }}"#, "<a b|scope>"),
        ("{{ api.prod.instance_url }}", "<api.prod|instance_url>"), ("{{ café.id_token }}", "<café|id_token>"),
        (#"{{ "{{" }} .Values.x }}"#, "{{ .Values.x }}"), (#"{{ "}}" }}"#, "}}"), (#"{"a":{"b":1}}"#, #"{"a":{"b":1}}"#),
        ("{ {x} }", "{ {x} }"), ("{{a.b}}{{a.b}}", "<a|b><a|b>"), ("\r\n{{ a.b }}\n", "\r\n<a|b>\n"),
    ])
    func `places are filled and all else stays`(_ text: String, _ result: String) throws {
        #expect(try filled(text) == result)
    }

    @Test func `bytes that are no text stay as they are`() throws {
        let bytes: [UInt8] = [0xFF, 0x00] + Array("{{ a.b }}".utf8) + [0xC0]
        #expect(try Template(bytes).filled { _ in "x" } == [0xFF, 0x00, 0x78, 0xC0])
    }

    @Test(arguments: [
        ("{{", 1, 1, "has no }}"), ("a\n b {{ torq.access_token\n}}", 2, 4, "has no }}"), ("{{ torq }}", 1, 1, "NAME.MEMBER"),
        ("{{ }}", 1, 1, "NAME.MEMBER"), ("{{ .access_token }}", 1, 1, "NAME.MEMBER"), ("{{ torq. }}", 1, 1, "NAME.MEMBER"),
        ("é{{ my own.scope }}", 1, 2, "between quotation marks"), (#"{{ "a.b }}"#, 1, 1, "has no }}"),
        (#"{{ "a"b }}"#, 1, 1, "behind the name"), ("{{ a.b{} }}", 1, 1, "NAME.MEMBER"),
        ("{{ {{ a.b }}", 1, 1, "quotation marks"),
        (#"{{ $.integrations."a" }}"#, 1, 1, "behind the name"),
    ])
    func `what is no place is refused where it stands`(_ text: String, _ line: Int, _ column: Int, _ words: String) {
        #expect {
            _ = try Template(Array(text.utf8))
        } throws: { error in
            guard let refusal = error as? Template.Refusal else { return false }
            return refusal.place == Template.Place(line: line, column: column) && refusal.reason.contains(words)
        }
    }

    /// Texts of the pieces that matter, in any order: each is filled or refused, and what is filled has lost nothing.
    @Test func `no text confuses it`() {
        var random = SystemRandom(seed: 7)
        let pieces = ["{{", "}}", "{", "}", "\"", ".", " ", "a", "$.integrations.", "##", "\n", "é", "access_token"]
        for _ in 0..<2_000 {
            let text = (0..<Int.random(in: 0..<12, using: &random)).map { _ in pieces.randomElement(using: &random)! }.joined()
            guard let template = try? Template(Array(text.utf8)) else { continue }
            for case .value(let reference, let place) in template.pieces {
                #expect(!reference.name.isEmpty && !reference.member.isEmpty && place.line > 0 && place.column > 0, "\(text)")
            }
            if !text.contains("{{") { #expect(template.filled { _ in "" } == Array(text.utf8), "\(text)") }
        }
    }

    private struct SystemRandom: RandomNumberGenerator {
        private var state: UInt64
        init(seed: UInt64) { state = seed }
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }
}
