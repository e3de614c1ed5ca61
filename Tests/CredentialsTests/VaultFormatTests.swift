import Access
import Foundation
import OAuth
import Sodium
import TestSupport
import Testing
import TokenEngine

@testable import Credentials
@testable import Vault

/// What a reader of a vault has to say of it, in the form of `vault_reference.py judge`.
private struct Verdict: Codable, Equatable {
    struct Slot: Codable, Equatable {
        var id: String
        var kind: String
        var created: UInt64?
        var label: String?
    }

    struct Stored: Codable, Equatable {
        var kind: UInt8
        var name: String
        var description: String
        var secrets: [String: String]
    }

    var refused: [String]
    var generation: UInt64?
    var slots: [Slot]?
    var records: [Stored]?

    init(json: some StringProtocol) throws {
        self = try JSONDecoder().decode(Verdict.self, from: Data(json.utf8))
    }

    /// What a vector says.
    init(_ vector: Vector) throws {
        self = try Verdict(json: #"{"refused":[]}"#)
        if let holds = vector.holds { self = try Verdict(json: #"{"refused":[],"# + holds.dropFirst()) }
        refused = vector.refused
    }

    // MARK: What claviger says

    init(_ path: String, _ key: UnlockKey) throws {
        refused = []
        let vault: UnlockedVault
        do {
            vault = try LockedVault(path: path, memory: nil).unlock(with: key)
        } catch .damaged(let part, let reason, _) {
            refused = ["\(part.rawValue): \(reason)"]
            return
        } catch .newerFormat(let version) {
            refused = ["version: \(version)"]
            return
        } catch .wrongKey {
            refused = ["key"]
            return
        }
        generation = vault.generation
        slots = try vault.keySlots().map { slot in
            let kind = [SlotKind.passphrase: "passphrase", .keyFile: "key file", .recipient: "recipient"][slot.kind]
            let isNoted = slot.created != nil
            return Slot(id: slot.id, kind: try #require(kind), created: slot.created, label: isNoted ? slot.label : nil)
        }
        records = []
        try vault.forEachRecord { name, record in
            try add(.credential, name, "credential \(name)", record) { _ = try CredentialRecord.credential($0, name: name) }
        }
        try addOnly(.policy, "policy", in: vault) { _ in _ = try RuleStore(vault: vault, log: .scratch(vault)).read() }
        try addOnly(.auditHead, "head", in: vault) { _ in
            if vault.sealedHead == .unreadable { throw VaultError.damagedRecord(.auditHead, name: "-", reason: "") }
        }
    }

    private mutating func addOnly(
        _ kind: RecordKind, _ place: String, in vault: UnlockedVault, _ check: (Record) throws -> Void
    ) throws {
        let record = Result { () throws(VaultError) in try vault.record(only: kind) }
        if case .success(nil) = record { return }
        try add(kind, "-", place, record.map { $0! }, check)
    }

    /// - Parameter check: whether its content is known.
    private mutating func add(
        _ kind: RecordKind, _ name: String, _ place: String, _ record: Result<Record, VaultError>,
        _ check: (Record) throws -> Void
    ) throws {
        let content: Record
        switch record {
        case .success(let record): content = record
        case .failure(.damagedRecord(_, _, let reason, _)):
            refused.append("\(place): \(reason)")
            return
        case .failure(let error): throw error
        }
        do {
            try check(content)
        } catch CredentialError.newerRecord, CredentialError.newerPolicy {
            refused.append("\(place): newer")
        } catch VaultError.damagedRecord {
            refused.append("\(place): damaged")
        }
        let description = content.description
        var secrets: [String: String] = [:]
        for name in content.secretNames { secrets[name] = try content.secret(name)?.withBytes { Hex.encode($0) } }
        records?.append(
            Stored(kind: kind.rawValue, name: name, description: Hex.encode(description.span.bytes), secrets: secrets))
    }
}

/// claviger and the second implementation of claviger-vault(5), in Python, say the same of every vault: what is refused, for
/// which reason, and what is in the rest.
@Suite(.timeLimit(.minutes(4))) struct VaultFormatTests {
    private let folder = TemporaryFolder()
    private static let vectorKey = [UInt8](64..<96)

    private func key(_ bytes: [UInt8]) throws -> UnlockKey { .keyFile(try Secret(copying: bytes.span.bytes)) }

    /// Writes a key file.
    private func write(key bytes: [UInt8]) -> String {
        folder.write("key", "claviger-key-1 \(Hex.encode(bytes.span.bytes))\n")
    }

    /// What the second implementation says of all files in a folder.
    private func judged(_ files: String) async throws -> [String: Verdict] {
        let output = try await Vector.script("vault_reference.py", "judge", folder.file("key"), files)
        return try JSONDecoder().decode([String: Verdict].self, from: Data(output.utf8))
    }

    private func makeFolder(_ name: String) throws -> String {
        let path = folder.file(name)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        return path
    }

    // MARK: Vectors

    @Test(arguments: Vector.all)
    func `a vector is read as it says`(_ vector: Vector) throws {
        #expect(try Verdict(folder.write("vault", vector.file), key(vector.keyFile)) == Verdict(vector))
    }

    @Test func `the second implementation reads all vectors as they say`() async throws {
        _ = write(key: Self.vectorKey)
        let files = try makeFolder("files")
        for vector in Vector.all { folder.write("files/" + vector.name, vector.file) }
        let verdicts = try await judged(files)
        #expect(verdicts.count == Vector.all.count && verdicts.count > 100)
        for vector in Vector.all { #expect(try verdicts[vector.name] == Verdict(vector), "\(vector)") }
    }

    @Test func `the vectors that are too large for the repository are read as they say`() async throws {
        let made = try makeFolder("made")
        _ = try await Vector.script("vault_vectors.py", "large", made)
        let vectors = try Vector.all(in: made)
        #expect(vectors.count == 3)
        _ = write(key: Self.vectorKey)
        let files = try makeFolder("files")
        for vector in vectors { folder.write("files/" + vector.name, vector.file) }
        let verdicts = try await judged(files)
        for vector in vectors {
            let expected = try Verdict(vector)
            let isRead = try Verdict(files + "/" + vector.name, key(vector.keyFile)) == expected
            #expect(isRead && verdicts[vector.name] == expected, "\(vector)")
        }
    }

    @Test func `the vectors are those that the second implementation writes`() async throws {
        let made = try makeFolder("made")
        _ = try await Vector.script("vault_vectors.py", "small", made)
        let names = try FileManager.default.contentsOfDirectory(atPath: made)
        #expect(try Set(names) == Set(FileManager.default.contentsOfDirectory(atPath: Vector.folder)))
        for name in names { #expect(bytes(ofFile: made + "/" + name) == bytes(ofFile: Vector.folder + "/" + name), "\(name)") }
    }

    // MARK: Each reads what the other writes

    /// A vault with everything in it that claviger writes.
    private func vault(_ key: UnlockKey) throws -> (vault: UnlockedVault, path: String) {
        let path = folder.file("vault")
        let vault = try LockedVault.create(at: path, keys: [(key, "a label")], memory: nil)
        let log = AuditLog(vault: vault, path: folder.file("vault.log"))
        let (first, second) = (try VaultManualTests.credentials()[0], try VaultManualTests.credentials()[1])
        try vault.update { transaction in
            try transaction.add("first", CredentialRecord.record(first))
            try transaction.add("cle\u{301} 鍵", CredentialRecord.record(second))
        }
        try RuleStore(vault: vault, log: log).update { policy in
            policy.allow(Rule(credential: "first", subject: .user(id: 0, name: "root"), scopes: ["read"], maxTTL: 60))
            policy.allow(Rule(credential: "first", subject: .group(id: .max, name: "g")))
        }
        try log.append([AuditEvent(.token, of: "first", by: .own, at: Date())])
        try log.seal(in: vault)
        return (vault, path)
    }

    @Test func `the second implementation reads what claviger writes, and claviger what that one writes`() async throws {
        let bytes = Random.bytes(32)
        let keyPath = write(key: bytes)
        let path = try vault(key(bytes)).path
        let ours = try Verdict(path, key(bytes))
        #expect(ours.refused == [] && ours.records?.map(\.kind) == [1, 1, 2, 3])
        let files = try makeFolder("files")
        try FileManager.default.copyItem(atPath: path, toPath: files + "/vault")
        #expect(try await judged(files)["vault"] == ours)

        let written = folder.file("written")
        let contents = String(decoding: try JSONEncoder().encode(ours), as: UTF8.self)
        _ = try await Vector.script("vault_reference.py", "write", written, keyPath, input: contents)
        let theirs = try Verdict(written, key(bytes))
        #expect(theirs.refused == [] && theirs.generation == ours.generation && theirs.records == ours.records)
        #expect(theirs.slots?.map(\.label) == ["a label"] && theirs.slots?.first?.id != ours.slots?.first?.id)
        // claviger goes on with it.
        let vault = try LockedVault(path: written, memory: nil).unlock(with: key(bytes))
        try vault.update { try $0.remove("first") }
        #expect(vault.names() == ["cl\u{e9} 鍵"])
    }

    /// Bytes flipped, taken out, put in and cut off: in the file, and in the plaintext under each of its seals.
    @Test(arguments: [UInt64](1...(Torture.isLong ? 20 : 2)))
    func `both say the same of broken copies`(_ seed: UInt64) async throws {
        let bytes = Random.bytes(32)
        let keyPath = write(key: bytes)
        let path = try vault(key(bytes)).path
        let files = try makeFolder("files")
        _ = try await Vector.script("vault_vectors.py", "broken", path, keyPath, "\(seed)", "200", files)
        let verdicts = try await judged(files)
        #expect(verdicts.count == 200)
        var reasons: Set<String> = []
        for (name, theirs) in verdicts {
            let file = files + "/" + name
            chmod(file, 0o600)
            let ours = try Verdict(file, key(bytes))
            #expect(ours == theirs, "seed \(seed), copy \(name): \(TestSupport.bytes(ofFile: file).count) bytes")
            reasons.formUnion(theirs.refused)
        }
        #expect(reasons.count > 15)
    }

    /// For which of the two it was made can't be told.
    @Test func `a rule for a name in two spellings lets nobody have tokens of either`() throws {
        let folder = TemporaryFolder()
        let vector = try #require(Vector.all.first { $0.name == "name-twice-in-two-forms" })
        let key = UnlockKey.keyFile(try Secret(copying: [UInt8](64..<96).span.bytes))
        let vault = try LockedVault(path: folder.write("vault", vector.file), memory: nil).unlock(with: key)
        let rules = RuleStore(vault: vault, log: .scratch(vault))
        let alice = Subject.user(id: 1001, name: "alice")
        for name in ["cl\u{e9}", "cle\u{301}", #"cle\u{301}"#] {
            try rules.update { $0 = Policy(rules: [Rule(credential: name, subject: alice)]) }
            #expect(try rules.read().rules.isEmpty == (name != #"cle\u{301}"#))
        }
    }
}
