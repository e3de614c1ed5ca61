extension [UInt8] {
    /// The bytes, as libsodium's primitives and the cursor take them. `Span.bytes` is marked unsafe because a type may have
    /// padding, whose bytes have no value; a byte has none.
    var rawSpan: RawSpan {
        @_lifetime(borrow self) get { unsafe span.bytes }
    }
}
