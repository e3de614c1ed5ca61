import Foundation
import Linux
import Sodium
import TestSupport
import Testing

@testable import Vault

@Suite struct ReadingAndWritingTests {
    @Test func keepsWhatItIsGiven() throws {
        let fixture = try VaultFixture()
        try fixture.create().add("torq", #"{"n":1}"#)
        let vault = try fixture.open()
        #expect(vault.names() == ["torq"])
        #expect(try vault.text("torq") == #"{"n":1}"#)
        #expect(try vault.record("torq").secret("client_secret")?.revealed() == "made-up-secret")
        #expect(try vault.record("torq").secret("password") == nil)
    }

    @Test func opensWithEitherOfTwoKeys() throws {
        let fixture = try VaultFixture()
        let passphrase = UnlockKey.passphrase(try Secret(utf8: "made-up passphrase"))
        _ = try LockedVault.create(
            at: fixture.path, keys: [(fixture.key, "a"), (passphrase, "b")], cost: .minimum, memory: nil)
        _ = try fixture.open()
        _ = try LockedVault(path: fixture.path, memory: nil).unlock(with: passphrase)
    }

    @Test func manyRecordsSurviveManyChanges() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        let records = try (0..<60).map {
            try VaultFixture.record("{\"n\":\($0)}", secret: String(repeating: "x", count: $0 * 9 + 1))
        }
        try vault.update { for (index, record) in records.enumerated() { try $0.add("name-\(index)", record) } }
        for index in stride(from: 0, to: 60, by: 3) { try vault.update { try $0.remove("name-\(index)") } }
        for index in stride(from: 1, to: 60, by: 3) {
            let record = try VaultFixture.record("{\"changed\":\(index)}")
            try vault.update { try $0.replace("name-\(index)", with: record) }
        }
        let reopened = try fixture.open()
        #expect(reopened.names().count == 40)
        for index in 0..<60 where index % 3 != 0 {
            #expect(try reopened.text("name-\(index)") == (index % 3 == 1 ? "{\"changed\":\(index)}" : "{\"n\":\(index)}"))
        }
    }

    @Test func severalChangesAreOneCommit() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        let record = try VaultFixture.record("{}")
        try vault.update {
            try $0.add("a", record)
            try $0.rename("a", to: "b")
            try $0.add("c", record)
            try $0.remove("c")
        }
        #expect(vault.names() == ["b"])
        #expect(vault.generation == 2)
    }

    @Test func aChangeThatFailsChangesNothing() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        try vault.add("a")
        let before = bytes(ofFile: fixture.path)
        let record = try VaultFixture.record("{}")
        #expect(throws: VaultError.nameTaken("a")) {
            try vault.update {
                try $0.add("b", record)
                try $0.add("a", record)
            }
        }
        #expect(bytes(ofFile: fixture.path) == before)
        #expect(vault.names() == ["a"])
    }

    @Test func seesWhatAnotherProcessCommitted() throws {
        let fixture = try VaultFixture()
        let here = try fixture.create()
        let there = try fixture.open()
        try there.add("new", #"{"by":"there"}"#)
        #expect(try here.text("new") == #"{"by":"there"}"#)
        try here.add("newer")
        #expect(try fixture.open().names() == ["new", "newer"])
    }

    @Test func concurrentWritersLoseNothing() async throws {
        let fixture = try VaultFixture()
        try fixture.create()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<16 {
                group.addTask { try fixture.open().add("name-\(index)") }
            }
            try await group.waitForAll()
        }
        #expect(try fixture.open().names().count == 16)
        #expect(try fixture.open().generation == 17)
    }

    @Test func thePreviousStateStaysBeside() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        try vault.add("first")
        let before = bytes(ofFile: fixture.path)
        try vault.add("second")
        #expect(bytes(ofFile: fixture.path + ".previous") == before)
        let older = try LockedVault(path: fixture.path + ".previous", memory: nil).unlock(with: fixture.key)
        #expect(older.names() == ["first"])
    }

    @Test func nothingReadableIsInTheFile() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        let record = try Record(
            description: Array("the-description".utf8), secrets: ["client_secret": Secret(utf8: "the-secret-value")])
        try vault.update { try $0.add("the-name", record) }
        for text in ["the-name", "the-description", "the-secret-value", "client_secret", "test"] {
            #expect(Data(bytes(ofFile: fixture.path)).range(of: Data(text.utf8)) == nil)
        }
    }

    @Test func theLengthOfASecretDoesNotShow() throws {
        let sizes = try [1, 40, 100].map { length in
            let fixture = try VaultFixture()
            let vault = try fixture.create()
            let record = try VaultFixture.record("{}", secret: String(repeating: "s", count: length))
            try vault.update { try $0.add("n", record) }
            return bytes(ofFile: fixture.path).count
        }
        #expect(Set(sizes).count == 1)
    }

    @Test func onlyItsOwnerMayReadIt() throws {
        let fixture = try VaultFixture()
        try fixture.create().add("a")
        for name in ["vault", "vault.previous", "vault.lock"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: fixture.folder.file(name))
            #expect(attributes[.posixPermissions] as? Int == 0o600)
        }
    }

    @Test func aSymlinkStaysOne() throws {
        let fixture = try VaultFixture()
        try fixture.create()
        let link = fixture.folder.file("link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: fixture.path)
        try LockedVault(path: link, memory: nil).unlock(with: fixture.key).add("through")
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == fixture.path)
        #expect(try fixture.open().names() == ["through"])
    }

    @Test func whatADeadProcessLeftIsCleanedUp() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        fixture.folder.write("vault.new-0123456789abcdef", "half a commit")
        #expect(try fixture.open().names() == [])
        try vault.add("a")
        #expect(!FileManager.default.fileExists(atPath: fixture.folder.file("vault.new-0123456789abcdef")))
    }
}

