/// A path as the most lenient of all servers reads it: one that undoes every encoding which some server undoes, as often as there
/// is one, and takes every character for the slash, backslash or dot that some server takes it for.
///
/// It is only looked at. What is sent on is the path as it came.
struct LenientPath {
    private(set) var bytes: [UInt8] = []
    /// As a server reads it that undoes percent-encoding once, and nothing else: a lenient reading may only refuse more.
    private let plain: [UInt8]

    /// Linear in the path's length: a byte that completes an encoded one is taken back together with it, and what they mean is
    /// read in their place. So `%252e` is a dot, as is `%c0%ae`.
    init(_ path: some Sequence<UInt8>) {
        plain = Self.decoded(Array(path))
        for byte in path {
            var next = [byte]
            while let byte = next.popLast() {
                bytes.append(byte)
                guard let (count, meaning) = Self.encoded(atEndOf: bytes) else { continue }
                bytes.removeLast(count)
                next += meaning.reversed()
            }
        }
    }

    /// Whether some server reads one of its segments as `.` or `..` (RFC 3986 section 3.3).
    var hasDotSegment: Bool {
        [bytes, plain].contains { bytes in
            bytes.split { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }.contains(where: Self.isDots)
        }
    }

    /// Servers drop control characters and spaces, cut a segment at a semicolon (`..;x`, Java's path parameters) or at a NUL, and
    /// who knows at what else. So after one dot or two at its beginning only a letter, a digit, `-`, `_`, `~` or a third dot makes
    /// a name of a segment: `.well-known`, `..a` and `...`.
    private static func isDots(_ segment: ArraySlice<UInt8>) -> Bool {
        let name = Array(String(decoding: segment, as: UTF8.self).unicodeScalars).drop(while: isNothing)
        let rest = name.drop { $0 == "." }
        guard 1...2 ~= name.count - rest.count else { return false }
        guard let next = rest.first else { return true }
        return !("-_~".unicodeScalars.contains(next) || next.properties.isAlphabetic || next.properties.numericType != nil)
    }

    /// What some server may drop before a name: control and format characters, spaces, and bytes that are no UTF-8.
    private static func isNothing(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || [.control, .format].contains(scalar.properties.generalCategory) || scalar == "\u{FFFD}"
    }

    // MARK: Encodings

    private static func decoded(_ path: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        for byte in path {
            bytes.append(byte)
            guard let value = hexadecimal(bytes, after: [UInt8(ascii: "%")], digits: 2) else { continue }
            bytes.removeLast(3)
            bytes.append(UInt8(value))
        }
        return bytes
    }

    /// The encoded character at the end of some bytes.
    /// - Returns: how many bytes it has, and what they mean, which is less; nil if there is none.
    private static func encoded(atEndOf bytes: [UInt8]) -> (count: Int, meaning: [UInt8])? {
        if let byte = hexadecimal(bytes, after: [UInt8(ascii: "%")], digits: 2) { return (3, [UInt8(byte)]) }
        // IIS's %uXXXX.
        for letter in "uU".utf8 {
            guard let unit = hexadecimal(bytes, after: [UInt8(ascii: "%"), letter], digits: 4) else { continue }
            return (6, Array(String(Unicode.Scalar(unit) ?? "\u{FFFD}").utf8))
        }
        return overlong(bytes) ?? lookalike(bytes)
    }

    private static func hexadecimal(_ bytes: [UInt8], after mark: [UInt8], digits: Int) -> UInt32? {
        let end = bytes.suffix(mark.count + digits)
        guard end.starts(with: mark), end.count == mark.count + digits else { return nil }
        let values = end.suffix(digits).compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        return values.count == digits ? values.reduce(0) { $0 << 4 | UInt32($1) } : nil
    }

    /// ASCII in two to six bytes, which UTF-8 forbids (RFC 3629 section 3), as a decoder reads it that looks at the bits of a
    /// character and at nothing else.
    private static func overlong(_ bytes: [UInt8]) -> (Int, [UInt8])? {
        for (length, mark) in [(2, 0xC0), (3, 0xE0), (4, 0xF0), (5, 0xF8), (6, 0xFC)] as [(Int, UInt8)] {
            let character = bytes.suffix(length)
            // As many ones as there are bytes, and a zero.
            let mask = ~(UInt8(0x7F) >> UInt8(length))
            guard character.count == length, let lead = character.first, lead & mask == mark else { continue }
            // These mean what they are to others: one begins another encoded byte, the rest end or make a segment.
            guard !character.contains(where: "%/\\.".utf8.contains) else { continue }
            var value = UInt32(lead & ~mask)
            for byte in character.dropFirst() { value = value << 6 | UInt32(byte & 0x3F) }
            if value < 0x80 { return (length, [UInt8(value)]) }
        }
        return nil
    }

    /// What compatibility normalisation (NFKC) turns into a slash, backslash, dot or percent sign, or Windows does where it has to
    /// fit a character into an older set.
    private static let lookalikes: [[UInt8]: String] = Dictionary(
        uniqueKeysWithValues: [
            ("\u{2024}", "."), ("\u{2025}", ".."), ("\u{FE30}", ".."), ("\u{FE52}", "."), ("\u{2044}", "/"), ("\u{2215}", "/"),
            ("\u{2216}", "\\"),
            ("\u{FE68}", "\\"), ("\u{A5}", "\\"), ("\u{20A9}", "\\"), ("\u{FE6A}", "%"),
        ].map { (Array($0.utf8), $1) })

    private static func lookalike(_ bytes: [UInt8]) -> (Int, [UInt8])? {
        // All others lack this bit, and most paths have none that has it.
        guard let last = bytes.last, last & 0x80 != 0 else { return nil }
        for length in 2...3 {
            let character = Array(bytes.suffix(length))
            if let meaning = lookalikes[character] { return (length, Array(meaning.utf8)) }
            // The full-width forms of ASCII's characters stand in its order.
            let scalar = String(decoding: character, as: UTF8.self).unicodeScalars.first?.value ?? 0
            if length == 3, 0xFF01...0xFF5E ~= scalar { return (3, [UInt8(scalar - 0xFF01 + 0x21)]) }
        }
        return nil
    }
}
