import Sodium

/// Everything that is done with an open vault's keys: which vault they are of is part of what each seal vouches for.
final class VaultCipher: Sendable {
    let vaultID: [UInt8]
    private let keys: VaultKeys

    init(vaultID: [UInt8], keys: consuming VaultKeys) {
        self.vaultID = vaultID
        self.keys = keys
    }

    /// - Throws: `memory`.
    func handedOver() throws(VaultError) -> HandedOverKeys { try keys.handedOver() }

    // MARK: Header

    func serialise(_ header: Header) -> [UInt8] { header.serialised(key: keys.header) }

    /// - Throws: `damaged`, if it is not this vault's header, or was changed by somebody without the key.
    func verify(header: [UInt8]) throws(VaultError) {
        guard try Header(parsing: header).vaultID == vaultID else {
            throw .damaged(.header, reason: "is that of another vault")
        }
        guard Header.verify(header, key: keys.header) else {
            throw .damaged(.header, reason: "was changed by somebody without the key")
        }
    }

    // MARK: Root

    func seal(root plaintext: [UInt8], header: [UInt8]) -> [UInt8] {
        AEAD.seal(plaintext.rawSpan, context: Self.rootContext(header: header).rawSpan, key: keys.root)
    }

    func open(root sealed: [UInt8], header: [UInt8]) throws(VaultError) -> Root {
        let context = Self.rootContext(header: header)
        let plaintext: [UInt8]
        do throws(SodiumError) {
            plaintext = try AEAD.openOrdinary(sealed.rawSpan, context: context.rawSpan, key: keys.root)
        } catch {
            throw .damaged(.root, reason: "does not open")
        }
        let root = try Root(parsing: plaintext)
        try root.checkNotes(of: Header(parsing: header).slots)
        return root
    }

    /// The whole header is part of it: an old header can't be put before a new root.
    private static func rootContext(header: [UInt8]) -> [UInt8] {
        Array("claviger root".utf8) + header
    }

    // MARK: Records

    /// Seals a record under a fresh id.
    func seal(_ record: Record, kind: RecordKind, name: String) -> (entry: Root.NewEntry, sealed: [UInt8]) {
        let id = RecordID.fresh()
        let context = recordContext(id)
        let sealed = record.withPlaintext { AEAD.seal($0, context: context.rawSpan, key: keys.record) }
        let hash = KeyedHash.hash(sealed.rawSpan, key: keys.recordHash)
        return (Root.NewEntry(id: id, kind: kind, name: name, sealedLength: sealed.count, hash: hash), sealed)
    }

    /// - Parameter hash: the one in the root.
    func open(record sealed: [UInt8], id: RecordID, hash: [UInt8]) throws(VaultError) -> Record {
        guard KeyedHash.equal(KeyedHash.hash(sealed.rawSpan, key: keys.recordHash).rawSpan, hash.rawSpan) else {
            throw .damaged(.records, reason: "is not the one in the root")
        }
        let context = recordContext(id)
        let plaintext: SecretBytes
        do throws(SodiumError) {
            plaintext = try AEAD.open(sealed.rawSpan, context: context.rawSpan, key: keys.record)
        } catch {
            throw error == .sealBroken ? .damaged(.records, reason: "does not open") : .memory
        }
        return try Record(parsing: plaintext)
    }

    private func recordContext(_ id: RecordID) -> [UInt8] {
        Array("claviger record".utf8) + vaultID + id.bytes
    }

    // MARK: Hashes

    func hash(_ bytes: [UInt8], for use: HashUse) -> [UInt8] {
        switch use {
        case .auditChain: KeyedHash.hash(bytes.rawSpan, key: keys.auditChain)
        case .tokenFingerprint: KeyedHash.hash(bytes.rawSpan, key: keys.tokenFingerprint)
        }
    }

    /// A byte of the lock file far from the first one, chosen by a keyed hash so that it tells nothing of the name.
    func lockPlace(for name: String) -> LockPlace {
        let hash = KeyedHash.hash(Array(CredentialName.normalised(name).utf8).rawSpan, key: keys.lockPlaces)
        let number = hash.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return LockPlace(byte: Int64(number >> 2) | 1)
    }
}
