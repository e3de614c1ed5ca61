import Glibc
import Sodium
import Synchronization

/// An open vault: it reads records, and commits changes.
public final class UnlockedVault: Sendable {
    let store: any VaultStore
    let vaultID: [UInt8]
    private let keys: VaultKeys
    private let memory: GenerationMemory?
    private let current: Mutex<State>
    private let sealed = Mutex<[RecordKind: @Sendable () -> Record?]>([:])

    /// A snapshot, with its root proven to be of this vault, whole, and no older than what was seen.
    struct State: Sendable {
        let snapshot: any VaultSnapshot
        let root: Root
    }

    init(
        store: any VaultStore, keys: consuming VaultKeys, memory: GenerationMemory?, vaultID: [UInt8]
    ) throws(VaultError) {
        let state = try Self.load(store, keys: keys, memory: memory, vaultID: vaultID)
        self.store = store
        self.keys = keys
        self.memory = memory
        self.vaultID = vaultID
        current = Mutex(state)
    }

    // MARK: Reading

    /// How often this vault has been committed.
    public var generation: UInt64 { current.withLock { $0.root.generation } }

    /// Makes this state the newest that was seen, even if a newer one was.
    public func remember(in memory: GenerationMemory) {
        memory.remember(generation, of: vaultID)
    }

    /// The generation of the newest state, which costs one look at the file's name.
    /// - Throws: `noVault`, `damaged`, `wentBack`, `system`.
    public func newestGeneration() throws(VaultError) -> UInt64 {
        try refreshed().root.generation
    }

    /// The record that a credential stands in now. It changes with every change of the credential, and with nothing else.
    /// - Returns: nil if there is no such credential.
    /// - Throws: `noVault`, `damaged`, `wentBack`, `system`.
    public func recordID(of name: String) throws(VaultError) -> RecordID? {
        let state = try refreshed()
        return state.root.index(of: name, kind: .credential).map { state.root.entries[$0].id }
    }