@Suite struct RefusalTests {
    @Test func aVaultThatIsNotThere() throws {
        let fixture = try VaultFixture()
        #expect(throws: VaultError.noVault(path: fixture.path)) { try fixture.open() }
    }

    @Test func aVaultThatIsThereAlready() throws {
        let fixture = try VaultFixture()
        try fixture.create()
        let before = bytes(ofFile: fixture.path)
        #expect(throws: VaultError.vaultExists(path: fixture.path)) { try fixture.create() }
        #expect(bytes(ofFile: fixture.path) == before)
    }

    @Test func theWrongKey() throws {
        let fixture = try VaultFixture()
        let passphrase = UnlockKey.passphrase(try Secret(utf8: "right"))
        _ = try LockedVault.create(at: fixture.path, keys: [(passphrase, "")], cost: .minimum, memory: nil)
        for key in [UnlockKey.passphrase(try Secret(utf8: "wrong")), fixture.key] {
            #expect(throws: VaultError.wrongKey) { try LockedVault(path: fixture.path, memory: nil).unlock(with: key) }
        }
    }

    @Test func truncationAtEveryLength() throws {
        let fixture = try VaultFixture()
        try fixture.create().add("a")
        let whole = bytes(ofFile: fixture.path)
        for length in 0..<whole.count {
            fixture.folder.write("vault", Array(whole[..<length]))
            #expect(throws: VaultError.self, "\(length) bytes") { try fixture.readAll() }
        }
    }

    @Test func aChangeOfAnyByte() throws {
        let fixture = try VaultFixture()
        try fixture.create().add("a")
        let whole = bytes(ofFile: fixture.path)
        for index in whole.indices {
            var changed = whole
            changed[index] ^= UInt8(1 << (index % 8))
            fixture.folder.write("vault", changed)
            #expect(throws: VaultError.self, "byte \(index)") { try fixture.readAll() }
        }
    }

    @Test func aFileThatOthersMayRead() throws {
        let fixture = try VaultFixture()
        try fixture.create()
        for mode in [0o640, 0o604, 0o660, 0o777] {
            chmod(fixture.path, mode_t(mode))
            #expect(throws: VaultError.permissionsTooWide(path: fixture.path, mode: UInt32(mode))) { try fixture.open() }
        }
    }

    @Test func aFolderAndAFIFO() throws {
        let fixture = try VaultFixture()
        mkdir(fixture.path, 0o700)
        #expect(throws: VaultError.notARegularFile(path: fixture.path, kind: "folder")) { try fixture.open() }
        rmdir(fixture.path)
        mkfifo(fixture.path, 0o600)
        #expect(throws: VaultError.notARegularFile(path: fixture.path, kind: "FIFO")) { try fixture.open() }
    }

