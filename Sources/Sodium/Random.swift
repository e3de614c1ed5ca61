import CSodium

/// The system's randomness, for identifiers, nonces and jitter; keys come from `SecretBytes.random`.
public enum Random {
    public static func bytes(_ count: Int) -> [UInt8] {
        _ = sodiumReady
        return unsafe [UInt8](unsafeUninitializedCapacity: count) { out, written in
            if let base = out.baseAddress { unsafe randombytes_buf(base, count) }
            written = count
        }
    }

    /// An even number in 0 ..< 1.
    public static func unit() -> Double {
        Double(randombytes_random()) / 4_294_967_296
    }
}
