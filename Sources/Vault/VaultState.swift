import Sodium

/// A snapshot, with its root proven to be of this vault, whole, and no older than what was seen.
struct VaultState: Sendable {
    let snapshot: any VaultSnapshot
    let root: Root
    private let cipher: VaultCipher
    private let store: any RecordStore

    /// Reads the newest state.
    /// - Parameters:
    ///   - isDurable: whether it is known that this state is there after a power cut.
    ///   - held: the generation that this process has open: no older one takes its place, also where nothing is remembered
    ///     outside of the vault.
    /// - Throws: `damaged`, `wentBack`, and what the store throws.
    init(
        _ store: any RecordStore, cipher: VaultCipher, memory: SeenGenerations?, isDurable: Bool = false, held: UInt64 = 0
    ) throws(VaultError) {
        // What was seen must be read first: another process commits, then remembers.
        let seen = try memory?.newest(cipher.vaultID)
        do throws(VaultError) {
            snapshot = try store.snapshot()
            try cipher.verify(header: snapshot.header)
            root = try cipher.open(root: snapshot.sealedRoot, header: snapshot.header)
            guard root.recordsLength == snapshot.recordsLength else {
                let reason = root.recordsLength > snapshot.recordsLength ? "end too early" : "have trailing bytes"
                throw .damaged(.records, reason: reason)
            }
        } catch {
            throw error.knowing(hasPrevious: store.hasPrevious)
        }
        (self.cipher, self.store) = (cipher, store)
        let newest = max(seen ?? 0, held)
        if root.generation < newest { throw .wentBack(generation: root.generation, seen: newest) }
        // Another process may have committed this state and not synchronised it yet: to remember what a power cut takes away
        // would make the state before it look like an older one.
        guard seen != root.generation, let memory, isDurable || (try? snapshot.makeDurable()) != nil else { return }
        memory.remember(root.generation, of: cipher.vaultID)
    }

    /// The names of all credentials in the order of their bytes.
    func names() -> [String] {
        root.entries.filter { $0.kind == .credential }.map { root.name(of: $0) }
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    func entry(_ name: String) -> RootEntry? {
        root.index(of: name, kind: .credential).map { root.entries[$0] }
    }

    /// The one record of a kind of which there is one at most.
    func entry(only kind: RecordKind) -> RootEntry? {
        root.entries.first { $0.kind == kind }
    }

    /// - Throws: `damagedRecord`, `memory`, `system`.
    func read(_ entry: RootEntry) throws(VaultError) -> Record {
        do throws(VaultError) {
            return try cipher.open(record: snapshot.record(entry), id: entry.id, hash: root.hash(of: entry))
        } catch .damaged(_, let reason, _) {
            throw .damagedRecord(
                entry.kind, name: root.name(of: entry), reason: reason, hasPrevious: store.hasPrevious)
        }
    }

    func noSuchCredential(_ name: String) -> VaultError {
        .noSuchCredential(name: name, near: CredentialName.nearest(to: name, among: names()))
    }
}
