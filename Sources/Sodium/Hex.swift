import CSodium

/// Hexadecimal in lower case, in constant time: it writes and reads key files.
public enum Hex {
    public static func encode(_ bytes: RawSpan) -> String {
        var digits = [CChar](repeating: 0, count: bytes.byteCount * 2 + 1)
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe digits.withUnsafeMutableBufferPointer { digits in
                guard let base = unsafe bytes.bytePointer else { return }
                _ = unsafe sodium_bin2hex(digits.baseAddress!, digits.count, base, bytes.count)
            }
        }
        return String(decoding: digits.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Exactly `count` bytes from exactly twice as many digits, or nil.
    /// - Throws: `lockedMemoryExhausted`.
    public static func decodeSecret(_ digits: RawSpan, count: Int) throws(SodiumError) -> SecretBytes? {
        guard digits.byteCount == count * 2 else { return nil }
        var complete = false
        let secret = try unsafe SecretBytes(count: count) { target throws(SodiumError) in
            var written = 0
            let status = unsafe digits.withUnsafeBytes { digits in
                unsafe sodium_hex2bin(
                    target.baseAddress!.assumingMemoryBound(to: UInt8.self), target.count,
                    digits.baseAddress!.assumingMemoryBound(to: CChar.self), digits.count, nil, &written, nil)
            }
            complete = status == 0 && written == count
        }
        guard complete else { return nil }
        return consume secret
    }
}
