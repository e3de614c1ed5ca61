public import Sodium

/// The subkeys of an open vault on their way to another process of the same user, which opens the vault with them: neither
/// has the vault's own key, nor a passphrase, and no passphrase has to be hashed again.
public struct HandedOverKeys: Sendable {
    /// Seven keys, in the order of their numbers in claviger-vault(5).
    public let bytes: Secret

    static let keyLength = 32
    static let count = 7

    /// - Throws: `damaged(.keyFile)` for anything that is not as long as these keys are.
    public init(_ bytes: Secret) throws(VaultError) {
        guard bytes.count == Self.keyLength * Self.count else {
            throw .damaged(.keyFile, reason: "is no set of keys")
        }
        self.bytes = bytes
    }
}

extension VaultKeys {
    /// - Throws: `memory`.
    func handedOver() throws(VaultError) -> HandedOverKeys {
        try HandedOverKeys(
            VaultError.mapping { () throws(SodiumError) in
                Secret(
                    try SecretBytes(count: HandedOverKeys.keyLength * HandedOverKeys.count) { target in
                        var offset = 0
                        func add(_ key: borrowing SecretBytes) {
                            key.withBytes { bytes in
                                for index in 0..<bytes.byteCount {
                                    target.storeBytes(of: bytes.byte(at: index), toByteOffset: offset, as: UInt8.self)
                                    offset += 1
                                }
                            }
                        }
                        add(header)
                        add(root)
                        add(record)
                        add(recordHash)
                        add(lockPlaces)
                        add(auditChain)
                        add(tokenFingerprint)
                    })
            })
    }

    /// - Throws: `memory`.
    init(_ keys: HandedOverKeys) throws(VaultError) {
        func key(_ number: Int) throws(VaultError) -> SecretBytes {
            try VaultError.mapping { () throws(SodiumError) in
                try keys.bytes.withBytes { bytes throws(SodiumError) in
                    let start = (number - 1) * HandedOverKeys.keyLength
                    return try SecretBytes(copying: bytes.extracting(start..<(start + HandedOverKeys.keyLength)))
                }
            }
        }
        self.init(
            header: try key(1), root: try key(2), record: try key(3), recordHash: try key(4), lockPlaces: try key(5),
            auditChain: try key(6), tokenFingerprint: try key(7))
    }
}

extension UnlockedVault {
    /// The keys for another process of this user.
    /// - Throws: `memory`.
    public func handOver() throws(VaultError) -> HandedOverKeys { try cipher.handedOver() }
}

extension LockedVault {
    /// Opens the vault with the keys of a process that has it open.
    /// - Parameter seen: the generation that this process has read: an older vault is refused.
    /// - Throws: `wrongKey`, `damaged`, `wentBack`, `memory`.
    public func unlock(with keys: HandedOverKeys, seen: UInt64) throws(VaultError) -> UnlockedVault {
        let cipher = VaultCipher(vaultID: vaultID, keys: try VaultKeys(keys))
        let vault = try UnlockedVault(store: store, cipher: cipher, memory: memory)
        guard vault.generation >= seen else { throw .wentBack(generation: vault.generation, seen: seen) }
        return vault
    }
}
