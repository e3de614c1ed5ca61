import FoundationEssentials
import Linux
import Sodium

/// Messages over a socket pair: four bytes of length (big-endian), then JSON.
final class MessageSocket: Sendable {
    /// Longer than any key in PEM with its certificates.
    static let limit = 4 << 20

    private let file: File

    init(_ file: File) { self.file = file }

    /// Writes one message. Blocks.
    /// - Throws: `FileError`, if the other side is gone.
    func send(_ message: some Encodable) throws {
        var body = Array(try JSONEncoder().encode(message))
        defer { body.wipe() }
        var bytes = (0..<4).map { UInt8(truncatingIfNeeded: body.count >> (24 - 8 * $0)) } + body
        defer { bytes.wipe() }
        try file.write(bytes)
    }

    /// Reads one message. Blocks.
    /// - Returns: nil if the other side is gone, or has sent what is no such message.
    func receive<T: Decodable>(_ type: T.Type) -> T? {
        guard let head = bytes(4) else { return nil }
        let length = head.reduce(0) { $0 << 8 | Int($1) }
        guard length <= Self.limit, var body = bytes(length) else { return nil }
        defer { body.wipe() }
        return try? JSONDecoder().decode(type, from: Data(body))
    }

    private func bytes(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        guard let read = try? file.readToEnd(into: &bytes), read == count else {
            bytes.wipe()
            return nil
        }
        return bytes
    }

    /// Says that nothing more will be asked.
    func finish() { file.shutDownWriting() }

    /// Blocks until the other side has ended.
    func waitForEnd() { while bytes(1) != nil {} }
}
