import Foundation
import TestSupport
import Testing

/// ARCHITECTURE.md names the tests of the engine's rules, and the comments of tests name the rules: each must find the other.
@Suite struct ArchitectureTests {
    private static let page = String(decoding: bytes(ofFile: Program.root + "/ARCHITECTURE.md"), as: UTF8.self)

    /// The tests that the page names, by the number of their rule: they stand in a list below it.
    private static func rules() -> [Int: Set<String>] {
        var rules: [Int: Set<String>] = [:]
        var number: Int?
        var isList = false
        for line in page.components(separatedBy: "\n") {
            let text = line.trimmingCharacters(in: .whitespaces)
            if line.first.map({ $0 != " " }) ?? true {
                number = line.wholeMatch(of: #/([0-9]+)\. .*/#).flatMap { Int($0.1) }
                isList = false
            }
            if text.hasPrefix("- ") { isList = true }
            guard let number, isList else { continue }
            for match in text.matches(of: #/`([^`]+)`/#) { rules[number, default: []].insert(String(match.1)) }
        }
        return rules
    }

    /// The lines of all tests.
    private static func lines() throws -> [[String]] {
        let folder = Program.root + "/Tests"
        return try FileManager.default.subpathsOfDirectory(atPath: folder).filter { $0.hasSuffix(".swift") }.map {
            String(decoding: bytes(ofFile: folder + "/" + $0), as: UTF8.self).components(separatedBy: "\n")
        }
    }

    /// The name of the function that a line declares.
    private static func name(_ line: String) -> String? {
        line.firstMatch(of: #/func (?:`([^`]+)`|([A-Za-z0-9]+))/#).map { String($0.1 ?? $0.2 ?? "") }
    }

    @Test func `every test that the page names is there`() throws {
        let names = Set(try Self.lines().joined().compactMap(Self.name))
        let rules = Self.rules()
        #expect(Set(rules.keys) == Set(1...13))
        for (number, tests) in rules { #expect(tests.subtracting(names) == [], "rule \(number)") }
    }

    @Test func `a test that cites a rule is one of those that the page names`() throws {
        let rules = Self.rules()
        var count = 0
        for lines in try Self.lines() {
            for (index, line) in lines.enumerated() {
                guard let match = line.firstMatch(of: #/^ *\/\/\/ Rule ([0-9]+)(?: and ([0-9]+))?/#) else { continue }
                let name = try #require(lines[index...].lazy.compactMap(Self.name).first)
                for number in [Int(match.1), match.2.flatMap { Int($0) }].compactMap(\.self) {
                    #expect(rules[number]?.contains(name) == true, "rule \(number) has no \(name)")
                    count += 1
                }
            }
        }
        #expect(count > 20)
    }

    @Test func `every target has its paragraph`() throws {
        let folder = Program.root + "/Sources"
        let targets = try FileManager.default.contentsOfDirectory(atPath: folder).filter { name in
            try FileManager.default.subpathsOfDirectory(atPath: folder + "/" + name).contains { $0.hasSuffix(".swift") }
        }
        #expect(targets.count > 10)
        for target in targets { #expect(Self.page.contains("\n**\(target)** "), "\(target)") }
    }
}
