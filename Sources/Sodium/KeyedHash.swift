import CSodium

/// BLAKE2b (RFC 7693) as a keyed hash, and without a key as a checksum: `crypto_generichash`, 32 bytes out.
public enum KeyedHash {
    public static let length = 32

    /// Authenticates `bytes` under a 32-byte key.
    public static func hash(_ bytes: RawSpan, key: borrowing SecretBytes) -> [UInt8] {
        unsafe key.withPointer { pointer in unsafe compute(bytes, key: pointer, keyLength: key.count) }
    }

    /// A checksum: finds accidents, proves nothing.
    public static func checksum(_ bytes: RawSpan) -> [UInt8] {
        unsafe compute(bytes, key: nil, keyLength: 0)
    }

    /// Whether two hashes are the same, in constant time.
    public static func equal(_ a: RawSpan, _ b: RawSpan) -> Bool {
        guard a.byteCount == b.byteCount else { return false }
        return unsafe a.withUnsafeBytes { a in
            unsafe b.withUnsafeBytes { b in unsafe a.isEmpty || sodium_memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0 }
        }
    }

    private static func compute(_ bytes: RawSpan, key: UnsafePointer<UInt8>?, keyLength: Int) -> [UInt8] {
        _ = sodiumReady
        return unsafe [UInt8](unsafeUninitializedCapacity: length) { out, written in
            unsafe bytes.withUnsafeBytes { bytes in
                _ = unsafe crypto_generichash(out.baseAddress!, length, bytes.bytePointer, UInt64(bytes.count), key, keyLength)
            }
            written = length
        }
    }
}
