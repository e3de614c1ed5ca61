/// Bounds-checked reads, so that no other target needs an unsafe load.
extension RawSpan {
    /// The byte at `offset`; traps outside of the span.
    @inlinable
    public func byte(at offset: Int) -> UInt8 {
        precondition(offset >= 0 && offset < byteCount)
        return unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// A copy in ordinary memory.
    public func array() -> [UInt8] {
        unsafe withUnsafeBytes { unsafe [UInt8]($0) }
    }
}
