import CLinux

/// What the program was called with, as it was.
@safe struct Arguments {
    let start: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    let count: Int

    /// Nil for what is missing, or is no UTF-8.
    subscript(_ index: Int) -> String? {
        guard index < count, let word = unsafe start[index] else { return nil }
        return unsafe String(validatingCString: word)
    }

    func isAt(_ index: Int, _ word: StaticString) -> Bool {
        guard index < count, let other = unsafe start[index] else { return false }
        return word.withUTF8Buffer { unsafe strlen(other) == $0.count && memcmp(other, $0.baseAddress!, $0.count) == 0 }
    }
}
