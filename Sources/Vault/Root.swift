import Sodium

/// What a record is. The vault keeps records of kinds that it does not know, and never reads them.
public struct RecordKind: RawRepresentable, Hashable, Codable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let credential = RecordKind(rawValue: 1)
    /// Who may have tokens of which credential. There is one at most; its name is always `-`.
    public static let policy = RecordKind(rawValue: 2)
    /// Where the chain of the log stood when this was committed. There is one at most; its name is always `-`.
    public static let auditHead = RecordKind(rawValue: 3)

    /// What one record and two records are called of a kind of which there is one at most; nil for every other kind.
    var wordsIfSingle: (one: String, two: String)? {
        switch self {
        case .policy: ("policy", "policies")
        case .auditHead: ("head of the log's chain", "heads of the log's chain")
        default: nil
        }
    }

    /// The name of the only record of such a kind.
    static let nameIfSingle = "-"
}

/// One line of the root: which sealed record stands for which name.
struct RootEntry {
    let id: RecordID
    let kind: RecordKind
    /// The length of the sealed record in bytes.
    let length: Int
    /// Where it stands among the records, counted from their start.
    let offset: UInt64
    /// The entry, and the name in it, as ranges of the root's plaintext.
    let bytes: Range<Int>
    let name: Range<Int>
}

/// The sealed list of records. Its plaintext stays as it was read: 100,000 entries are not worth 100,000 strings.
struct Root {
    /// What is kept about a slot that need not be readable without the key.
    struct SlotNote: Equatable {
        let slotID: [UInt8]
        let created: UInt64
        let label: String
    }

    let generation: UInt64
    /// When it was committed, in seconds since 1970.
    let committed: UInt64
    let slotNotes: [SlotNote]
    /// In ascending order of id, which is the order of the records in the file.
    let entries: [RootEntry]
    /// The total length of the sealed records.
    let recordsLength: UInt64
    private let plaintext: [UInt8]
    /// Whether some name is not in NFC: earlier versions stored names as they were typed.
    private let hasOtherForms: Bool
    /// What a record is called whose name another one has in NFC.
    private let aliases: [RecordID: String]

    /// - Parameter plaintext: padded, as it came out of its seal.
    init(parsing plaintext: [UInt8]) throws(VaultError) {
        let span = plaintext.rawSpan
        guard let end = Padding.unpaddedLength(span, block: Limits.rootBlock) else {
            throw .damaged(.root, reason: "is not padded as it should be")
        }
        var cursor = Cursor(0..<end, part: .root)
        generation = try cursor.u64(in: span)
        committed = try cursor.u64(in: span)
        slotNotes = try Self.parseNotes(&cursor, in: plaintext)
        let count = try cursor.count(in: span, atMost: Limits.records, of: "has a number of records")
        var entries: [RootEntry] = []
        entries.reserveCapacity(min(count, end / 55))
        var offset: UInt64 = 0
        var names = NameCheck(count: min(count, end / 55))
        for _ in 0..<count {
            let entry = try Self.parseEntry(&cursor, in: span, at: offset)
            if let last = entries.last, last.id >= entry.id { throw .damaged(.root, reason: "is not in order") }
            try names.add(entry, after: entries, in: plaintext)
            entries.append(entry)
            offset += UInt64(entry.length)
        }
        try cursor.finish()
        self.entries = entries
        self.recordsLength = offset
        self.hasOtherForms = names.hasOtherForms
        self.aliases = names.aliases
        self.plaintext = plaintext
    }

