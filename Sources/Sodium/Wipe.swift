import CSodium

extension [UInt8] {
    /// Overwrites the bytes and empties the array, in a way that the compiler keeps. Copies made before stay.
    public mutating func wipe() {
        unsafe withUnsafeMutableBytes { bytes in
            if let base = bytes.baseAddress { unsafe sodium_memzero(base, bytes.count) }
        }
        removeAll()
    }
}
