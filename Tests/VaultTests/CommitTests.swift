import Foundation
import Linux
import TestSupport
import Testing

@testable import Vault

@Suite struct CommitTests {
    /// The names in the vault's folder that begin with its own.
    private func names(_ fixture: VaultFixture) -> [String] {
        Path.names(inFolder: fixture.folder.path).filter { $0.hasPrefix("vault") }.sorted()
    }

    @Test func `a commit behind one that had kept the previous state leaves no stray`() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        try vault.add("a")
        // As after a commit that failed between keeping the previous state and taking its place.
        unlink(fixture.path + ".previous")
        #expect(link(fixture.path, fixture.path + ".previous") == 0)
        let before = bytes(ofFile: fixture.path)
        try vault.add("b")
        #expect(names(fixture) == ["vault", "vault.lock", "vault.previous"])
        #expect(bytes(ofFile: fixture.path + ".previous") == before)
    }

    @Test func `what a dead process left of a generation is cleaned up`() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        let stray = try #require(Path.names(inFolder: fixture.folder.file("state")).first { $0.hasSuffix(".generation") })
        fixture.folder.write("state/\(stray)-0123456789abcdef", "1")
        fixture.folder.write("state/other-0123456789abcdef", "1")
        try vault.add("a")
        #expect(
            Set(Path.names(inFolder: fixture.folder.file("state"))) == [".", "..", stray, "other-0123456789abcdef"])
    }

    @Test func `a commit in reserved room uses it up, and the next one does without`() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        let room = try vault.reserveRoom()
        for name in ["a", "b"] {
            let record = try VaultFixture.record("{}")
            try vault.update(in: room) { try $0.add(name, record) }
        }
        #expect(try fixture.open().names() == ["a", "b"])
        #expect(names(fixture) == ["vault", "vault.lock", "vault.previous"])
        // The blocks that were not needed are free again.
        #expect(try Path.status(of: fixture.path).allocated < 256 << 10)
    }

    @Test func `room that is not used goes away`() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        try { _ = try vault.reserveRoom() }()
        #expect(names(fixture) == ["vault", "vault.lock"])
    }

    @Test func `an attempt that fails leaves nothing in the file of the next`() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        let room = try vault.reserveRoom()
        let long = try VaultFixture.record("{}", secret: String(repeating: "s", count: 100_000))
        // Its place can't be taken while `vault.previous` is a folder that isn't empty.
        try Path.makeFolders(fixture.path + ".previous/full")
        #expect(throws: VaultError.self) { try vault.update(in: room) { try $0.add("long", long) } }
        try FileManager.default.removeItem(atPath: fixture.path + ".previous")
        let short = try VaultFixture.record("{}")
        try vault.update(in: room) { try $0.add("short", short) }
        #expect(try fixture.open().names() == ["short"])
        try fixture.readAll()
        #expect(names(fixture) == ["vault", "vault.lock", "vault.previous"])
    }

    /// What a process has open is no older than what it has seen, also where this machine remembers nothing.
    @Test func `an older vault does not take the place of an open one`() throws {
        let fixture = try VaultFixture()
        try LockedVault.create(at: fixture.path, keys: [(fixture.key, "test")], memory: nil).add("a")
        func open() throws -> UnlockedVault { try LockedVault(path: fixture.path, memory: nil).unlock(with: fixture.key) }
        let held = try open()
        let older = fixture.folder.file("older")
        try FileManager.default.copyItem(atPath: fixture.path, toPath: older)
        try open().add("b")
        #expect(held.names() == ["a"])
        #expect(try held.newestGeneration() == 3)
        #expect(held.names() == ["a", "b"])
        try Path.rename(older, to: fixture.path)
        #expect(throws: VaultError.wentBack(generation: 2, seen: 3)) { try held.newestGeneration() }
        #expect(throws: VaultError.wentBack(generation: 2, seen: 3)) { try held.record("a") }
        #expect(throws: VaultError.wentBack(generation: 2, seen: 3)) { try held.add("c") }
        // Whoever opens it now says that it may be older.
        #expect(try open().names() == ["a"])
    }
}
