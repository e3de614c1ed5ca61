/// What an agent has answered.
public struct AgentAnswer: Sendable {
    public var status: Int
    public var body: [UInt8]

    /// Puts an answer together from what arrives (RFC 9112): a head with Content-Length, then the body. Interim answers, by
    /// which the agent says that it is at work (RFC 9110 section 15.2), are dropped.
    struct Reader {
        /// Bytes; a list of 100,000 credentials is no longer.
        static let limit = 64 << 20

        private var bytes: [UInt8] = []
        private var head: (end: Int, status: Int, length: Int)?

        /// Whether any of the final answer has arrived.
        var hasBegun: Bool { !bytes.isEmpty }

        /// - Returns: the answer, as soon as it is whole.
        mutating func read(_ more: ArraySlice<UInt8>) throws(AgentSocket.Failure) -> AgentAnswer? {
            guard bytes.count + more.count <= Self.limit else { throw .broken }
            bytes += more
            while head == nil {
                guard let end = Self.headEnd(bytes) else { return nil }
                guard let status = Self.status(bytes) else { throw .broken }
                if status < 200 {
                    bytes.removeFirst(end)
                    continue
                }
                // RFC 9110 section 8.6: an answer with the status 204 has no body, and does not say so.
                guard let length = status == 204 ? 0 : Self.contentLength(bytes[..<end]) else { throw .broken }
                head = (end, status, length)
            }
            guard let head, bytes.count >= head.end + head.length else { return nil }
            return AgentAnswer(status: head.status, body: Array(bytes[head.end..<(head.end + head.length)]))
        }

        /// Where the body begins.
        private static func headEnd(_ bytes: [UInt8]) -> Int? {
            guard bytes.count >= 4 else { return nil }
            for index in 0...(bytes.count - 4)
            where bytes[index] == 13 && bytes[index + 1] == 10 && bytes[index + 2] == 13 && bytes[index + 3] == 10 {
                return index + 4
            }
            return nil
        }

        /// The number in `HTTP/1.1 200 OK`.
        private static func status(_ bytes: [UInt8]) -> Int? {
            guard bytes.count > 12, bytes.starts(with: Array("HTTP/1.1 ".utf8)) else { return nil }
            return number(bytes[9..<12])
        }

        private static func contentLength(_ head: ArraySlice<UInt8>) -> Int? {
            let name = Array("content-length:".utf8)
            for line in head.split(separator: 10) where line.count > name.count {
                let matches = zip(line, name).allSatisfy { $0 | 0x20 == $1 || $0 == $1 }
                if matches { return number(line.dropFirst(name.count).filter { $0 != 32 && $0 != 13 }[...]) }
            }
            return nil
        }

        private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
            guard !digits.isEmpty, digits.count < 10, digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
            return digits.reduce(0) { $0 * 10 + Int($1 - 48) }
        }
    }
}
