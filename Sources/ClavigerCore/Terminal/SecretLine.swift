import AgentProtocol
import Sodium

/// A secret as people give it: one line of text.
enum SecretLine {
    /// In bytes.
    static let limit = 64 << 10

    /// Checks what was read: one line of text that is not empty.
    static func secret(_ bytes: inout [UInt8], what: String, from place: String) throws -> Secret {
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        guard !bytes.isEmpty else { throw Problem.emptySecret(what: what, place: place) }
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }), String(validating: bytes, as: UTF8.self) != nil else {
            throw Problem.notOneLine(what: what, place: place)
        }
        return unsafe try Secret(copying: bytes.span.bytes)
    }
}
