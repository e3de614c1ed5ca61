/// What there is to ask for, each with one method.
enum AgentResource {
    case token(Substring), list, credential(Substring), rotation(Substring), status, lock, unlock, shutDown

    init?(_ path: Substring) {
        let segments = path.split(separator: "/", omittingEmptySubsequences: false)
        guard segments.first == "", segments.dropFirst().first == "v1" else { return nil }
        let rest = Array(segments.dropFirst(2))
        switch (rest.first, rest.count) {
        case ("tokens", 2): self = .token(rest[1])
        case ("credentials", 1): self = .list
        case ("credentials", 2): self = .credential(rest[1])
        case ("rotations", 2): self = .rotation(rest[1])
        case ("status", 1): self = .status
        case ("lock", 1): self = .lock
        case ("unlock", 1): self = .unlock
        case ("shutdown", 1): self = .shutDown
        default: return nil
        }
    }

    var method: String {
        switch self {
        case .token, .list, .credential, .status: "GET"
        case .rotation, .lock, .unlock, .shutDown: "POST"
        }
    }
}

/// Percent-encoding (RFC 3986 section 2.1).
enum PercentEncoding {
    /// - Returns: nil for what is not encoded as it should be.
    static func bytes(_ text: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2).compactMap { Character(UnicodeScalar($0)).hexDigitValue }
            guard digits.count == 2 else { return nil }
            bytes.append(UInt8(digits[0] << 4 | digits[1]))
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    /// - Returns: nil also for what is no UTF-8.
    static func text(_ text: Substring) -> String? {
        bytes(text).flatMap { String(validating: $0, as: UTF8.self) }
    }
}