    @Test func aVaultPutBackToAnOlderState() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        let older = bytes(ofFile: fixture.path)
        try vault.add("a")
        fixture.folder.write("vault", older)
        #expect(throws: VaultError.wentBack(generation: 1, seen: 2)) { try fixture.open() }
        // Not where it was never seen newer, nor where the older state is accepted.
        let accepted = try LockedVault(path: fixture.path, memory: nil).unlock(with: fixture.key)
        accepted.remember(in: fixture.memory)
        #expect(try fixture.open().generation == 1)
    }

    /// To forget in silence would let an older vault pass.
    @Test(arguments: ["", "x", "12", "\n", "-1\n", "99999999999999999999999\n"])
    func `a memory that holds no generation is refused`(_ text: String) throws {
        let fixture = try VaultFixture()
        try fixture.create()
        let state = fixture.folder.file("state")
        let name = try #require(try FileManager.default.contentsOfDirectory(atPath: state).first { $0.hasSuffix(".generation") })
        let path = state + "/" + name
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        #expect(throws: VaultError.memoryUnreadable(path: path)) { try fixture.open() }
        // Until somebody says that the vault is as it should be.
        try LockedVault(path: fixture.path, memory: nil).unlock(with: fixture.key).remember(in: fixture.memory)
        #expect(try fixture.open().generation == 1)
        unlink(path)
        mkdir(path, 0o700)
        #expect(throws: VaultError.memoryUnreadable(path: path)) { try fixture.open() }
    }

    /// What the slots of a strange vault cost is bounded before any of it is paid.
    @Test func `a vault whose slots ask for too much work is refused`() throws {
        let vaultID = [UInt8](repeating: 1, count: 16)
        func header(_ count: Int, _ cost: PasswordHashCost) throws -> Header {
            let slots = (0..<count).map { index in
                Slot(
                    id: [UInt8](repeating: UInt8(index), count: 16),
                    body: .passphrase(cost, salt: [UInt8](repeating: 2, count: 16)),
                    wrapped: [UInt8](repeating: 3, count: Slot.keyWrapLength))
            }
            let key = try SecretBytes.random(count: 32)
            return try Header(parsing: Header(vaultID: vaultID, slots: slots).serialised(key: key))
        }
        #expect(try header(64, .moderate).slots.count == 64)
        #expect(try header(1, PasswordHashCost(passes: 16, memory: 2 << 30)).slots.count == 1)
        let refusal = VaultError.damaged(.header, reason: "asks for more work to open it than any vault needs")
        #expect(throws: refusal) { try header(2, PasswordHashCost(passes: 16, memory: 2 << 30)) }
        #expect(throws: refusal) { try header(64, PasswordHashCost(passes: 4, memory: 256 << 20)) }
    }

    @Test(.enabled(if: geteuid() == 0, "needs root, to give files away"))
    func `what root makes beside a vault belongs to the vault's owner`() throws {
        let fixture = try VaultFixture()
        try fixture.create()
        unlink(fixture.path + ".lock")
        chown(fixture.path, 4711, 4712)
        try fixture.open().add("a")
        for name in ["", ".lock", ".previous"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: fixture.path + name)
            #expect(attributes[.ownerAccountID] as? Int == 4711 && attributes[.groupOwnerAccountID] as? Int == 4712, "\(name)")
        }
        // An earlier version has left it to root.
        chown(fixture.path + ".lock", 0, 0)
        try fixture.open().add("b")
        let attributes = try FileManager.default.attributesOfItem(atPath: fixture.path + ".lock")
        #expect(attributes[.ownerAccountID] as? Int == 4711)
    }

    @Test func anotherVaultInItsPlace() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        try vault.add("a")
        let other = try VaultFixture()
        try other.create()
        fixture.folder.write("vault", bytes(ofFile: other.path))
        let refusal = VaultError.damaged(.header, reason: "is that of another vault", hasPrevious: true)
        #expect(throws: refusal) { try vault.record("a") }
    }

    @Test func aRecordFromAnOlderState() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        try vault.add("a", "{\"state\":1}")
        let older = bytes(ofFile: fixture.path)
        let newRecord = try VaultFixture.record("{\"state\":2}")
        try vault.update { try $0.replace("a", with: newRecord) }
        let newer = bytes(ofFile: fixture.path)
        // The only record stands at the end, and both have one size.
        let length = 256 + AEAD.overhead
        fixture.folder.write("vault", Array(newer.dropLast(length) + older.suffix(length)))
        let refusal = VaultError.damagedRecord(
            .credential, name: "a", reason: "is not the one in the root", hasPrevious: true)
        #expect(throws: refusal) { try fixture.open().record("a") }
    }

    @Test(arguments: ["", "a/b", "a\nb", "a\u{7}b", "-a", " a", "a ", "a\u{202E}b", String(repeating: "a", count: 129)])
    func aNameThatIsNone(_ name: String) throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        let record = try VaultFixture.record("{}")
        #expect {
            try vault.update { try $0.add(name, record) }
        } throws: { error in
            if case VaultError.invalidName = error { true } else { false }
        }
        #expect(vault.generation == 1)
    }

    @Test(arguments: [
        "a", "torq-eu", "клавиша", "with space", String(repeating: "ä", count: 128), String(repeating: "a\u{308}", count: 128),
    ])
    func aNameThatIsOne(_ name: String) throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        try vault.add(name)
        #expect(vault.names() == [name])
    }

    @Test func aCredentialThatIsNotThereSuggestsTheNearOne() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        try vault.add("torq-prod")
        #expect(throws: VaultError.noSuchCredential(name: "torq-prd", near: "torq-prod")) { try vault.record("torq-prd") }
        #expect(throws: VaultError.noSuchCredential(name: "google", near: nil)) { try vault.record("google") }
    }

    @Test func aSecretThatIsTooLarge() throws {
        let huge = try Secret(utf8: String(repeating: "s", count: 1 << 20))
        #expect(throws: VaultError.tooLarge(what: "a credential", limit: 1 << 20)) {
            try Record(description: [], secrets: ["client_secret": huge])
        }
    }

    private static let digits = String(repeating: "0a", count: 32)

    @Test(arguments: [
        "", "claviger-key-1 00", "claviger-key-2 " + digits, digits, "claviger-key-1 " + digits + "0",
        "claviger-key-1  " + digits,
        "claviger-key-1 " + digits + "\n\r", "claviger-key-1 " + digits + "\n\n", "claviger-key-1 " + digits + " \n",
        "claviger-key-1 " + digits + "\nx", "Claviger-key-1 " + digits, "claviger-key-1 x" + digits.dropFirst(),
        " claviger-key-1 " + digits,
    ])
    func aKeyFileThatIsNone(_ text: String) throws {
        let folder = TemporaryFolder()
        let path = folder.write("key", text)
        #expect {
            try KeyFile.read(path)
        } throws: { error in
            if case VaultError.damaged(.keyFile, _, _) = error { true } else { false }
        }
    }

    /// As claviger-vault(5) has it: the line's end may be missing, and digits may be in upper case.
    /// Editors put a byte order mark before it, and other ends on the line.
    @Test(arguments: [digits + "\n", digits, digits.uppercased() + "\n", digits + "\r\n", "\u{FEFF}" + digits + "\r\n"])
    func `a key file that is one`(_ rest: String) throws {
        let path = TemporaryFolder()
        let mark = rest.hasPrefix("\u{FEFF}") ? "\u{FEFF}" : ""
        let key = try KeyFile.read(path.write("key", mark + "claviger-key-1 " + rest.trimmingPrefix("\u{FEFF}")))
        #expect(key.withBytes { Hex.encode($0) } == Self.digits)
    }

    @Test func aKeyFileThatOthersMayRead() throws {
        let folder = TemporaryFolder()
        let path = folder.file("key")
        let made = try KeyFile.create(path)
        #expect(try KeyFile.read(path).equals(made))
        chmod(path, 0o644)
        // Nobody else can enter the folder.
        #expect(try KeyFile.read(path).equals(made))
        chmod(folder.path, 0o755)
        let error = #expect(throws: VaultError.self) { try KeyFile.read(path) }
        guard case .exposed(let exposure) = error else { throw error! }
        #expect(exposure.path == path && exposure.readers.contains(.everybody))
    }

    @Test func `a key file that is a pipe`() throws {
        let pipe = Pipe()
        pipe.fileHandleForWriting.write(Data("claviger-key-1 \(Self.digits)\n".utf8))
        try pipe.fileHandleForWriting.close()
        let key = try KeyFile.read("/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)")
        #expect(key.withBytes { Hex.encode($0) } == Self.digits)
    }

    @Test func `a key file and a vault are not taken for one another`() throws {
        let fixture = try VaultFixture()
        _ = try fixture.create()
        #expect(throws: VaultError.damaged(.keyFile, reason: "is a vault, not a key file")) { try KeyFile.read(fixture.path) }
        let folder = TemporaryFolder()
        let path = folder.write("key", "claviger-key-1 \(Self.digits)\n")
        #expect(throws: VaultError.keyFileAsVault) { try LockedVault(path: path, memory: nil) }
    }
}

