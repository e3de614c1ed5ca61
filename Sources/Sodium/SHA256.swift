import CSodium

/// SHA-256 (FIPS 180-4), which PKCE wants.
public enum SHA256 {
    public static func hash(_ bytes: [UInt8]) -> [UInt8] {
        _ = sodiumReady
        return unsafe [UInt8](unsafeUninitializedCapacity: 32) { out, written in
            _ = unsafe bytes.withUnsafeBufferPointer { bytes in
                unsafe crypto_hash_sha256(out.baseAddress!, bytes.baseAddress, UInt64(bytes.count))
            }
            written = 32
        }
    }
}
