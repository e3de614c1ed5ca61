import Glibc
import Sodium
import Synchronization

/// An open vault: it reads records, and commits changes.
public final class UnlockedVault: Sendable {
    let store: any RecordStore
    let cipher: VaultCipher
    private let memory: SeenGenerations?
    private let current: Mutex<VaultState>

    init(store: any RecordStore, cipher: VaultCipher, memory: SeenGenerations?) throws(VaultError) {
        let state = try VaultState(store, cipher: cipher, memory: memory)
        self.store = store
        self.cipher = cipher
        self.memory = memory
        current = Mutex(state)
    }

    var vaultID: [UInt8] { cipher.vaultID }

    /// Whether another open one is of the same vault, in whatever state.
    public func isSameVault(as other: UnlockedVault) -> Bool { vaultID == other.vaultID }

    /// The user and the group to whom the vault belongs, and so whatever lies beside it; nil where it is no file.
    public var owner: (user: UInt32, group: UInt32)? { current.withLock { $0.snapshot.owner } }

    // MARK: Reading

    /// How often this vault has been committed.
    public var generation: UInt64 { current.withLock { $0.root.generation } }

    /// Makes this state the newest that was seen, even if a newer one was.
    public func remember(in memory: SeenGenerations) {
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
        try refreshed().entry(name)?.id
    }

    /// Whether the vault has two credentials of this name, in two spellings of the same characters: earlier versions took
    /// these for two names.
    public func isSpelledTwice(_ name: String) -> Bool { current.withLock { $0 }.root.isSpelledTwice(name) }

    /// The names of all credentials in the order of their bytes.
    public func names() -> [String] { current.withLock { $0 }.names() }

    /// Reads one credential, from the newest state of the vault.
    /// - Throws: `noSuchCredential`, `damaged`, `damagedRecord`, `memory`, `system`.
    public func record(_ name: String) throws(VaultError) -> Record {
        let state = try refreshed()
        guard let entry = state.entry(name) else { throw state.noSuchCredential(name) }
        return try state.read(entry)
    }

    /// Reads the one record of a kind of which there is one at most, from the newest state of the vault.
    /// - Returns: nil if there is none.
    /// - Throws: `damaged`, `damagedRecord`, `memory`, `system`.
    public func record(only kind: RecordKind) throws(VaultError) -> Record? {
        let state = try refreshed()
        return try state.entry(only: kind).map { entry throws(VaultError) in try state.read(entry) }
    }

    /// Reads every credential in turn, in the order of the names' bytes.
    /// - Parameters:
    ///   - isWanted: of a name; the records of others are not read.
    ///   - body: gets what reading the record has come to: one that is damaged does not hide the others.
    public func forEachRecord<E>(
        where isWanted: (String) -> Bool = { _ in true }, _ body: (String, Result<Record, VaultError>) throws(E) -> Void
    ) throws {
        let state = try refreshed()
        let credentials = state.root.entries.filter { $0.kind == .credential }
            .map { (name: state.root.name(of: $0), entry: $0) }
            .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        for (name, entry) in credentials where isWanted(name) {
            try body(name, Result { () throws(VaultError) in try state.read(entry) })
        }
    }

    /// The newest state: read anew only if another process has committed.
    func refreshed() throws(VaultError) -> VaultState {
        let state = current.withLock { $0 }
        if try store.isCurrent(state.snapshot) { return state }
        let newer = try VaultState(store, cipher: cipher, memory: memory, held: state.root.generation)
        current.withLock { $0 = newer }
        return newer
    }

    // MARK: Committing

    /// Changes the vault in one commit, whatever `body` does to how many records. `body` sees the newest state; nobody else
    /// commits meanwhile. The vault calls nothing else: whatever is to be committed with a change, `body` puts there.
    /// - Parameter room: what `reserveRoom` has taken, for a commit that must not fail for want of it. After an error it is as
    ///   it was, for the next attempt.
    /// - Throws: what `body` throws, `lockTimeout`, `diskFull`, `tooLarge`, `damaged`, `system`; nothing has changed then.
    ///   `notDurable` if all has changed, and may be gone after a power cut.
    public func update<R>(
        in room: ReservedRoom? = nil, _ body: (inout VaultTransaction) throws -> R
    ) throws -> R {
        let lock = try lockForCommit()
        defer { withExtendedLifetime(lock) {} }
        let state = try refreshed()
        var transaction = VaultTransaction(state: state)
        let result = try body(&transaction)
        if transaction.isEmpty { return result }
        try commit(transaction, on: state, in: room)
        return result
    }

    /// Keyed BLAKE2b, 32 bytes.
    public func hash(_ bytes: [UInt8], for use: HashUse) -> [UInt8] { cipher.hash(bytes, for: use) }

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
        _ transaction: VaultTransaction, on state: VaultState, in room: ReservedRoom?
    ) throws(VaultError) {
        // Only somebody with the key can have written it; adding to it would trap.
        guard state.root.generation < .max else { throw .damaged(.root, reason: "is of the last generation there can be") }
        let added = transaction.sealedAdditions(by: cipher)
        let merged = try MergedRecords(root: state.root, dropped: transaction.dropped, added: added)
        let root = Root.serialise(
            generation: state.root.generation + 1, committed: UInt64(time(nil)),
            slotNotes: transaction.slots?.notes ?? state.root.slotNotes, count: merged.placements.count,
            entries: merged.entryBytes)
        let slots = transaction.slots?.slots
        let header = slots.map { cipher.serialise(Header(vaultID: vaultID, slots: $0)) } ?? state.snapshot.header
        var doubt: VaultError?
        do throws(VaultError) {
            try store.commit(
                VaultCommit(
                    header: header, sealedRoot: cipher.seal(root: root, header: header), records: merged.placements,
                    forgetsPrevious: transaction.forgetsPrevious),
                replacing: state.snapshot, in: room)
        } catch .notDurable(let path, let code) {
            doubt = .notDurable(path: path, errno: code)
        }
        // The change is made. Whatever keeps us from reading it now does so at the next read, too, and is said there.
        let committed = try? VaultState(store, cipher: cipher, memory: memory, isDurable: doubt == nil)
        if let committed { current.withLock { $0 = committed } }
        if let doubt { throw doubt }
    }

    // MARK: Locks

    /// Tries to take the right to acquire tokens for one credential, among all processes that use this vault.
    /// - Returns: nil while another holds it.
    /// - Throws: `system`.
    public func tryLock(credential name: String) throws(VaultError) -> HeldLock? {
        try store.tryLock(cipher.lockPlace(for: name))
    }
}
