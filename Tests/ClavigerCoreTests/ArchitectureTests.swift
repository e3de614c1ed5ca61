import Foundation
import TestSupport
import Testing

/// What ARCHITECTURE.md names is there: the tests of the engine's rules, which name their rules in turn, and the targets with their
/// imports and types.
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

    // MARK: The rooms

    /// What the page says of a target, and what it says that the target imports.
    private static func room(_ target: String) throws -> (text: String, imports: String) {
        let start = try #require(page.range(of: "\n**\(target)** "), "\(target) has no paragraph")
        let parts = page[start.upperBound...].components(separatedBy: "\n\n")[0].components(separatedBy: "*Imports* ")
        try #require(parts.count == 2, "\(target)")
        return (parts[0], parts[1])
    }

    /// The targets of Package.swift below Sources/, and what each depends on within the package.
    private static func targets() throws -> [String: Set<String>] {
        let package = String(decoding: bytes(ofFile: Program.root + "/Package.swift"), as: UTF8.self)
            .replacing(#/\.product\(name: "[A-Za-z0-9]+", package: "[a-z0-9-]+"\),?/#, with: "")
        let list = try #require(package.range(of: "    targets: ["))
        var targets: [String: Set<String>] = [:]
        for part in package[list.upperBound...].split(separator: #/\n        \./#) {
            guard let match = part.firstMatch(of: #/^(?:target|executableTarget)\(\s*name: "([A-Za-z]+)"/#),
                !part.contains("path: \"Tests/")
            else { continue }
            let dependencies = part.components(separatedBy: "dependencies: [").dropFirst().first?.prefix { $0 != "]" } ?? ""
            targets[String(match.1)] = Set(dependencies.matches(of: #/"([A-Za-z]+)"/#).map { String($0.1) })
        }
        return targets
    }

    private static func sources(_ target: String) throws -> String {
        let folder = Program.root + "/Sources/" + target
        return try FileManager.default.subpathsOfDirectory(atPath: folder).filter { $0.hasSuffix(".swift") }
            .map { String(decoding: bytes(ofFile: folder + "/" + $0), as: UTF8.self) }.joined()
    }

    @Test func `every target imports what the page says`() throws {
        let targets = try Self.targets()
        #expect(targets.count > 10)
        let names = targets.values.reduce(Set(targets.keys)) { $0.union($1) }
        for (target, dependencies) in targets {
            let words = Set(try Self.room(target).imports.split { !$0.isLetter }.map(String.init))
            #expect(words.intersection(names) == dependencies, "\(target)")
        }
    }

    @Test func `every type that the page names stands in its target`() throws {
        var count = 0
        for target in try Self.targets().keys {
            let sources = try Self.sources(target)
            for match in try Self.room(target).text.matches(of: #/`([A-Z][A-Za-z]+)(?:\([a-z]+:\))?`/#) {
                let starts = ["struct", "class", "enum", "protocol", "extension"].map { "\($0) \(match.1)" }
                let declarations = starts.flatMap { start in [" ", ":", "<"].map { start + $0 } }
                #expect(declarations.contains(where: sources.contains), "\(target) has no \(match.1)")
                count += 1
            }
        }
        #expect(count > 50)
    }
}