    private static func parseNotes(_ cursor: inout Cursor, in bytes: [UInt8]) throws(VaultError) -> [SlotNote] {
        let count = try cursor.count(in: bytes.rawSpan, atMost: Limits.slots, of: "has a number of slot notes")
        var notes: [SlotNote] = []
        for _ in 0..<count {
            let id = Array(bytes[try cursor.take(Slot.idLength)])
            let created = try cursor.u64(in: bytes.rawSpan)
            let length = try cursor.u16(in: bytes.rawSpan)
            guard length <= Limits.labelBytes else {
                throw .damaged(.root, reason: "has a label over the limit of \(Limits.labelBytes)")
            }
            guard let label = String(validating: bytes[try cursor.take(length)], as: UTF8.self) else {
                throw .damaged(.root, reason: "has a label that is no text")
            }
            notes.append(SlotNote(slotID: id, created: created, label: label))
        }
        return notes
    }

    /// Each note has to be about one of the header's slots, and be the only one about it: others would be shown nowhere.
    func checkNotes(of slots: [Slot]) throws(VaultError) {
        let ids = slotNotes.map(\.slotID)
        guard Set(ids).count == ids.count else { throw .damaged(.root, reason: "has two notes on one slot") }
        guard Set(ids).isSubset(of: slots.map(\.id)) else {
            throw .damaged(.root, reason: "has a note on a slot that is not there")
        }
    }

    private static func parseEntry(
        _ cursor: inout Cursor, in bytes: RawSpan, at offset: UInt64
    ) throws(VaultError) -> RootEntry {
        let start = cursor.position
        let id = RecordID(bytes, at: try cursor.take(RecordID.length).lowerBound)
        let kind = RecordKind(rawValue: try cursor.u8(in: bytes))
        let length = try cursor.count(in: bytes, atMost: Limits.record, of: "has a record")
        guard length > AEAD.overhead, (length - AEAD.overhead) % Limits.recordBlock == 0 else {
            throw .damaged(.root, reason: "has a record of an impossible length")
        }
        _ = try cursor.take(KeyedHash.length)
        let nameLength = try cursor.u16(in: bytes)
        guard (1...Limits.nameBytes).contains(nameLength) else {
            throw .damaged(.root, reason: "has a name of an impossible length")
        }
        let name = try cursor.take(nameLength)
        return RootEntry(
            id: id, kind: kind, length: length, offset: offset, bytes: start..<cursor.position, name: name)
    }

    /// Where the hash stands in an entry: behind id, kind and length.
    func hash(of entry: RootEntry) -> [UInt8] {
        let start = entry.bytes.lowerBound + RecordID.length + 5
        return Array(plaintext[start..<(start + KeyedHash.length)])
    }

    /// The name in NFC. Earlier versions took two spellings for two names: where both are there, one of them is called by its
    /// characters' numbers, so that it can be renamed or removed and is never taken for the other.
    func name(of entry: RootEntry) -> String {
        if let alias = aliases[entry.id] { return alias }
        return CredentialName.normalised(String(decoding: plaintext[entry.name], as: UTF8.self))
    }

    /// Whether two records have this name in NFC.
    func isSpelledTwice(_ name: String) -> Bool {
        !aliases.isEmpty && entries.contains { aliases[$0.id] != nil && spelling(of: $0) == name }
    }

    /// The name as it is stored. Swift takes two spellings of one text for equal.
    private func spelling(of entry: RootEntry) -> String { String(decoding: plaintext[entry.name], as: UTF8.self) }

    /// The index of the record of this kind and name, by a scan: for one look-up that is faster than any index.
    func index(of name: String, kind: RecordKind) -> Int? {
        let name = CredentialName.normalised(name)
        let wanted = Array(name.utf8)
        let index = unsafe plaintext.withUnsafeBufferPointer { all in
            entries.firstIndex { entry in
                unsafe entry.kind == kind && entry.name.count == wanted.count
                    && UnsafeBufferPointer(rebasing: all[entry.name]).elementsEqual(wanted)
            }
        }
        guard index == nil, hasOtherForms else { return index }
        return entries.firstIndex { $0.kind == kind && self.name(of: $0) == name }
    }

