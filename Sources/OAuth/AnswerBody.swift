/// The body of a server's answer, read as JSON or as a form as leniently as is certain.
///
/// Some servers send JSON in Latin-1, with raw control characters in its strings, with a byte order mark before it or with
/// NULs after it. None of this leaves a doubt about what is meant, so it is mended and then read by the strict parser.
struct AnswerBody {
    /// UTF-8, without a byte order mark and without white space and NULs at the end.
    let text: [UInt8]
    /// What the body says; nil if it is no JSON, and no form that says anything of a token.
    let json: JSONValue?
    /// Whether it is a form (as those of older GitHub, Facebook and Stack Exchange), which does not say where it ends.
    let isForm: Bool

    var isEmpty: Bool { text.isEmpty }

    init(_ bytes: [UInt8]) {
        text = Self.text(bytes)
        let document = Self.document(text) ?? Self.withoutRemark(text).flatMap(Self.document)
        let form = document == nil ? Self.form(text) : nil
        (json, isForm) = (document ?? form, form != nil)
    }

    private static func document(_ text: [UInt8]) -> JSONValue? {
        JSONValue(parsing: text) ?? JSONValue(parsing: mended(text))
    }

    /// An object that a NUL or a comment follows, without that.
    private static func withoutRemark(_ text: [UInt8]) -> [UInt8]? {
        guard text.first == UInt8(ascii: "{"), let end = objectEnd(text) else { return nil }
        let rest = text[(end + 1)...].drop { ASCII.isSpace($0) }
        let marks = ["\0", "//", "/*", "#", "<!--"].map { Array($0.utf8) }
        return marks.contains { rest.starts(with: $0) } ? Array(text[...end]) : nil
    }

    /// Where the object ends that begins the text.
    private static func objectEnd(_ text: [UInt8]) -> Int? {
        var (depth, isInString) = (0, false)
        var index = 0
        while index < text.count {
            switch text[index] {
            case ASCII.quote: isInString.toggle()
            case ASCII.backslash where isInString: index += 1
            case UInt8(ascii: "{") where !isInString: depth += 1
            case UInt8(ascii: "}") where !isInString:
                depth -= 1
                if depth == 0 { return index }
            default: break
            }
            index += 1
        }
        return nil
    }

    /// The value of a member; nil where the body is no object, and for `null` and `""`, which servers write for "none".
    subscript(name: String) -> JSONValue? { self[JSONPointer(member: name)] }

    /// The value at a place, under the same rules.
    subscript(pointer: JSONPointer) -> JSONValue? {
        switch json?[pointer] {
        case nil, .null, .string(""): nil
        case let value: value
        }
    }

    /// The value at a place that the format names, else at the standard one: some servers answer a refresh in another form than
    /// the first request.
    func value(_ pointer: JSONPointer?, else name: String) -> JSONValue? { pointer.flatMap { self[$0] } ?? self[name] }

    /// `application/x-www-form-urlencoded`, where it holds a token or an error: all else could be any text.
    private static func form(_ text: [UInt8]) -> JSONValue? {
        let isWord = { (byte: UInt8) in (0x21...0x7E).contains(byte) && !"<>{}\"".utf8.contains(byte) }
        guard text.allSatisfy(isWord) else { return nil }
        let parameters = FormEncoding.decode(String(decoding: text, as: UTF8.self))
        guard parameters.contains(where: { ["access_token", "error"].contains($0.name) }) else { return nil }
        return .object(Dictionary(parameters.map { ($0.name, .string($0.value)) }) { first, _ in first })
    }

    /// Bytes that are no UTF-8 are taken for Latin-1, in which every byte is a character; with its mark before it, UTF-16 is
    /// read as such.
    private static func text(_ bytes: [UInt8]) -> [UInt8] {
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) { return utf16(bytes) }
        var bytes = bytes[...]
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = bytes.dropFirst(3) }
        while let last = bytes.last, last == 0 || ASCII.isSpace(last) { bytes.removeLast() }
        if String(validating: bytes, as: UTF8.self) != nil { return Array(bytes) }
        return bytes.flatMap { byte -> [UInt8] in byte < 0x80 ? [byte] : [0xC0 | byte >> 6, 0x80 | byte & 0x3F] }
    }

    private static func utf16(_ bytes: [UInt8]) -> [UInt8] {
        let units = stride(from: 2, to: bytes.count - 1, by: 2).map { index in
            let pair = (UInt16(bytes[index]), UInt16(bytes[index + 1]))
            return bytes[0] == 0xFF ? pair.1 << 8 | pair.0 : pair.0 << 8 | pair.1
        }
        return Array(String(decoding: units, as: UTF16.self).utf8)
    }

    /// Escapes control characters in strings, and replaces lone surrogates by U+FFFD (RFC 8259 sections 7 and 8.2).
    static func mended(_ text: [UInt8]) -> [UInt8] {
        var mended: [UInt8] = []
        mended.reserveCapacity(text.count)
        var isInString = false
        var index = 0
        while index < text.count {
            let byte = text[index]
            var length = 1
            switch byte {
            case ASCII.quote:
                isInString.toggle()
                mended.append(byte)
            case ASCII.backslash where isInString:
                length = escapeLength(text, at: index)
                mended +=
                    isLoneSurrogate(text[index..<index + length]) ? Array("\\ufffd".utf8) : Array(text[index..<index + length])
            case 0..<0x20 where isInString:
                mended += Array("\\u00".utf8) + [48 + byte >> 4, ASCII.hexDigit(byte & 15)]
            default:
                mended.append(byte)
            }
            index += length
        }
        return mended
    }

    /// How many bytes the escape takes that begins at `index`: 12 for a pair of surrogates.
    private static func escapeLength(_ text: [UInt8], at index: Int) -> Int {
        guard let unit = codeUnit(text[index...]) else { return min(2, text.count - index) }
        guard (0xD800..<0xDC00).contains(unit), let next = codeUnit(text[(index + 6)...]) else { return 6 }
        return (0xDC00..<0xE000).contains(next) ? 12 : 6
    }

    private static func isLoneSurrogate(_ escape: ArraySlice<UInt8>) -> Bool {
        escape.count == 6 && codeUnit(escape).map { (0xD800..<0xE000).contains($0) } ?? false
    }

    /// The value of `\uXXXX` at the start of `text`.
    private static func codeUnit(_ text: ArraySlice<UInt8>) -> UInt16? {
        let escape = text.prefix(6)
        guard escape.count == 6, escape.starts(with: [ASCII.backslash, UInt8(ascii: "u")]),
            escape.dropFirst(2).allSatisfy(ASCII.isHexDigit)
        else { return nil }
        return UInt16(String(decoding: escape.dropFirst(2), as: UTF8.self), radix: 16)
    }
}

extension JSONValue {
    /// What a server's answer says, read as leniently as a token endpoint's is; nil if that is nothing.
    public init?(answer bytes: [UInt8]) {
        guard let json = AnswerBody(bytes).json else { return nil }
        self = json
    }

    /// A member of an object; `null` and `""` are none.
    func member(_ name: String) -> JSONValue? {
        switch object?[name] {
        case nil, .null, .string(""): nil
        case let value: value
        }
    }
}

/// Bytes that mean something in JSON.
enum ASCII {
    static let quote = UInt8(ascii: "\"")
    static let apostrophe = UInt8(ascii: "'")
    static let backslash = UInt8(ascii: "\\")

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    static func isHexDigit(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...70).contains(byte) || (97...102).contains(byte)
    }

    static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 48 + value : 87 + value }
}
