/// What one commit will do. Reading through it sees what it has changed so far.
public struct VaultTransaction {
    private let state: VaultState
    private(set) var dropped: Set<RecordID> = []
    private var written: [String: Record] = [:]
    private var writtenAlone: [RecordKind: Record] = [:]
    /// The ways to open the vault, if they change.
    private(set) var slots: (slots: [Slot], notes: [Root.SlotNote])?
    private(set) var forgetsPrevious = false

    init(state: VaultState) {
        self.state = state
    }

    /// Whether nothing has been changed, so that there is nothing to commit.
    public var isEmpty: Bool { dropped.isEmpty && written.isEmpty && writtenAlone.isEmpty && slots == nil }

    /// Changes the ways to open the vault.
    mutating func change(
        forgetsPrevious: Bool = false, _ body: (inout [Slot], inout [Root.SlotNote]) throws -> Void
    ) throws {
        var (slots, notes) = (try Header(parsing: state.snapshot.header).slots, state.root.slotNotes)
        try body(&slots, &notes)
        self.slots = (slots, notes)
        self.forgetsPrevious = forgetsPrevious
    }

    private func stored(_ name: String) -> RootEntry? {
        state.entry(name).flatMap { dropped.contains($0.id) ? nil : $0 }
    }

    /// The names of all credentials in the order of their bytes.
    public func names() -> [String] {
        (state.names().filter { stored($0) != nil && written[$0] == nil } + written.keys)
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    public func contains(_ name: String) -> Bool {
        written[name] != nil || stored(name) != nil
    }

    /// - Throws: `noSuchCredential`, `damagedRecord`, `memory`.
    public func record(_ name: String) throws(VaultError) -> Record {
        if let record = written[name] { return record }
        guard let entry = stored(name) else { throw state.noSuchCredential(name) }
        return try state.read(entry)
    }

    /// The one record of a kind of which there is one at most.
    /// - Returns: nil if there is none.
    /// - Throws: `damagedRecord`, `memory`.
    public func record(only kind: RecordKind) throws(VaultError) -> Record? {
        if let record = writtenAlone[kind] { return record }
        return try state.entry(only: kind).map { entry throws(VaultError) in try state.read(entry) }
    }

    /// Stores the one record of a kind of which there is one at most.
    public mutating func replace(only kind: RecordKind, with record: Record) {
        for entry in state.root.entries where entry.kind == kind { dropped.insert(entry.id) }
        writtenAlone[kind] = record
    }

    /// Stores a new credential.
    /// - Throws: `nameTaken`, `invalidName`.
    public mutating func add(_ name: String, _ record: Record) throws(VaultError) {
        try CredentialName.validate(name)
        if contains(name) { throw .nameTaken(name) }
        written[CredentialName.normalised(name)] = record
    }

    /// Stores a new state of a credential.
    /// - Throws: `noSuchCredential`.
    public mutating func replace(_ name: String, with record: Record) throws(VaultError) {
        try remove(name)
        written[CredentialName.normalised(name)] = record
    }

    /// - Throws: `noSuchCredential`.
    public mutating func remove(_ name: String) throws(VaultError) {
        let entry = stored(name)
        guard written.removeValue(forKey: name) != nil || entry != nil else { throw state.noSuchCredential(name) }
        if let entry { dropped.insert(entry.id) }
    }

    /// Gives a credential another name; what is in its record stays as it is, known to this version or not.
    /// - Throws: `noSuchCredential`, `nameTaken`, `invalidName`, `damagedRecord`.
    public mutating func rename(_ old: String, to new: String) throws(VaultError) {
        let record = try record(old)
        try add(new, record)
        try remove(old)
    }

    /// The written records under fresh ids, sealed, in ascending order of id.
    func sealedAdditions(by cipher: VaultCipher) -> [(entry: Root.NewEntry, sealed: [UInt8])] {
        let named = written.map { cipher.seal($0.value, kind: .credential, name: $0.key) }
        // The name is always `-`: there is one such record.
        let alone = writtenAlone.map { cipher.seal($0.value, kind: $0.key, name: "-") }
        return (named + alone).sorted { $0.entry.id < $1.entry.id }
    }
}

/// The old records without the dropped ones and with the added ones, in the order of their ids.
struct MergedRecords {
    private(set) var placements: [VaultCommit.Placement] = []
    private(set) var entryBytes: [UInt8] = []

    /// - Throws: `tooLarge`.
    init(
        root: Root, dropped: Set<RecordID>, added: [(entry: Root.NewEntry, sealed: [UInt8])]
    ) throws(VaultError) {
        placements.reserveCapacity(root.entries.count + added.count)
        entryBytes.reserveCapacity(root.entries.count * 80 + added.count * 256)
        var additions = added[...]
        for (index, entry) in root.entries.enumerated() {
            while let first = additions.first, first.entry.id < entry.id {
                append(first)
                additions.removeFirst()
            }
            if dropped.contains(entry.id) { continue }
            placements.append(.kept(entry))
            entryBytes += root.entryBytes(index..<(index + 1))
        }
        additions.forEach { append($0) }
        guard placements.count <= Limits.records else { throw .tooLarge(what: "the vault", limit: Limits.records) }
    }

    private mutating func append(_ addition: (entry: Root.NewEntry, sealed: [UInt8])) {
        placements.append(.added(addition.entry.id, sealed: addition.sealed))
        entryBytes += addition.entry.serialised
    }
}