    /// An entry that is not in any root yet.
    struct NewEntry {
        let id: RecordID
        let kind: RecordKind
        let name: String
        let sealedLength: Int
        let hash: [UInt8]

        var serialised: [UInt8] {
            var bytes = id.bytes
            bytes.append(kind.rawValue)
            bytes.append(UInt64(sealedLength), width: 4)
            bytes += hash
            bytes.append(UInt64(name.utf8.count), width: 2)
            return bytes + Array(name.utf8)
        }
    }

    /// The padded plaintext of a root.
    /// - Parameter entries: serialised entries in ascending order of id.
    static func serialise(
        generation: UInt64, committed: UInt64, slotNotes: [SlotNote], count: Int, entries: [UInt8]
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(entries.count + 2 * Limits.rootBlock)
        bytes.append(generation, width: 8)
        bytes.append(committed, width: 8)
        bytes.append(UInt64(slotNotes.count), width: 4)
        for note in slotNotes {
            bytes += note.slotID
            bytes.append(note.created, width: 8)
            bytes.append(UInt64(note.label.utf8.count), width: 2)
            bytes += Array(note.label.utf8)
        }
        bytes.append(UInt64(count), width: 4)
        bytes += entries
        let padded = Padding.paddedLength(bytes.count, block: Limits.rootBlock)
        bytes.append(0x80)
        bytes += [UInt8](repeating: 0, count: padded - bytes.count)
        return bytes
    }

    /// The entry bytes of these indices, as they stand.
    func entryBytes(_ indices: Range<Int>) -> ArraySlice<UInt8> {
        guard let first = indices.first, let last = indices.last else { return [] }
        return plaintext[entries[first].bytes.lowerBound..<entries[last].bytes.upperBound]
    }
}

/// Looks at the names of a root's entries, one after another: each has to be text, and no two records of one kind may have the
/// same name. Only the holder of the vault key can write others, and no command could show or remove them.
private struct NameCheck {
    private(set) var hasOtherForms = false
    private(set) var aliases: [RecordID: String] = [:]
    /// Hashes of kinds and names: 100,000 names are not worth 100,000 strings.
    private var hashes: Set<Int> = []

    init(count: Int) { hashes.reserveCapacity(count) }

    /// - Parameter earlier: the entries before it.
    mutating func add(_ entry: RootEntry, after earlier: [RootEntry], in plaintext: [UInt8]) throws(VaultError) {
        let name = try Self.name(of: entry, in: plaintext)
        if !name.elementsEqual(plaintext[entry.name]) { hasOtherForms = true }
        let words = entry.kind.wordsIfSingle
        if let words, !name.elementsEqual(RecordKind.nameIfSingle.utf8) {
            throw .damaged(.root, reason: "has a \(words.one) that is not named -")
        }
        var hasher = Hasher()
        hasher.combine(entry.kind)
        unsafe name.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        if hashes.insert(hasher.finalize()).inserted { return }
        // Two names may have one hash.
        for other in earlier where other.kind == entry.kind {
            guard try Self.name(of: other, in: plaintext) == name else { continue }
            guard plaintext[other.name] != plaintext[entry.name] else {
                throw .damaged(.root, reason: words.map { "has two \($0.two)" } ?? "has two records of one name")
            }
            let isOther = plaintext[other.name] != name
            let twin = isOther ? other : entry
            aliases[twin.id] = CredentialName.alias(String(decoding: plaintext[twin.name], as: UTF8.self))
        }
    }

    /// The bytes of a name in NFC.
    private static func name(of entry: RootEntry, in plaintext: [UInt8]) throws(VaultError) -> ArraySlice<UInt8> {
        let stored = plaintext[entry.name]
        if stored.allSatisfy({ $0 < 0x80 }) { return stored }
        guard let text = String(validating: stored, as: UTF8.self) else {
            throw .damaged(.root, reason: "has a name that is no text")
        }
        return Array(CredentialName.normalised(text).utf8)[...]
    }
}
