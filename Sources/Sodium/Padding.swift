/// ISO/IEC 7816-4 padding, as `sodium_pad` writes it: a byte 0x80, then zeros up to the next multiple of the block.
public enum Padding {
    /// The padded length of `count` bytes; at least one byte is added.
    public static func paddedLength(_ count: Int, block: Int) -> Int {
        (count / block + 1) * block
    }

    /// The length without the padding, or nil if the bytes don't end in canonical padding of this block.
    ///
    /// What is padded here is always inside a seal, so the search need not run in constant time.
    public static func unpaddedLength(_ bytes: RawSpan, block: Int) -> Int? {
        guard bytes.byteCount > 0, bytes.byteCount % block == 0 else { return nil }
        for distance in 1...block {
            let offset = bytes.byteCount - distance
            switch bytes.byte(at: offset) {
            case 0: continue
            case 0x80: return offset
            default: return nil
            }
        }
        return nil
    }
}
