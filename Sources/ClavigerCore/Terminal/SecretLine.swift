import AgentProtocol
import Sodium

/// A secret as people give it: one line of text.
enum SecretLine {
    /// In bytes.
    static let limit = 64 << 10

    /// Checks what was read of a secret that a provider has made. A no-break space or a character without width around it came
    /// from the page that it was copied from; it is dropped. Other spaces are kept, and named.
    /// - Parameter remark: is told what may be wrong with it.
    static func pasted(
        _ bytes: inout [UInt8], what: String, from place: String, remark: (String) -> Void
    ) throws -> Secret {
        dropMark(&bytes)
        dropLineEnd(&bytes)
        let unseen: [[UInt8]] = ["\u{A0}", "\u{200B}", "\u{200C}", "\u{200D}", "\u{2060}", "\u{FEFF}"].map { Array($0.utf8) }
        while let mark = unseen.first(where: { bytes.starts(with: $0) }) { bytes.removeFirst(mark.count) }
        while let mark = unseen.first(where: { bytes.reversed().starts(with: $0.reversed()) }) { bytes.removeLast(mark.count) }
        if bytes.first == 0x20 || bytes.last == 0x20 {
            remark("the \(what) begins or ends with a space, which is kept")
        }
        if unseen.contains(where: { mark in bytes.indices.contains { bytes[$0...].starts(with: mark) } }) {
            remark("the \(what) has a character within that can't be seen, which is kept")
        }
        if let oddity = oddity(of: bytes) { remark("the \(what) \(oddity)") }
        return try secret(&bytes, what: what, from: place)
    }

    /// What makes a text look as if more than what is meant was pasted; nil for none.
    static func oddity(of bytes: [UInt8]) -> String? {
        guard let first = bytes.first, let last = bytes.last, bytes.count > 1 else { return nil }
        if first == last, [0x22, 0x27, 0x60].contains(first) { return "stands between quotation marks, which are kept" }
        if first == UInt8(ascii: "{"), last == UInt8(ascii: "}") { return "looks like JSON, which --from-json FILE reads" }
        return nil
    }

    /// The byte order mark that some editors write is no part of a text: nobody types it.
    private static func dropMark(_ bytes: inout [UInt8]) {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
    }

    private static func dropLineEnd(_ bytes: inout [UInt8]) {
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
    }

    /// Checks what was read: one line of text that is not empty.
    static func secret(_ bytes: inout [UInt8], what: String, from place: String) throws -> Secret {
        dropMark(&bytes)
        dropLineEnd(&bytes)
        guard !bytes.isEmpty else { throw Problem.emptySecret(what: what, place: place) }
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }), String(validating: bytes, as: UTF8.self) != nil else {
            throw Problem.notOneLine(what: what, place: place)
        }
        return unsafe try Secret(copying: bytes.span.bytes)
    }
}
