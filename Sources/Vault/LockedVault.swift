import Glibc
import Linux
public import Sodium

/// A vault whose header has been read and nothing else: there is no key, so there is nothing to read with.
public struct LockedVault: Sendable {
    let store: any RecordStore
    private let snapshot: any VaultSnapshot
    private let header: Header
    let memory: SeenGenerations?

    /// Reads the header of the vault at `path`.
    /// - Parameter memory: where generations are remembered; nil to accept an older vault than was seen before.
    /// - Throws: `noVault`, `notARegularFile`, `permissionsTooWide`, `damaged`, `newerFormat`, `system`.
    public init(path: String, memory: SeenGenerations?) throws(VaultError) {
        store = FileStore(path: path)
        do throws(VaultError) {
            snapshot = try store.snapshot()
            header = try Header(parsing: snapshot.header)
        } catch {
            throw error.knowing(hasPrevious: store.hasPrevious)
        }
        self.memory = memory
    }

    var vaultID: [UInt8] { header.vaultID }

    /// The kinds of key that can open it.
    public var slotKinds: Set<SlotKind> { Set(header.slots.map(\.kind)) }

    /// How many times as much work as for one usual passphrase it may be to find out whether a key of this kind opens the vault.
    public func work(for key: UnlockKey) -> Double {
        guard key.kind == .passphrase else { return 0 }
        let usual = UInt64(PasswordHashCost.moderate.passes) * PasswordHashCost.moderate.memory
        return Double(header.slots.reduce(0) { $0 + $1.openingCost }) / Double(usual)
    }

    /// Opens the vault: unwraps its key, checks the header's MAC, opens and parses the root.
    /// - Throws: `wrongKey`, `damaged`, `wentBack`, `memory`.
    public func unlock(with key: UnlockKey) throws(VaultError) -> UnlockedVault {
        for slot in header.slots where slot.kind == key.kind {
            guard
                let vaultKey = try VaultError.unwrap({ () throws(SodiumError) in try key.unwrap(slot, vaultID: header.vaultID) })
            else { continue }
            let cipher = VaultCipher(vaultID: header.vaultID, keys: try VaultKeys.derive(from: vaultKey))
            return try UnlockedVault(store: store, cipher: cipher, memory: memory)
        }
        throw .wrongKey
    }
}

extension VaultError {
    /// As `mapping`, for an optional that can't be copied.
    static func unwrap(_ body: () throws(SodiumError) -> SecretBytes?) throws(VaultError) -> SecretBytes? {
        do throws(SodiumError) {
            return try body()
        } catch {
            throw .memory
        }
    }
}

extension LockedVault {
    /// Makes a new, empty vault at `path`, which must not exist, with one slot for each key.
    /// - Parameters:
    ///   - keys: at least one, each with the label of its slot.
    ///   - cost: what passphrase slots cost to open.
    /// - Throws: `vaultExists`, `diskFull`, `system`, `memory`; there is no vault then. `notDurable` if there is one, which may
    ///   be gone after a power cut.
    public static func make(
        at path: String, keys: [(key: UnlockKey, label: String)], cost: PasswordHashCost = .moderate
    ) throws(VaultError) {
        _ = try made(at: path, keys: keys, cost: cost)
    }

    /// Makes a vault as `make` does, and opens it.
    /// - Throws: what `make` and `unlock` throw.
    public static func create(
        at path: String, keys: [(key: UnlockKey, label: String)], cost: PasswordHashCost = .moderate,
        memory: SeenGenerations?
    ) throws(VaultError) -> UnlockedVault {
        let (store, cipher) = try made(at: path, keys: keys, cost: cost)
        return try UnlockedVault(store: store, cipher: cipher, memory: memory)
    }

    private static func made(
        at path: String, keys: [(key: UnlockKey, label: String)], cost: PasswordHashCost
    ) throws(VaultError) -> (FileStore, VaultCipher) {
        precondition(!keys.isEmpty && keys.count <= Limits.slots)
        if Path.exists(path) { throw .vaultExists(path: path) }
        try VaultError.onDisk(Path.makeFolders(Path.folder(of: path)))
        let store = FileStore(path: path)
        let vaultID = Random.bytes(16)
        let now = UInt64(time(nil))
        let vaultKey = try VaultError.mapping { () throws(SodiumError) in try SecretBytes.random(count: AEAD.keyLength) }
        var slots: [Slot] = []
        var notes: [Root.SlotNote] = []
        for (key, label) in keys {
            do throws(SodiumError) {
                slots.append(try key.wrap(vaultKey, vaultID: vaultID, cost: cost))
            } catch {
                throw .memory
            }
            notes.append(Root.SlotNote(slotID: slots[slots.count - 1].id, created: now, label: label))
        }
        let cipher = VaultCipher(vaultID: vaultID, keys: try VaultKeys.derive(from: vaultKey))
        let header = cipher.serialise(Header(vaultID: vaultID, slots: slots))
        let root = Root.serialise(generation: 1, committed: now, slotNotes: notes, count: 0, entries: [])
        try store.commit(
            VaultCommit(
                header: header, sealedRoot: cipher.seal(root: root, header: header), records: [], forgetsPrevious: false),
            replacing: nil, in: nil)
        return (store, cipher)
    }
}
