import CSodium

/// XChaCha20-Poly1305 with a fresh random nonce in front: `nonce (24) || ciphertext || tag (16)`.
///
/// The nonce is long enough to be drawn at random for ever. The construction does not commit to its key: whoever
/// knows two keys can make one box that opens under both, so nothing here may decide by "which key opened it".
public enum AEAD {
    public static let keyLength = 32
    public static let nonceLength = 24
    static let tagLength = 16
    /// How many bytes a seal is longer than what it holds.
    public static let overhead = nonceLength + tagLength

    /// Seals `plaintext`; `context` is authenticated and not stored.
    public static func seal(_ plaintext: RawSpan, context: RawSpan, key: borrowing SecretBytes) -> [UInt8] {
        precondition(key.count == keyLength)
        _ = sodiumReady
        let length = plaintext.byteCount + overhead
        return unsafe [UInt8](unsafeUninitializedCapacity: length) { out, written in
            let nonce = out.baseAddress!
            unsafe randombytes_buf(nonce, nonceLength)
            unsafe plaintext.withUnsafeBytes { plain in
                unsafe context.withUnsafeBytes { context in
                    _ = unsafe key.withPointer { key in
                        unsafe crypto_aead_xchacha20poly1305_ietf_encrypt(
                            nonce + nonceLength, nil, plain.bytePointer, UInt64(plain.count),
                            context.bytePointer, UInt64(context.count), nil, nonce, key)
                    }
                }
            }
            written = length
        }
    }

    /// Opens a seal into locked memory.
    /// - Throws: `sealBroken`, or `lockedMemoryExhausted`.
    public static func open(
        _ sealed: RawSpan, context: RawSpan, key: borrowing SecretBytes
    ) throws(SodiumError) -> SecretBytes {
        guard sealed.byteCount >= overhead else { throw .sealBroken }
        return try unsafe SecretBytes(count: sealed.byteCount - overhead) { target throws(SodiumError) in
            try unsafe decrypt(sealed, context: context, key: key, into: target)
        }
    }

    /// Opens a seal into ordinary memory: for what is confidential but no secret, such as the list of names.
    /// - Throws: `sealBroken`.
    public static func openOrdinary(
        _ sealed: RawSpan, context: RawSpan, key: borrowing SecretBytes
    ) throws(SodiumError) -> [UInt8] {
        guard sealed.byteCount >= overhead else { throw .sealBroken }
        let length = sealed.byteCount - overhead
        var failure: SodiumError?
        let plaintext = unsafe [UInt8](unsafeUninitializedCapacity: length) { out, written in
            do throws(SodiumError) {
                try unsafe decrypt(sealed, context: context, key: key, into: UnsafeMutableRawBufferPointer(out))
                written = length
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return plaintext
    }

    private static func decrypt(
        _ sealed: RawSpan, context: RawSpan, key: borrowing SecretBytes, into target: UnsafeMutableRawBufferPointer
    ) throws(SodiumError) {
        precondition(key.count == keyLength)
        _ = sodiumReady
        let status = unsafe sealed.withUnsafeBytes { sealed in
            unsafe context.withUnsafeBytes { context in
                unsafe key.withPointer { key in
                    unsafe crypto_aead_xchacha20poly1305_ietf_decrypt(
                        target.baseAddress?.assumingMemoryBound(to: UInt8.self), nil, nil,
                        sealed.bytePointer! + nonceLength, UInt64(sealed.count - nonceLength),
                        context.bytePointer, UInt64(context.count), sealed.bytePointer!, key)
                }
            }
        }
        guard status == 0 else { throw .sealBroken }
    }
}

extension UnsafeRawBufferPointer {
    var bytePointer: UnsafePointer<UInt8>? {
        unsafe baseAddress?.assumingMemoryBound(to: UInt8.self)
    }
}
