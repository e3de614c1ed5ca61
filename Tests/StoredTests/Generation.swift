import Foundation
import TestSupport
import Testing

/// Everything that one version of the program has stored, as make_fixture.py had it made.
struct Generation: CustomTestStringConvertible, Sendable {
    let name: String
    var path: String { Self.folder + "/" + name }
    var testDescription: String { "generation \(name)" }

    private static let folder = Program.root + "/Tests/StoredTests/Fixtures"

    static let all: [Generation] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().map(Generation.init)
    }()

    /// One credential of one generation, for tests that change each.
    struct Stored: CustomTestStringConvertible, Sendable {
        let generation: Generation
        let name: String
        var testDescription: String { "\(name) of generation \(generation.name)" }

        /// The token for its own scopes and audiences, if it lives for two more minutes.
        func liveToken() throws -> String? {
            let contents = try generation.contents()
            let tokens = try #require(try contents.description(name)["tokens"] as? [[String: Any]])
            let soon = Date().timeIntervalSince1970 * 1000 + 120_000
            let index = tokens.firstIndex { token in
                (token["requested_scopes"] as? [String]) == [] && token["requested_audiences"] == nil
                    && (token["expires"] as? Double ?? .infinity) > soon
            }
            return try index.flatMap { try contents.secrets(name)["token.\($0)"] }
        }
    }

    static let credentials: [Stored] = all.flatMap { generation in
        let records = (try? generation.contents().records) ?? [:]
        return records.keys.sorted().map { Stored(generation: generation, name: $0) }
    }

    /// What the program's commands said of it when it was made.
    func expected() throws -> [String: Any] {
        try JSON.object(bytes(ofFile: path + "/expected.json"))
    }

    /// What the reference reader found in its vault.
    func contents() throws -> Contents { try Contents(bytes(ofFile: path + "/contents.json")) }
}

/// A vault as the reference reader prints it.
struct Contents {
    /// Each with the members `description` and `secrets`.
    var records: [String: [String: Any]]

    init(_ json: [UInt8]) throws {
        records = try #require(try JSON.object(json)["records"] as? [String: [String: Any]])
    }

    func description(_ name: String) throws -> [String: Any] {
        try #require(records[name]?["description"] as? [String: Any])
    }

    func secrets(_ name: String) throws -> [String: String] {
        try #require(records[name]?["secrets"] as? [String: String])
    }
}

/// A generation in a home of its own, and the program run there.
struct StoredHome {
    let folder = TemporaryFolder()
    let generation: Generation

    init(_ generation: Generation) throws {
        self.generation = generation
        for name in ["data", "state", "config", "key"] {
            try FileManager.default.copyItem(atPath: generation.path + "/" + name, toPath: folder.file(name))
        }
        // Git keeps no more of a file's mode than whether it can be executed.
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder.path) {
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: folder.file(name), isDirectory: &isFolder)
            chmod(folder.file(name), isFolder.boolValue ? 0o700 : 0o600)
        }
    }

    var vault: String { folder.file("data/claviger/vault") }

    var environment: [String: String] {
        [
            "HOME": folder.path, "XDG_DATA_HOME": folder.file("data"), "XDG_STATE_HOME": folder.file("state"),
            "XDG_CONFIG_HOME": folder.file("config"), "CLAVIGER_KEY_FILE": folder.file("key"),
            "CLAVIGER_SOCKET": folder.file("a.sock"),
        ]
    }

    func run(_ arguments: [String], input: String? = nil) async -> ProgramResult {
        await Program.run(Program.claviger, arguments, environment: environment, input: input)
    }

    /// Runs a command that must succeed.
    @discardableResult
    func does(_ arguments: String..., input: String? = nil) async throws -> String {
        let result = await run(arguments, input: input)
        try #require(result.status == 0, "\(arguments): \(result.errors)")
        return result.output
    }

    func json(_ arguments: String...) async throws -> Any {
        let result = await run(arguments + ["--json"])
        try #require(result.status == 0, "\(arguments): \(result.errors)")
        return try JSONSerialization.jsonObject(with: Data(result.output.utf8))
    }

    /// The vault as the second implementation of its format reads it.
    func contents() async throws -> Contents {
        try Contents(Array(try await reference("read", vault, folder.file("key")).utf8))
    }

    /// Writes a member of a credential's description with the second implementation.
    func set(_ name: String, _ member: String, _ value: String) async throws {
        _ = try await reference("set", vault, folder.file("key"), name, member, value)
    }

    /// Adds a secret to a credential.
    func setSecret(_ name: String, _ secret: String, _ value: String) async throws {
        _ = try await reference("set-secret", vault, folder.file("key"), name, secret, value)
    }

    private func reference(_ arguments: String...) async throws -> String {
        let result = await Program.run(
            Program.root + "/.build/venv/bin/python", [Program.root + "/Tests/VaultTests/vault_reference.py"] + arguments,
            environment: ["PYTHONIOENCODING": "utf-8", "LC_ALL": "C.UTF-8"])
        try #require(result.status == 0, "\(result.errors)")
        return result.output
    }
}

enum JSON {
    static func object(_ bytes: [UInt8]) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    }

    /// What was recorded and is not so any more. A later version may add members to an object, and takes none away.
    static func lost(_ recorded: Any, _ found: Any?, at path: String = "") -> [String] {
        switch (recorded, found) {
        case (let recorded as [String: Any], let found as [String: Any]):
            return recorded.keys.sorted().flatMap { lost(recorded[$0]!, found[$0], at: path + "/" + $0) }
        case (let recorded as [Any], let found as [Any]) where recorded.count == found.count:
            return recorded.indices.flatMap { lost(recorded[$0], found[$0], at: path + "/\($0)") }
        case (let recorded as NSObject, let found as NSObject) where recorded.isEqual(found):
            return []
        default:
            return ["\(path): \(recorded), and now \(found ?? "missing")"]
        }
    }

    /// A recorded credential with `valid` as the clock has it now.
    static func atThisTime(_ credential: Any) throws -> Any {
        var credential = try #require(credential as? [String: Any])
        let tokens = try #require(credential["tokens"] as? [[String: Any]])
        credential["tokens"] = try tokens.map { token in
            var token = token
            if let expires = token["expires"] as? String {
                token["valid"] = try Date(expires, strategy: .iso8601) > .now
            }
            return token
        }
        return credential
    }
}
