import CLinux

/// What the program was called with, as it was.
struct Arguments {
    let start: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    let count: Int

    /// Nil for what is missing, or is no UTF-8.
    subscript(_ index: Int) -> String? {
        guard index < count, let word = start[index] else { return nil }
        return String(validatingCString: word)
    }

    func isAt(_ index: Int, _ word: StaticString) -> Bool {
        guard index < count, let other = start[index] else { return false }
        return word.withUTF8Buffer { strlen(other) == $0.count && memcmp(other, $0.baseAddress!, $0.count) == 0 }
    }
}

/// Writes to standard error, and ends.
func say(_ text: String, andExit status: Int32) -> Never {
    let bytes = Array(text.utf8)
    write(2, bytes, bytes.count)
    exit(status)
}
