import CSodium

/// What one Argon2id run costs.
public struct PasswordHashCost: Equatable, Sendable {
    /// Passes over the memory.
    public let passes: UInt32
    /// Memory in bytes.
    public let memory: UInt64

    public init(passes: UInt32, memory: UInt64) {
        self.passes = passes
        self.memory = memory
    }

    /// libsodium's MODERATE limits: 3 passes over 256 MiB, about half a second.
    public static let moderate = PasswordHashCost(passes: 3, memory: 256 << 20)
    /// The least that libsodium computes: for tests and test vectors, never for a vault of worth.
    public static let minimum = PasswordHashCost(passes: 1, memory: 8192)
}

/// Argon2id (RFC 9106), version 1.3, one lane: `crypto_pwhash`.
public enum PasswordHash {
    public static let saltLength = 16

    /// Derives a 32-byte key from a passphrase.
    ///
    /// The caller caps the cost first: it may come from a file.
    /// - Parameters:
    ///   - passphrase: at least one byte.
    ///   - salt: `saltLength` bytes.
    /// - Throws: `passwordHashMemory`, or `lockedMemoryExhausted`.
    public static func key(
        passphrase: RawSpan, salt: RawSpan, cost: PasswordHashCost
    ) throws(SodiumError) -> SecretBytes {
        precondition(salt.byteCount == saltLength && passphrase.byteCount > 0)
        return try unsafe SecretBytes(count: AEAD.keyLength) { target throws(SodiumError) in
            let status = unsafe passphrase.withUnsafeBytes { passphrase in
                unsafe salt.withUnsafeBytes { salt in
                    unsafe crypto_pwhash(
                        target.baseAddress!.assumingMemoryBound(to: UInt8.self), UInt64(target.count),
                        passphrase.baseAddress!.assumingMemoryBound(to: CChar.self), UInt64(passphrase.count),
                        salt.bytePointer!, UInt64(cost.passes), Int(cost.memory), crypto_pwhash_ALG_ARGON2ID13)
                }
            }
            guard status == 0 else { throw .passwordHashMemory }
        }
    }
}
