import Foundation
import Sodium
import TestSupport
import Testing

@testable import Vault

/// One vault made by the second implementation: a good one, or one with a single failure.
struct Vector: CustomTestStringConvertible {
    let name: String
    let expected: String
    let keyFile: [UInt8]
    let passphrase: String
    let file: [UInt8]

    var testDescription: String { name }

    init(path: String) throws {
        let parts = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n\n", maxSplits: 1)
        var fields: [String: String] = [:]
        for line in parts[0].split(separator: "\n") {
            let pair = line.split(separator: ":", maxSplits: 1)
            fields[String(pair[0])] = pair[1].trimmingCharacters(in: .whitespaces)
        }
        name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        expected = fields["expect"]!
        keyFile = Self.bytes(fields["key-file"]![...])
        passphrase = fields["passphrase"]!
        file = Self.bytes(parts[1].filter { $0 != "\n" }[...])
    }

    private static func bytes(_ hex: Substring) -> [UInt8] {
        let digits = Array(hex.utf8).map { UInt8($0 < 58 ? $0 - 48 : $0 - 87) }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    static let all: [Vector] = {
        let folder = Program.root + "/Tests/VaultTests/Vectors"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().compactMap { try? Vector(path: folder + "/" + $0) }
    }()
}

@Suite struct VectorTests {
    @Test func thereAreVectors() {
        #expect(Vector.all.count == 36)
    }

    /// The part that refuses, or `opens`.
    private func outcome(_ vector: Vector, _ key: UnlockKey) throws -> String {
        let folder = TemporaryFolder()
        let path = folder.write("vault", vector.file)
        do {
            let vault = try LockedVault(path: path, memory: nil).unlock(with: key)
            try vault.forEachRecord { _, record in _ = try record.get() }
            return "opens"
        } catch VaultError.damaged(let part, _) {
            return part.rawValue
        } catch VaultError.damagedRecord {
            return VaultPart.records.rawValue
        } catch VaultError.newerFormat {
            return "version"
        } catch VaultError.wrongKey {
            return "key"
        }
    }

    @Test(arguments: Vector.all)
    func endsWhereItShould(_ vector: Vector) throws {
        let key = UnlockKey.keyFile(try Secret(copying: vector.keyFile.span.bytes))
        #expect(try outcome(vector, key) == vector.expected)
    }

    @Test func theGoodOneHoldsWhatWasPutIn() throws {
        let vector = try #require(Vector.all.first { $0.name == "good" })
        let path = TemporaryFolder()
        let file = path.write("vault", vector.file)
        for key in [
            UnlockKey.passphrase(try Secret(utf8: vector.passphrase)),
            .keyFile(try Secret(copying: vector.keyFile.span.bytes)),
        ] {
            let vault = try LockedVault(path: file, memory: nil).unlock(with: key)
            #expect(vault.names() == ["alpha", "beta"])
            #expect(vault.generation == 7)
            let record = try vault.record("alpha")
            #expect(try vault.text("alpha") == #"{"made":"up"}"#)
            #expect(record.secretNames == ["client_secret", "token.0"])
            #expect(try record.secret("client_secret")?.revealed() == "made-up-secret-a")
        }
    }

    @Test func parsingAndWritingGivesTheSameBytes() throws {
        let vector = try #require(Vector.all.first { $0.name == "good" })
        let length = try Header.length(fromPrefix: Array(vector.file.prefix(Header.fixedLength)))
        let header = try Header(parsing: Array(vector.file.prefix(length)))
        let vaultKey = try SecretBytes(copying: ([UInt8](32..<64)).span.bytes)
        let keys = try VaultKeys.derive(from: vaultKey)
        #expect(header.serialised(key: keys.header) == Array(vector.file.prefix(length)))
    }

    /// What claviger writes, the second implementation reads.
    @Test func theSecondImplementationReadsOurs() async throws {
        let fixture = try VaultFixture()
        let keyPath = fixture.folder.file("key")
        let key = UnlockKey.keyFile(try KeyFile.create(keyPath))
        let vault = try LockedVault.create(at: fixture.path, keys: [(key, "label")], memory: nil)
        try vault.add("one", #"{"a":1}"#)
        try vault.add("two", #"{"a":2}"#)
        try vault.update { try $0.remove("one") }
        let result = await Program.run(
            Program.root + "/.build/venv/bin/python",
            [Program.root + "/Tests/VaultTests/vault_reference.py", "read", fixture.path, keyPath])
        #expect(result.errors == "")
        #expect(
            result.output.contains(
                #""records": {"two": {"description": {"a": 2}, "secrets": {"client_secret": "made-up-secret"}}}"#))
        #expect(result.output.contains(#""generation": 4"#))
    }
}
