import Glibc
public import Sodium

/// One way to open the vault, as a person sees it.
public struct KeySlot: Equatable, Sendable {
    /// 32 hexadecimal digits.
    public let id: String
    public let kind: SlotKind
    public let label: String
    /// In seconds since 1970; nil if that was not noted.
    public let created: UInt64?
}

/// Why the ways to open a vault stay as they are.
public enum KeySlotError: Error, Equatable, Sendable {
    case noSuchKey(String)
    /// Several keys' ids begin so.
    case ambiguous(String)
    /// No other key is proven to open the vault.
    case lastKey
    case tooMany(limit: Int)
    case labelTooLong(limit: Int)
}

/// The key of the vault itself is in no open vault's memory. To wrap it anew, or to let a way to it go, one that opens the
/// vault has to be shown again.
extension UnlockedVault {
    /// - Throws: `VaultError`.
    public func keySlots() throws -> [KeySlot] {
        let (header, root) = try slotState()
        return header.slots.map { slot in
            let note = root.slotNotes.first { $0.slotID == slot.id }
            return KeySlot(id: slot.hexID, kind: slot.kind, label: note?.label ?? "", created: note?.created)
        }
    }

    /// The slots that a key opens.
    /// - Throws: `VaultError`.
    public func keySlots(openedBy key: UnlockKey) throws -> [KeySlot] {
        let opened = try Set(slotState().header.slots.filter { try unwrap($0, key) != nil }.map { $0.hexID })
        return try keySlots().filter { opened.contains($0.id) }
    }

    /// Adds a way to open the vault.
    /// - Parameters:
    ///   - key: one that opens it already.
    ///   - also: what is to be in the same commit.
    /// - Throws: `VaultError.wrongKey`, `KeySlotError`, and what a commit throws.
    public func addKey(
        _ new: UnlockKey, label: String, with key: UnlockKey, cost: PasswordHashCost = .moderate,
        also: (inout VaultTransaction) -> Void = { _ in }
    ) throws {
        let (slot, note) = try slot(for: new, label: label, with: key, cost: cost)
        try update { transaction in
            try transaction.change { slots, notes in
                guard slots.count < Limits.slots else { throw KeySlotError.tooMany(limit: Limits.slots) }
                slots.append(slot)
                notes.append(note)
            }
            also(&transaction)
        }
    }

    /// Takes a way to open the vault away.
    /// - Parameters:
    ///   - id: its id, or how that begins.
    ///   - key: another one, so that nobody locks the door with the key inside.
    ///   - also: what is to be in the same commit.
    /// - Throws: `VaultError.wrongKey`, `KeySlotError`, and what a commit throws.
    public func removeKey(
        _ id: String, with key: UnlockKey, also: (inout VaultTransaction) -> Void = { _ in }
    ) throws {
        let opened = try keySlots(openedBy: key).map(\.id)
        guard !opened.isEmpty else { throw VaultError.wrongKey }
        try update { transaction in
            try transaction.change(forgetsPrevious: true) { slots, notes in
                let index = try Self.index(of: id, in: slots)
                guard opened.contains(where: { $0 != slots[index].hexID }) else { throw KeySlotError.lastKey }
                let removed = slots.remove(at: index).id
                notes.removeAll { $0.slotID == removed }
            }
            also(&transaction)
        }
    }

    /// Puts another key in place of one, in one commit.
    /// - Parameters:
    ///   - key: any that opens the vault, the old one, too.
    ///   - also: what is to be in the same commit.
    /// - Throws: `VaultError.wrongKey`, `KeySlotError`, and what a commit throws.
    public func replaceKey(
        _ id: String, by new: UnlockKey, with key: UnlockKey, cost: PasswordHashCost = .moderate,
        also: (inout VaultTransaction) -> Void = { _ in }
    ) throws {
        let label = try keySlots().first { $0.id.hasPrefix(id) }?.label ?? ""
        let (slot, note) = try slot(for: new, label: label, with: key, cost: cost)
        try update { transaction in
            try transaction.change(forgetsPrevious: true) { slots, notes in
                let index = try Self.index(of: id, in: slots)
                let removed = slots[index].id
                slots[index] = slot
                notes.removeAll { $0.slotID == removed }
                notes.append(note)
            }
            also(&transaction)
        }
    }

    private func slotState() throws -> (header: Header, root: Root) {
        let state = try refreshed()
        return (try Header(parsing: state.snapshot.header), state.root)
    }

    private func unwrap(_ slot: Slot, _ key: UnlockKey) throws(VaultError) -> SecretBytes? {
        try VaultError.unwrap { () throws(SodiumError) in try key.unwrap(slot, vaultID: vaultID) }
    }

    /// Made before the vault's lock is taken: a passphrase costs half a second.
    private func slot(
        for new: UnlockKey, label: String, with key: UnlockKey, cost: PasswordHashCost
    ) throws -> (Slot, Root.SlotNote) {
        guard label.utf8.count <= Limits.labelBytes else { throw KeySlotError.labelTooLong(limit: Limits.labelBytes) }
        for slot in try slotState().header.slots where slot.kind == key.kind {
            guard let vaultKey = try unwrap(slot, key) else { continue }
            let made: Slot
            do throws(SodiumError) {
                made = try new.wrap(vaultKey, vaultID: vaultID, cost: cost)
            } catch {
                throw VaultError.memory
            }
            return (made, Root.SlotNote(slotID: made.id, created: UInt64(time(nil)), label: label))
        }
        throw VaultError.wrongKey
    }

    private static func index(of id: String, in slots: [Slot]) throws(KeySlotError) -> Int {
        let wanted = id.lowercased()
        let matches = slots.indices.filter { slots[$0].hexID.hasPrefix(wanted) }
        guard let match = matches.first, !wanted.isEmpty else { throw .noSuchKey(id) }
        guard matches.count == 1 else { throw .ambiguous(id) }
        return match
    }
}

extension Slot {
    fileprivate var hexID: String {
        let id = id
        return Hex.encode(id.rawSpan)
    }
}
