import Sodium

/// The part of the file that is readable without a key: which vault this is, and its slots.
struct Header: Equatable {
    static let version: UInt32 = 1
    /// Magic, version, header length, vault id, slot count.
    static let fixedLength = 8 + 4 + 4 + 16 + 4
    static let trailerLength = KeyedHash.length * 2

    let vaultID: [UInt8]
    let slots: [Slot]

    /// Everything up to the checksum.
    private var body: [UInt8] {
        let slotBytes = slots.flatMap(\.serialised)
        var bytes = FirstBytes.vault
        bytes.append(UInt64(Self.version), width: 4)
        bytes.append(UInt64(Self.fixedLength + slotBytes.count + Self.trailerLength), width: 4)
        bytes += vaultID
        bytes.append(UInt64(slots.count), width: 4)
        return bytes + slotBytes
    }

    /// The header with its checksum, and its MAC under the header key.
    func serialised(key: borrowing SecretBytes) -> [UInt8] {
        var bytes = body
        bytes += KeyedHash.checksum(bytes.rawSpan)
        bytes += KeyedHash.hash(bytes.rawSpan, key: key)
        return bytes
    }

    /// The length of the header that begins with these `fixedLength` bytes: checked before the rest is read.
    static func length(fromPrefix bytes: [UInt8]) throws(VaultError) -> Int {
        // Its first bytes are those of a vault.
        guard !bytes.starts(with: FirstBytes.keyFile) else { throw .keyFileAsVault }
        guard bytes.starts(with: FirstBytes.vault) else { throw .damaged(.header, reason: "is not that of a claviger vault") }
        var cursor = Cursor(FirstBytes.vault.count..<bytes.count, part: .header)
        let version = try cursor.u32(in: bytes.rawSpan)
        guard version == Self.version else { throw .newerFormat(version: version) }
        let length = try cursor.count(in: bytes.rawSpan, atMost: Limits.header, of: "has a length")
        guard length >= fixedLength + trailerLength else { throw .damaged(.header, reason: "ends too early") }
        return length
    }

    /// Parses a whole header. The checksum tells accidents apart from a wrong key; the MAC, which needs the key, is
    /// checked by `verify`.
    init(parsing bytes: [UInt8]) throws(VaultError) {
        guard bytes.count >= Self.fixedLength + Self.trailerLength, try Self.length(fromPrefix: bytes) == bytes.count else {
            throw .damaged(.header, reason: "ends too early")
        }
        try Self.checkChecksum(bytes)
        let bodyEnd = bytes.count - Self.trailerLength
        var cursor = Cursor((FirstBytes.vault.count + 8)..<bodyEnd, part: .header)
        vaultID = Array(bytes[try cursor.take(16)])
        let count = try cursor.count(in: bytes.rawSpan, atMost: Limits.slots, of: "has a number of slots")
        guard count > 0 else { throw .damaged(.header, reason: "has no slot") }
        var slots: [Slot] = []
        for _ in 0..<count { slots.append(try Slot.parse(&cursor, in: bytes)) }
        try cursor.finish()
        // Nobody could say which of the two is to go.
        guard Set(slots.map(\.id)).count == count else { throw .damaged(.header, reason: "has two slots of one id") }
        guard slots.reduce(0, { $0 + $1.openingCost }) <= Limits.openingCost else {
            throw .damaged(.header, reason: "asks for more work to open it than any vault needs")
        }
        self.slots = slots
    }

    /// Checks the checksum of a whole header.
    /// - Parameter bytes: at least as many as a header without slots has.
    static func checkChecksum(_ bytes: [UInt8]) throws(VaultError) {
        let bodyEnd = bytes.count - trailerLength
        let checksum = KeyedHash.checksum(bytes.rawSpan.extracting(0..<bodyEnd))
        guard Array(bytes[bodyEnd..<(bodyEnd + KeyedHash.length)]) == checksum else {
            throw .damaged(.header, reason: "does not match its checksum")
        }
    }

    init(vaultID: [UInt8], slots: [Slot]) {
        self.vaultID = vaultID
        self.slots = slots
    }

    /// Whether the MAC at the end of `bytes` was made with the header key.
    static func verify(_ bytes: [UInt8], key: borrowing SecretBytes) -> Bool {
        let macStart = bytes.count - KeyedHash.length
        let span = bytes.rawSpan
        let mac = KeyedHash.hash(span.extracting(0..<macStart), key: key)
        return KeyedHash.equal(mac.rawSpan, span.extracting(macStart..<bytes.count))
    }
}