@Suite struct LockTests {
    @Test func oneCredentialsLockIsHeldOnce() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        let other = try fixture.open()
        var lock = try vault.tryLock(credential: "a")
        #expect(lock != nil)
        #expect(try other.tryLock(credential: "a") == nil)
        #expect(try other.tryLock(credential: "b") != nil)
        lock = nil
        #expect(try other.tryLock(credential: "a") != nil)
    }

    @Test func committingAndAcquiringDoNotBlockEachOther() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        let lock = try vault.tryLock(credential: "a")
        try fixture.open().add("a")
        withExtendedLifetime(lock) {}
    }
}

/// A disk that is really full: a small file system of its own, which only root may mount.
@Suite(.enabled(if: geteuid() == 0, "needs root, to mount a small file system")) struct FullDiskTests {
    @Test func aFullDiskChangesNothing() async throws {
        let fixture = try VaultFixture()
        let disk = fixture.folder.file("disk")
        mkdir(disk, 0o700)
        let mounted = await Program.run("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=256k", "none", disk])
        try #require(mounted.status == 0, "\(mounted.errors)")
        let vault = try LockedVault.create(at: disk + "/vault", keys: [(fixture.key, "")], memory: nil)
        var failure: (any Error)?
        var stored = 0
        for index in 0..<200 where failure == nil {
            do {
                let record = try VaultFixture.record("{}", secret: String(repeating: "s", count: 8000))
                try vault.update { try $0.add("name-\(index)", record) }
                stored += 1
            } catch {
                failure = error
            }
        }
        #expect(failure as? VaultError == .diskFull(path: disk + "/vault"))
        let reopened = Result { try LockedVault(path: disk + "/vault", memory: nil).unlock(with: fixture.key) }
        let leftovers = try FileManager.default.contentsOfDirectory(atPath: disk).filter { $0.contains(".new-") }
        let names = Result { () throws -> [String] in
            try reopened.get().forEachRecord { _, record in _ = try record.get() }
            return try reopened.get().names()
        }
        _ = await Program.run("/usr/bin/umount", ["-l", disk])
        #expect(try names.get().count == stored)
        #expect(leftovers == [])
    }

    /// The disk fills up behind the reservation, and the first attempt fails for another reason.
    @Test func `a reservation lasts until a commit succeeds`() async throws {
        let fixture = try VaultFixture()
        let disk = fixture.folder.file("disk")
        mkdir(disk, 0o700)
        let mounted = await Program.run("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=1m", "none", disk])
        try #require(mounted.status == 0, "\(mounted.errors)")
        let outcome = Result { () throws -> (withoutRoom: VaultError?, free: [Int], names: [String]) in
            let vault = try LockedVault.create(at: disk + "/vault", keys: [(fixture.key, "")], memory: nil)
            let record = try VaultFixture.record("{}", secret: String(repeating: "s", count: 100_000))
            let room = try vault.reserveRoom()
            let filler = try File.create(disk + "/filler")
            #expect(throws: FileError.self) { while true { try filler.write([UInt8](repeating: 0, count: 4096)) } }
            var free = [try freeBytes(disk)]
            try Path.makeFolders(disk + "/vault.previous/full")
            for _ in 0..<10 {
                #expect(throws: VaultError.self) { try vault.update(in: room) { try $0.add("a", record) } }
                free.append(try freeBytes(disk))
            }
            rmdir(disk + "/vault.previous/full")
            rmdir(disk + "/vault.previous")
            var withoutRoom: VaultError?
            do { try vault.update { try $0.add("b", record) } } catch { withoutRoom = error as? VaultError }
            try vault.update(in: room) { try $0.add("a", record) }
            return (withoutRoom, free, try LockedVault(path: disk + "/vault", memory: nil).unlock(with: fixture.key).names())
        }
        _ = await Program.run("/usr/bin/umount", ["-l", disk])
        let result = try outcome.get()
        #expect(result.withoutRoom == .diskFull(path: disk + "/vault"))
        // No attempt has given any block back.
        #expect(result.free.allSatisfy { $0 == 0 })
        #expect(result.names == ["a"])
    }

    private func freeBytes(_ folder: String) throws -> Int {
        var info = statvfs()
        try #require(statvfs(folder, &info) == 0)
        return Int(info.f_bavail * info.f_bsize)
    }
}
