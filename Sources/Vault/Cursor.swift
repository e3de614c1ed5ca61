import Sodium

/// Reads little-endian numbers and lengths from bytes that nobody has vouched for. Every read checks what is left.
struct Cursor {
    private(set) var position: Int
    let end: Int
    let part: VaultPart

    init(_ range: Range<Int>, part: VaultPart) {
        position = range.lowerBound
        end = range.upperBound
        self.part = part
    }

    /// The next `count` bytes.
    mutating func take(_ count: Int) throws(VaultError) -> Range<Int> {
        guard count >= 0, count <= end - position else { throw .damaged(part, reason: "ends too early") }
        defer { position += count }
        return position..<(position + count)
    }

    mutating func number(_ width: Int, in bytes: RawSpan) throws(VaultError) -> UInt64 {
        var value: UInt64 = 0
        for (index, offset) in try take(width).enumerated() {
            value |= UInt64(bytes.byte(at: offset)) << UInt64(8 * index)
        }
        return value
    }

    mutating func u8(in bytes: RawSpan) throws(VaultError) -> UInt8 { UInt8(try number(1, in: bytes)) }
    mutating func u16(in bytes: RawSpan) throws(VaultError) -> Int { Int(try number(2, in: bytes)) }
    mutating func u32(in bytes: RawSpan) throws(VaultError) -> UInt32 { UInt32(try number(4, in: bytes)) }
    mutating func u64(in bytes: RawSpan) throws(VaultError) -> UInt64 { try number(8, in: bytes) }

    /// A count or length of four bytes, refused above `limit`.
    /// - Parameter what: what the part has, as in "has a length".
    mutating func count(in bytes: RawSpan, atMost limit: Int, of what: String) throws(VaultError) -> Int {
        let value = Int(try u32(in: bytes))
        guard value <= limit else { throw .damaged(part, reason: "\(what) over the limit of \(limit)") }
        return value
    }

    /// Trailing bytes are an error.
    func finish() throws(VaultError) {
        guard position == end else { throw .damaged(part, reason: "has trailing bytes") }
    }
}

extension [UInt8] {
    /// Appends the low `width` bytes of `value`, least significant first.
    mutating func append(_ value: UInt64, width: Int) {
        for index in 0..<width { append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    }
}
