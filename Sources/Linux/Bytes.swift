import CLinux

/// Searching in memory.
public enum Bytes {
    /// Where a word stands in `bytes`, however often (memmem(3)).
    public static func places(of word: [UInt8], in bytes: [UInt8]) -> [Int] {
        precondition(!word.isEmpty)
        return unsafe bytes.withUnsafeBytes { all in
            var places: [Int] = []
            guard let base = unsafe all.baseAddress else { return [] }
            var start = 0
            while start < all.count, let found = unsafe claviger_find(base + start, all.count - start, word, word.count) {
                let place = unsafe base.distance(to: found)
                places.append(place)
                start = place + 1
            }
            return places
        }
    }
}
