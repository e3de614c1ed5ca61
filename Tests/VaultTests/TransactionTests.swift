import Foundation
import Sodium
import TestSupport
import Testing

@testable import Vault

@Suite struct TransactionTests {
    private func text(_ record: Record?) -> String? {
        record.map { String(decoding: $0.description, as: UTF8.self) }
    }

    @Test func `a credential and the policy change in one commit`() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        try vault.add("old", #"{"kept":1}"#)
        try vault.update { try $0.replace(only: .policy, with: VaultFixture.record(#"{"rule":"old"}"#)) }
        let before = vault.generation
        try vault.update { transaction in
            #expect(text(try transaction.record(only: .policy)) == #"{"rule":"old"}"#)
            try transaction.rename("old", to: "new")
            try transaction.replace(only: .policy, with: VaultFixture.record(#"{"rule":"new"}"#))
            // It sees what it has changed.
            #expect(text(try transaction.record(only: .policy)) == #"{"rule":"new"}"#)
        }
        #expect(vault.generation == before + 1)
        let reopened = try fixture.open()
        #expect(reopened.names() == ["new"])
        #expect(text(try reopened.record(only: .policy)) == #"{"rule":"new"}"#)
        #expect(try reopened.text("new") == #"{"kept":1}"#)
    }

    @Test func `a change that fails after the policy was replaced leaves both`() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        try vault.add("a")
        try vault.update { try $0.replace(only: .policy, with: VaultFixture.record("1")) }
        #expect(throws: VaultError.noSuchCredential(name: "b", near: "a")) {
            try vault.update {
                try $0.replace(only: .policy, with: VaultFixture.record("2"))
                try $0.remove("b")
            }
        }
        #expect(text(try vault.record(only: .policy)) == "1")
        #expect(vault.names() == ["a"])
    }

    @Test func `there is one record of such a kind, however often it is replaced`() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        #expect(try vault.record(only: .policy) == nil)
        for number in 0..<3 {
            try vault.update {
                try $0.replace(only: .policy, with: VaultFixture.record("first"))
                try $0.replace(only: .policy, with: VaultFixture.record("\(number)"))
            }
        }
        let state = try vault.refreshed()
        #expect(state.root.entries.count == 1)
        #expect(text(try vault.record(only: .policy)) == "2")
    }

    @Test func `a change of the keys carries other records in the same commit`() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        let head = try VaultFixture.record("head")
        let other = UnlockKey.keyFile(Secret(try SecretBytes.random(count: 32)))
        try vault.addKey(other, label: "other", with: fixture.key) { $0.replace(only: .auditHead, with: head) }
        #expect(vault.generation == 2)
        #expect(text(try fixture.open().record(only: .auditHead)) == "head")
        let newer = try VaultFixture.record("newer")
        try vault.removeKey(vault.keySlots(openedBy: other)[0].id, with: fixture.key) {
            $0.replace(only: .auditHead, with: newer)
        }
        #expect(vault.generation == 3)
        #expect(text(try fixture.open().record(only: .auditHead)) == "newer")
    }

    @Test func `the names are those of the changes so far`() throws {
        let fixture = try VaultFixture()
        let vault = try fixture.create()
        for name in ["a", "b", "c"] { try vault.add(name) }
        let record = try VaultFixture.record("{}")
        try vault.update { transaction in
            try transaction.remove("a")
            try transaction.replace("b", with: record)
            try transaction.rename("c", to: "0")
            #expect(transaction.names() == ["0", "b"])
        }
        #expect(vault.names() == ["0", "b"])
    }

    @Test func `a vault of the last generation can be read, and refuses a commit`() throws {
        let fixture = try VaultFixture()
        let vaultKey = try SecretBytes.random(count: AEAD.keyLength)
        let vaultID = Random.bytes(16)
        let slot = try fixture.key.wrap(vaultKey, vaultID: vaultID, cost: .minimum)
        let cipher = VaultCipher(vaultID: vaultID, keys: try VaultKeys.derive(from: vaultKey))
        let header = cipher.serialise(Header(vaultID: vaultID, slots: [slot]))
        let root = Root.serialise(generation: .max, committed: 1, slotNotes: [], count: 0, entries: [])
        try FileStore(path: fixture.path).commit(
            VaultCommit(
                header: header, sealedRoot: cipher.seal(root: root, header: header), records: [], forgetsPrevious: false),
            replacing: nil, in: nil)
        let before = bytes(ofFile: fixture.path)
        let vault = try fixture.open()
        #expect(vault.generation == .max)
        #expect(throws: VaultError.damaged(.root, reason: "is of the last generation there can be")) { try vault.add("a") }
        #expect(bytes(ofFile: fixture.path) == before)
    }
}
