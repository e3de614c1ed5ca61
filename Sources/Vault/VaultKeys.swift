public import Sodium

/// The subkeys of a vault key, each for one use; the vault key itself is gone once they are made.
struct VaultKeys: ~Copyable {
    let header: SecretBytes
    let root: SecretBytes
    let record: SecretBytes
    let recordHash: SecretBytes
    let lockPlaces: SecretBytes
    let auditChain: SecretBytes
    let tokenFingerprint: SecretBytes

    /// - Throws: `memory`.
    static func derive(from vaultKey: borrowing SecretBytes) throws(VaultError) -> VaultKeys {
        do throws(SodiumError) {
            let header = try Subkeys.derive(1, context: "claviger", from: vaultKey)
            let root = try Subkeys.derive(2, context: "claviger", from: vaultKey)
            let record = try Subkeys.derive(3, context: "claviger", from: vaultKey)
            let recordHash = try Subkeys.derive(4, context: "claviger", from: vaultKey)
            let lockPlaces = try Subkeys.derive(5, context: "claviger", from: vaultKey)
            let auditChain = try Subkeys.derive(6, context: "claviger", from: vaultKey)
            let tokenFingerprint = try Subkeys.derive(7, context: "claviger", from: vaultKey)
            return VaultKeys(
                header: header, root: root, record: record, recordHash: recordHash, lockPlaces: lockPlaces,
                auditChain: auditChain, tokenFingerprint: tokenFingerprint)
        } catch {
            throw .memory
        }
    }
}

/// What a keyed hash of the vault's is for; each has a key of its own.
public enum HashUse: Sendable { case auditChain, tokenFingerprint }

/// What a person or a machine brings to open a slot.
public enum UnlockKey: Sendable {
    case passphrase(Secret)
    /// The 32 bytes of a key file.
    case keyFile(Secret)

    var kind: SlotKind {
        switch self {
        case .passphrase: .passphrase
        case .keyFile: .keyFile
        }
    }

    /// The slot body that this key gets in a new vault.
    func newSlotBody(cost: PasswordHashCost) -> Slot.Body {
        switch self {
        case .passphrase: .passphrase(cost, salt: Random.bytes(PasswordHash.saltLength))
        case .keyFile: .keyFile
        }
    }

    /// The key that wraps the vault key in a slot with this body.
    private func wrappingKey(for body: Slot.Body, vaultID: [UInt8]) throws(SodiumError) -> SecretBytes? {
        switch (self, body) {
        case (.passphrase(let passphrase), .passphrase(let cost, let salt)):
            return try passphrase.withBytes { bytes throws(SodiumError) in
                try PasswordHash.key(passphrase: bytes, salt: salt.rawSpan, cost: cost)
            }
        case (.keyFile(let key), .keyFile):
            // One key file may open several vaults: each gets a wrapping key of its own.
            let message = Array("claviger key file".utf8) + vaultID
            return try key.withBytes { bytes throws(SodiumError) in
                let key = try SecretBytes(copying: bytes)
                return try SecretBytes(copying: KeyedHash.hash(message.rawSpan, key: key).rawSpan)
            }
        default:
            return nil
        }
    }

    func wrap(_ vaultKey: borrowing SecretBytes, vaultID: [UInt8], cost: PasswordHashCost) throws(SodiumError) -> Slot {
        let id = Random.bytes(Slot.idLength)
        let body = newSlotBody(cost: cost)
        let context = Slot.context(vaultID: vaultID, id: id, body: body)
        guard let key = try wrappingKey(for: body, vaultID: vaultID) else { preconditionFailure() }
        let wrapped = vaultKey.withBytes { AEAD.seal($0, context: context.rawSpan, key: key) }
        return Slot(id: id, body: body, wrapped: wrapped)
    }

    /// The vault key, if this key opens the slot.
    func unwrap(_ slot: Slot, vaultID: [UInt8]) throws(SodiumError) -> SecretBytes? {
        guard let key = try wrappingKey(for: slot.body, vaultID: vaultID) else { return nil }
        let context = Slot.context(vaultID: vaultID, id: slot.id, body: slot.body)
        do throws(SodiumError) {
            return try AEAD.open(slot.wrapped.rawSpan, context: context.rawSpan, key: key)
        } catch .sealBroken {
            return nil
        }
    }
}
