/// Finds the refresh token in a body that the JSON parser refuses.
///
/// A server that replaces refresh tokens has already done so when its answer arrives broken: cut off, with a comment or another
/// document after it, with quotes that don't match. The refresh token in it is then all that keeps the login alive. So the
/// scanner takes `"refresh_token": "..."` wherever it stands whole, however deep, the outermost first. It never guesses: a
/// string without its end, or with an escape that JSON doesn't know, is none.
struct RefreshTokenScanner {
    private let name: [UInt8]
    private let text: [UInt8]
    private let isWhole: Bool

    /// - Parameters:
    ///   - name: of the member.
    ///   - text: UTF-8.
    ///   - isWhole: whether the body arrived to its end.
    /// - Returns: the token as it stands there; nil if there is none, and for markup, where only an echo of ours could stand.
    static func find(_ name: String = "refresh_token", in text: [UInt8], isWhole: Bool) -> String? {
        guard let first = text.first(where: { !ASCII.isSpace($0) }), first != UInt8(ascii: "<") else { return nil }
        let scanner = RefreshTokenScanner(name: Array(name.utf8), text: text, isWhole: isWhole)
        let isForm = ![UInt8(ascii: "{"), UInt8(ascii: "["), ASCII.quote].contains(first)
        return scanner.outermostMember() ?? scanner.strayMember() ?? (isForm ? scanner.formParameter() : nil)
    }

    /// The outermost member; of two that are as deep, the last.
    private func outermostMember() -> String? {
        var found: (depth: Int, token: String)?
        var depth = 0
        var index = 0
        while index < text.count {
            let byte = text[index]
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth = max(0, depth - 1)
            case ASCII.quote, ASCII.apostrophe:
                if let end = stringEnd(from: index) {
                    if let token = member(from: index, to: end), found.map({ depth <= $0.depth }) ?? true {
                        found = (depth, token)
                    }
                    index = end
                } else if byte == ASCII.quote {
                    // All that follows stands in a string that was cut off.
                    return found?.token
                }
            default: break
            }
            index += 1
        }
        return found?.token
    }

    /// A member at any place, where a quote too many has hidden it. A backslash before its name would mean that it stands
    /// in a string.
    private func strayMember() -> String? {
        let key = [ASCII.quote] + name + [ASCII.quote]
        guard text.count > key.count else { return nil }
        for start in text.indices.dropLast(key.count)
        where text[start] == ASCII.quote && text[start..<start + key.count].elementsEqual(key)
            && (start == 0 || text[start - 1] != ASCII.backslash)
        {
            if let token = member(from: start, to: start + key.count - 1) { return token }
        }
        return nil
    }

    /// `refresh_token` among form-encoded parameters. The last one of a body that was cut off may be cut off itself.
    private func formParameter() -> String? {
        let pairs = text.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false)
        for pair in isWhole ? pairs[...] : pairs.dropLast() {
            let line = String(decoding: pair, as: UTF8.self).filter { !$0.isNewline }
            guard let parameter = FormEncoding.decode(line).first else { continue }
            if parameter.name.utf8.elementsEqual(name), !parameter.value.isEmpty { return parameter.value }
        }
        return nil
    }

    /// The value of the member whose name is the string from `start` to `end`, if that is ours and its value a whole string.
    private func member(from start: Int, to end: Int) -> String? {
        guard text[(start + 1)..<end].elementsEqual(name), let colon = nextIndex(after: end),
            text[colon] == UInt8(ascii: ":"), let opening = nextIndex(after: colon),
            [ASCII.quote, ASCII.apostrophe].contains(text[opening]), let closing = stringEnd(from: opening),
            endsValue(after: closing)
        else { return nil }
        return string(text[(opening + 1)..<closing])
    }

    /// Whether a value may end here; otherwise the closing quote belongs to the token, or is one too many.
    private func endsValue(after index: Int) -> Bool {
        guard let next = nextIndex(after: index) else { return true }
        return [0, UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: "/"), UInt8(ascii: "#")]
            .contains(text[next])
    }

    private func nextIndex(after index: Int) -> Int? {
        text[(index + 1)...].firstIndex { !ASCII.isSpace($0) }
    }

    /// Where the string ends whose quote stands at `start`.
    private func stringEnd(from start: Int) -> Int? {
        var index = start + 1
        while index < text.count {
            if text[index] == text[start] { return index }
            index += text[index] == ASCII.backslash ? 2 : 1
        }
        return nil
    }

    /// What stands between two quotes, without its escapes.
    private func string(_ content: ArraySlice<UInt8>) -> String? {
        JSONValue(parsing: AnswerBody.mended([ASCII.quote] + content + [ASCII.quote]))?.string
    }
}
