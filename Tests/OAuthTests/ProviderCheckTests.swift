import Foundation
import OAuth
import TestSupport
import Testing

@Suite struct ProviderCheckTests {
    private static func check(_ text: String) throws -> Provider { try Provider.check(file: Array(text.utf8)) }

    private static func place(_ text: String, of path: String...) throws -> String {
        let position = try JSONPlaces(scanning: Array(text.utf8)).position(of: path)
        return "\(position.line):\(position.column)"
    }

    @Test func `members and elements are found, and the next outer one where there is none`() throws {
        let text = "{\n  \"a\": [1, {\"b\\u0062\": \"ü\", \"c\": true}],\n\t\"d\" : null }\n"
        #expect(try Self.place(text) == "1:1")
        #expect(try Self.place(text, of: "a") == "2:3")
        #expect(try Self.place(text, of: "a", "0") == "2:9")
        #expect(try Self.place(text, of: "a", "1", "bb") == "2:13")
        // Columns count characters of Unicode and not bytes.
        #expect(try Self.place(text, of: "a", "1", "c") == "2:29")
        #expect(try Self.place(text, of: "d") == "3:2")
        #expect(try Self.place(text, of: "a", "7", "x") == "2:3" && Self.place(text, of: "x") == "1:1")
        #expect(try Self.place("\u{FEFF} []") == "1:3")
    }

    @Test(arguments: [
        ("{\"a\": 1,\n \"b\": 2,\n}", "2:8", "comes no comma"), ("{\"a\" 1}", "1:6", "a colon must"),
        ("{\"a\": 1 \"b\": 2}", "1:9", "a comma or } must"), ("{a: 1}", "1:2", "the name of a member"),
        ("{\n\"a\": 'x'}", "2:6", "double quotes"), ("// no\n{}", "1:1", "no comments"), ("{\"a\": x}", "1:7", "double quotes"),
        ("{\"a\": \"x\n\"}", "1:9", "no line breaks"), ("{\"a\": \"x", "1:7", "has no end"), ("[\"\\q\"]", "1:2", "backslash"),
        ("[01]", "1:2", "no number"), ("[1.]", "1:2", "no number"), ("{} {}", "1:4", "nothing may come after"),
        ("", "1:1", "ends"),
        ("{\"a\": {\"b\": 1, \"b\": 2}}", "1:16", "\"a.b\" is there twice"), ("[,]", "1:2", "a value must"),
        (String(repeating: "[", count: 100), "1:65", "too deeply"),
    ])
    func `what is no JSON is found where it stops`(text: String, place: String, reason: String) throws {
        let error = try #require(throws: ProviderFileError.self) { try Self.check(text) }
        #expect("\(error.position.line):\(error.position.column)" == place && error.reason.contains(reason), "\(error)")
    }

    private static func provider(_ members: String) -> String {
        "{\"name\": \"mine\", \"title\": \"Mine\", \"token_url\": \"https://mine.example/token\",\n\(members)\n}"
    }

    private static let grants = #""grants": ["client_credentials"]"#

    @Test(arguments: [
        (grants + ",\n  \"tokenurl\": 1", "3:3", "\"tokenurl\" is unknown"),
        (grants + ",\n  \"placement\": \"json\", \"params_in\": \"body\"", "3:3", "are the same"),
        (grants + ",\n \"answer\": {\n  \"success\": \"x\"}", "4:3", "must be a condition"),
        (grants + ",\n \"scopes\": [\"a\", 7]", "3:18", "scopes.1"),
        (#""grants": ["client_credentials", "authorization_code"]"#, "2:34", "needs the member \"authorization_url\""),
        (#""grants": ["device_code"]"#, "2:12", "needs the member \"device_authorization_url\""),
        (grants + ",\n \"api_url\": \"https://{tenant}.example/\"", "3:2", "api_url"),
        (grants + ",\n \"headers\": [{\"name\": \"x\", \"value\": \"{tenant}\"}]", "3:28", "{tenant} stands for nothing"),
        ("\"grants\": [\"client-credentials\"]", "2:12", "grants.0"), ("\"scopes\": []", "1:1", "\"grants\" is missing"),
    ])
    func `what is wrong in a provider has a place`(members: String, place: String, reason: String) throws {
        let error = try #require(throws: ProviderFileError.self) { try Self.check(Self.provider(members)) }
        #expect("\(error.position.line):\(error.position.column)" == place && error.reason.contains(reason), "\(error)")
    }

    @Test func `the built-in providers pass`() throws {
        #expect(!Catalogue.builtIn.providers.isEmpty)
        for provider in Catalogue.builtIn.providers {
            let read = try Provider.check(file: Array(try JSONEncoder().encode(provider)))
            #expect(read == provider)
        }
    }

    /// Blocks of the page that are JSON: a whole provider, or members of one.
    private static func examples() throws -> [String] {
        let page = String(decoding: bytes(ofFile: Program.root + "/man/claviger-providers.5"), as: UTF8.self)
        let blocks = page.split(separator: "\n.Bd ").dropFirst().compactMap { block -> [Substring]? in
            let lines = block.split(separator: "\n").dropFirst().prefix { $0 != ".Ed" }
            return lines.first.map { $0.hasPrefix("{") || $0.hasPrefix("\"") } == true ? Array(lines) : nil
        }
        return blocks.flatMap { lines -> [String] in
            if lines[0].hasPrefix("{") { return [lines.joined(separator: "\n")] }
            // Two ways to write one member stand below each other.
            let isChoice = lines.allSatisfy { $0.hasPrefix("\"presentation\"") }
            return (isChoice ? lines.map(String.init) : [lines.joined(separator: "\n")]).map { provider(grants + ",\n" + $0) }
        }
    }

    @Test func `the examples of the manual pass`() throws {
        let examples = try Self.examples()
        #expect(examples.count >= 6)
        for example in examples {
            #expect(throws: Never.self, "\(example)") { try Self.check(example) }
        }
    }
}
