import Linux
import Sodium
import TestSupport
import Testing

@testable import Vault

@Suite struct KeySlotTests {
    private let cost = PasswordHashCost(passes: 1, memory: 8192)

    private func passphrase(_ text: String) throws -> UnlockKey { .passphrase(try Secret(utf8: text)) }

    private func opens(_ fixture: VaultFixture, _ key: UnlockKey) throws -> Bool {
        do throws(VaultError) {
            _ = try LockedVault(path: fixture.path, memory: nil).unlock(with: key)
            return true
        } catch .wrongKey {
            return false
        }
    }

    @Test func anAddedKeyOpensTheVaultAndTheOldOneStillDoes() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        try vault.add("a", "{\"kept\":1}")
        let new = try passphrase("made-up")
        try vault.addKey(new, label: "a label", with: fixture.key, cost: cost)
        #expect(try vault.keySlots().map(\.label) == ["test", "a label"])
        #expect(try vault.keySlots().map(\.kind) == [.keyFile, .passphrase])
        #expect(try vault.keySlots(openedBy: new).map(\.label) == ["a label"])
        #expect(try opens(fixture, fixture.key))
        let reopened = try LockedVault(path: fixture.path, memory: nil).unlock(with: new)
        #expect(try reopened.text("a") == "{\"kept\":1}")
        #expect(reopened.generation == 3)
        // Who had it open sees the commits of who opened it with the new key, and the other way.
        try reopened.add("b")
        #expect(try vault.text("b") == "{}")
    }

    @Test func aRemovedKeyOpensNothing() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        try vault.add("a")
        let new = try passphrase("made-up")
        try vault.addKey(new, label: "new", with: fixture.key, cost: cost)
        let old = try #require(try vault.keySlots().first?.id)
        #expect(throws: KeySlotError.lastKey) { try vault.removeKey(old, with: fixture.key) }
        try vault.removeKey(String(old.prefix(8)), with: new)
        #expect(try !opens(fixture, fixture.key))
        #expect(try opens(fixture, new))
        #expect(try vault.text("a") == "{}")
        #expect(try vault.keySlots().map(\.label) == ["new"])
        // The state before opens with what was removed: it is not kept.
        #expect(!Path.exists(fixture.path + ".previous"))
        #expect(throws: KeySlotError.lastKey) { try vault.removeKey(try vault.keySlots()[0].id, with: new) }
    }

    @Test func aReplacedKeyKeepsItsLabel() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        let (first, second) = (try passphrase("first"), try passphrase("second"))
        try vault.addKey(first, label: "mine", with: fixture.key, cost: cost)
        let id = try #require(try vault.keySlots(openedBy: first).first?.id)
        try vault.replaceKey(id, by: second, with: first, cost: cost)
        #expect(try !opens(fixture, first))
        #expect(try opens(fixture, second))
        #expect(try opens(fixture, fixture.key))
        #expect(try vault.keySlots().map(\.label) == ["test", "mine"])
        #expect(try vault.keySlots().map(\.id).contains(id) == false)
        #expect(!Path.exists(fixture.path + ".previous"))
    }

    @Test func withoutAKeyNothingChanges() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        let wrong = try passphrase("wrong")
        #expect(throws: VaultError.wrongKey) { try vault.addKey(wrong, label: "", with: wrong, cost: cost) }
        #expect(throws: VaultError.wrongKey) { try vault.removeKey("00", with: wrong) }
        let other = UnlockKey.keyFile(Secret(try SecretBytes.random(count: 32)))
        #expect(throws: VaultError.wrongKey) { try vault.addKey(wrong, label: "", with: other, cost: cost) }
        #expect(throws: KeySlotError.noSuchKey("zz")) { try vault.removeKey("zz", with: fixture.key) }
        #expect(throws: KeySlotError.noSuchKey("")) { try vault.removeKey("", with: fixture.key) }
        #expect(throws: KeySlotError.labelTooLong(limit: 512)) {
            try vault.addKey(wrong, label: String(repeating: "x", count: 513), with: fixture.key, cost: cost)
        }
        #expect(vault.generation == 1)
    }

    @Test func thereIsRoomForSixtyFour() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        for _ in 1..<64 {
            try vault.addKey(.keyFile(Secret(try SecretBytes.random(count: 32))), label: "", with: fixture.key, cost: cost)
        }
        let last = UnlockKey.keyFile(Secret(try SecretBytes.random(count: 32)))
        #expect(throws: KeySlotError.tooMany(limit: 64)) { try vault.addKey(last, label: "", with: fixture.key, cost: cost) }
        #expect(try opens(fixture, fixture.key))
        #expect(try vault.keySlots().count == 64)
        let id = try vault.keySlots().map(\.id)
        // Some two of them begin alike.
        let digit = try #require(id.map { $0.prefix(1) }.first { first in id.count { $0.hasPrefix(first) } > 1 })
        #expect(throws: KeySlotError.ambiguous(String(digit))) { try vault.removeKey(String(digit), with: fixture.key) }
    }
}
