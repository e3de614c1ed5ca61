import CSodium

/// Independent keys from one: `crypto_kdf_derive_from_key` (BLAKE2b with the number as salt and the context as
/// personalisation).
public enum Subkeys {
    /// The 32-byte subkey `number` of `key` in an eight-character `context`.
    /// - Throws: `lockedMemoryExhausted`.
    public static func derive(
        _ number: UInt64, context: StaticString, from key: borrowing SecretBytes
    ) throws(SodiumError) -> SecretBytes {
        precondition(context.utf8CodeUnitCount == 8 && key.count == AEAD.keyLength)
        return try unsafe SecretBytes(count: AEAD.keyLength) { target throws(SodiumError) in
            unsafe key.withPointer { key in
                unsafe context.utf8Start.withMemoryRebound(to: CChar.self, capacity: 8) { context in
                    _ = unsafe crypto_kdf_derive_from_key(
                        target.baseAddress!.assumingMemoryBound(to: UInt8.self), target.count, number, context, key)
                }
            }
        }
    }
}
