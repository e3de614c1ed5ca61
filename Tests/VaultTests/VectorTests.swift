import Foundation
import Sodium
import TestSupport
import Testing

@testable import Vault

@Suite struct VectorTests {
    @Test func `there are vectors`() {
        #expect(Vector.all.count == 214)
    }

    private static let keyFile = UnlockKey.keyFile(try! Secret(copying: [UInt8](64..<96).span.bytes))

    /// What is refused, as vectors say it. What descriptions hold means nothing to the vault.
    private func refused(_ vector: Vector) throws -> [String] {
        let folder = TemporaryFolder()
        var refused: [String] = []
        do {
            let vault = try LockedVault(path: folder.write("vault", vector.file), memory: nil).unlock(with: Self.keyFile)
            let state = try vault.refreshed()
            for entry in state.root.entries where [1, 2, 3].contains(entry.kind.rawValue) {
                do {
                    _ = try state.read(entry)
                } catch VaultError.damagedRecord(let kind, let name, let reason, false) {
                    refused.append(["", "credential \(name)", "policy", "head"][Int(kind.rawValue)] + ": \(reason)")
                }
            }
        } catch VaultError.damaged(let part, let reason, false) {
            refused.append("\(part.rawValue): \(reason)")
        } catch VaultError.newerFormat(let version) {
            refused.append("version: \(version)")
        } catch VaultError.wrongKey {
            refused.append("key")
        }
        return refused
    }

    @Test(arguments: Vector.all)
    func `a vector is refused for its one failure`(_ vector: Vector) throws {
        let isOfContents = { (line: String) in line.hasSuffix(": newer") || line.hasSuffix(": damaged") }
        #expect(try refused(vector) == vector.refused.filter { !isOfContents($0) })
    }

    @Test func `a name in another form than NFC is found by both, and stored in NFC with the next change`() throws {
        let folder = TemporaryFolder()
        let vector = try #require(Vector.all.first { $0.name == "name-not-nfc" })
        let vault = try LockedVault(path: folder.write("vault", vector.file), memory: nil).unlock(with: Self.keyFile)
        let (composed, decomposed) = ("cl\u{e9}", "cle\u{301}")
        #expect(vault.names().map { Array($0.utf8) } == [Array(composed.utf8)])
        #expect(try vault.record(composed).description == vault.record(decomposed).description)
        let record = try VaultFixture.record("{}")
        #expect(throws: VaultError.nameTaken(composed)) { try vault.update { try $0.add(composed, record) } }
        try vault.update { try $0.replace(decomposed, with: record) }
        let entries = try vault.refreshed().root.entries
        #expect(entries.map(\.name.count) == [composed.utf8.count])
        try vault.update { try $0.rename(decomposed, to: "other") }
        try vault.update { try $0.add(decomposed, record) }
        #expect(try vault.refreshed().root.entries.map(\.name.count).sorted() == [4, 5])
        let (first, second) = (try vault.tryLock(credential: composed), try vault.tryLock(credential: decomposed))
        #expect(first != nil && second == nil)
        for name in [composed, "other"] { try vault.update { try $0.remove(name) } }
        #expect(vault.names() == [])
    }

    @Test func `of two spellings of one name both are found, and neither is taken for the other`() throws {
        let folder = TemporaryFolder()
        let vector = try #require(Vector.all.first { $0.name == "name-twice-in-two-forms" })
        let vault = try LockedVault(path: folder.write("vault", vector.file), memory: nil).unlock(with: Self.keyFile)
        let (composed, decomposed, alias) = ("cl\u{e9}", "cle\u{301}", #"cle\u{301}"#)
        #expect(vault.names().map { Array($0.utf8) } == [Array(alias.utf8), Array(composed.utf8)])
        #expect(vault.isSpelledTwice(composed) && vault.isSpelledTwice(decomposed) && !vault.isSpelledTwice(alias))
        let ids = try [composed, decomposed, alias].map { try vault.recordID(of: $0) }
        #expect(ids[0] == ids[1] && ids[0] != ids[2] && ids[2] != nil)
        // A change of anything else leaves both.
        try vault.add("other")
        #expect(vault.names().count == 3 && vault.isSpelledTwice(composed))
        try vault.update { try $0.rename(alias, to: "plain") }
        #expect(try vault.recordID(of: composed) == ids[0])
        #expect(Set(vault.names()) == [composed, "plain", "other"] && !vault.isSpelledTwice(composed))
    }

    @Test func `records of unknown kinds are kept as they are`() throws {
        let folder = TemporaryFolder()
        let vector = try #require(Vector.all.first { $0.name == "unknown-kinds" })
        let vault = try LockedVault(path: folder.write("vault", vector.file), memory: nil).unlock(with: Self.keyFile)
        func unknown() throws -> [[UInt8]] {
            let state = try vault.refreshed()
            return try state.root.entries.filter { [0, 4, 255].contains($0.kind.rawValue) }.map {
                try state.root.hash(of: $0) + state.snapshot.record($0)
            }
        }
        let before = try unknown()
        #expect(before.count == 3)
        try vault.add("beta")
        try vault.update { try $0.remove("alpha") }
        #expect(try unknown() == before)
        #expect(vault.names() == ["beta"])
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
            #expect(try vault.text("alpha").contains(#""client_id":"made-up""#))
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
        let output = try await Vector.script("vault_reference.py", "read", fixture.path, keyPath)
        #expect(
            output.contains(
                #""records": {"two": {"description": {"a": 2}, "secrets": {"client_secret": "made-up-secret"}}}"#))
        #expect(output.contains(#""generation": 4"#))
    }
}