    /// The names of all credentials in the order of their bytes.
    public func names() -> [String] {
        let root = current.withLock { $0.root }
        return root.entries.filter { $0.kind == .credential }.map { root.name(of: $0) }
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Reads one credential, from the newest state of the vault.
    /// - Throws: `noSuchCredential`, `damaged`, `memory`, `system`.
    public func record(_ name: String) throws(VaultError) -> Record {
        let state = try refreshed()
        guard let index = state.root.index(of: name, kind: .credential) else {
            throw .noSuchCredential(name: name, near: CredentialName.nearest(to: name, among: names()))
        }
        return try read(state.root.entries[index], in: state)
    }

    /// Reads the one record of a kind of which there is one at most, from the newest state of the vault.
    /// - Returns: nil if there is none.
    /// - Throws: `damaged`, `memory`, `system`.
    public func record(only kind: RecordKind) throws(VaultError) -> Record? {
        let state = try refreshed()
        guard let entry = state.root.entries.first(where: { $0.kind == kind }) else { return nil }
        return try read(entry, in: state)
    }

    /// Reads every credential in turn, in the order of the names' bytes.
    public func forEachRecord<E>(_ body: (String, Record) throws(E) -> Void) throws {
        let state = try refreshed()
        let credentials = state.root.entries.filter { $0.kind == .credential }
            .map { (name: state.root.name(of: $0), entry: $0) }
            .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        for (name, entry) in credentials { try body(name, try read(entry, in: state)) }
    }

    func read(_ entry: RootEntry, in state: State) throws(VaultError) -> Record {
        let sealed = try state.snapshot.record(entry)
        let hash = KeyedHash.hash(sealed.rawSpan, key: keys.recordHash)
        guard KeyedHash.equal(hash.rawSpan, state.root.hash(of: entry).rawSpan) else {
            throw .damaged(.records, reason: "hold one that is not the one in the root")
        }
        let context = Self.recordContext(vaultID: vaultID, id: entry.id)
        let plaintext: SecretBytes
        do throws(SodiumError) {
            plaintext = try AEAD.open(sealed.rawSpan, context: context.rawSpan, key: keys.record)
        } catch {
            throw error == .sealBroken ? .damaged(.records, reason: "hold one that does not open") : .memory
        }
        return try Record(parsing: plaintext)
    }

    /// The newest state: read anew only if another process has committed.
    func refreshed() throws(VaultError) -> State {
        let state = current.withLock { $0 }
        if try store.isCurrent(state.snapshot) { return state }
        let newer = try Self.load(store, keys: keys, memory: memory, vaultID: vaultID)
        current.withLock { $0 = newer }
        return newer
    }

    private static func load(
        _ store: any VaultStore, keys: borrowing VaultKeys, memory: GenerationMemory?, vaultID: [UInt8]
    ) throws(VaultError) -> State {
        // What was seen must be read first: another process commits, then remembers.
        let seen = memory?.newest(vaultID)
        let snapshot = try store.snapshot()
        guard try Header(parsing: snapshot.header).vaultID == vaultID else {
            throw .damaged(.header, reason: "is that of another vault")
        }
        guard Header.verify(snapshot.header, key: keys.header) else {
            throw .damaged(.header, reason: "was changed by somebody without the key")
        }
        let root = try Root(parsing: openRoot(snapshot, keys: keys))
        guard root.recordsLength == snapshot.recordsLength else {
            let reason = root.recordsLength > snapshot.recordsLength ? "end too early" : "have trailing bytes"
            throw .damaged(.records, reason: reason)
        }
        if let seen, root.generation < seen { throw .wentBack(generation: root.generation, seen: seen) }
        if seen != root.generation { memory?.remember(root.generation, of: vaultID) }
        return State(snapshot: snapshot, root: root)
    }

    private static func openRoot(_ snapshot: any VaultSnapshot, keys: borrowing VaultKeys) throws(VaultError) -> [UInt8] {
        let context = rootContext(header: snapshot.header)
        do throws(SodiumError) {
            return try AEAD.openOrdinary(snapshot.sealedRoot.rawSpan, context: context.rawSpan, key: keys.root)
        } catch {
            throw .damaged(.root, reason: "does not open")
        }
    }

    // MARK: Committing

    /// Changes the vault in one commit. `body` sees the newest state; nobody else commits meanwhile.
    /// - Parameter room: what `reserveRoom` has taken, for a commit that must not fail for want of it.
    /// - Throws: what `body` throws, `lockTimeout`, `diskFull`, `tooLarge`, `system`; nothing has changed then.
    public func update<R>(in room: ReservedRoom? = nil, _ body: (inout VaultTransaction) throws -> R) throws -> R {
        let lock = try lockForCommit()
        defer { withExtendedLifetime(lock) {} }
        let state = try refreshed()
        var transaction = VaultTransaction(vault: self, state: state)
        let result = try body(&transaction)
        if !transaction.isEmpty {
            for (kind, record) in sealed.withLock({ $0 }) {
                if let record = record() { transaction.replace(only: kind, with: record) }
            }
        }
        if !transaction.isEmpty { try commit(transaction, on: state, in: room) }
        return result
    }

    /// Puts the one record of a kind into every commit that is made for another reason.
    public func sealWithEveryCommit(_ kind: RecordKind, _ record: @escaping @Sendable () -> Record?) {
        sealed.withLock { $0[kind] = record }
    }

    /// What a keyed hash of the vault's is for; each has a key of its own.
    public enum HashUse: Sendable { case auditChain, tokenFingerprint }

    /// Keyed BLAKE2b, 32 bytes.
    public func hash(_ bytes: [UInt8], for use: HashUse) -> [UInt8] {
        switch use {
        case .auditChain: KeyedHash.hash(bytes.rawSpan, key: keys.auditChain)
        case .tokenFingerprint: KeyedHash.hash(bytes.rawSpan, key: keys.tokenFingerprint)
        }
    }

    /// Takes room on the disk for one commit.
    /// - Throws: `diskFull`, `lockTimeout`, `system`.
    public func reserveRoom() throws(VaultError) -> ReservedRoom {
        let lock = try lockForCommit()
        defer { withExtendedLifetime(lock) {} }
        return try store.reserve()
    }

    private func lockForCommit() throws(VaultError) -> HeldLock {
        let poll: UInt32 = 5_000  // microseconds
        for _ in 0..<(10_000_000 / poll) {
            if let lock = try store.tryLock(.commit) { return lock }
            usleep(poll)
        }
        throw .lockTimeout
    }

    private func commit(
        _ transaction: VaultTransaction, on state: State, in room: ReservedRoom?
    ) throws(VaultError) {
        let added = transaction.sealedAdditions(keys: keys)
        let merged = try MergedRecords(root: state.root, dropped: transaction.dropped, added: added)
        let root = Root.serialise(
            generation: state.root.generation + 1, committed: UInt64(time(nil)),
            slotNotes: transaction.slots?.notes ?? state.root.slotNotes, count: merged.placements.count,
            entries: merged.entryBytes)
        let header: [UInt8]
        if let slots = transaction.slots?.slots {
            header = Header(vaultID: vaultID, slots: slots).serialised(key: keys.header)
        } else {
            header = state.snapshot.header
        }
        try store.commit(
            VaultCommit(
                header: header, sealedRoot: Self.sealRoot(root, header: header, keys: keys), records: merged.placements,
                forgetsPrevious: transaction.forgetsPrevious),
            replacing: state.snapshot, in: room)
        let committed = try Self.load(store, keys: keys, memory: memory, vaultID: vaultID)
        current.withLock { $0 = committed }
    }

    static func sealRoot(_ plaintext: [UInt8], header: [UInt8], keys: borrowing VaultKeys) -> [UInt8] {
        AEAD.seal(plaintext.rawSpan, context: rootContext(header: header).rawSpan, key: keys.root)
    }

    /// The whole header is part of it: an old header can't be put before a new root.
    private static func rootContext(header: [UInt8]) -> [UInt8] {
        Array("claviger root".utf8) + header
    }

    static func recordContext(vaultID: [UInt8], id: RecordID) -> [UInt8] {
        Array("claviger record".utf8) + vaultID + id.bytes
    }

    // MARK: Locks

    /// Tries to take the right to acquire tokens for one credential, among all processes that use this vault.
    /// - Returns: nil while another holds it.
    /// - Throws: `system`.
    public func tryLock(credential name: String) throws(VaultError) -> HeldLock? {
        // A byte of the lock file far from the first one, chosen by a keyed hash so that it tells nothing of the name.
        let hash = KeyedHash.hash(Array(name.utf8).rawSpan, key: keys.lockPlaces)
        let number = hash.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return try store.tryLock(LockPlace(byte: Int64(number >> 2) | 1))
    }
}
