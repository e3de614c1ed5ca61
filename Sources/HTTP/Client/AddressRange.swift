import Glibc

/// An address of IPv4 or IPv6, or all that begin as one does (RFC 4632 section 3.1), with or without a port.
struct AddressRange {
    private let bytes: [UInt8]
    private let prefix: Int
    private let port: Int?

    /// Reads `10.1.2.3`, `10.0.0.0/8`, `fd00::/8`, `[fd00::1]:8443` and `[fd00::]/8`; nil for a name.
    init?(_ text: String) {
        var address = text[...]
        var rest = Substring()
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            address = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
        } else if let mark = text.firstIndex(of: "/") ?? (text.filter { $0 == ":" }.count == 1 ? text.firstIndex(of: ":") : nil) {
            (address, rest) = (text[..<mark], text[mark...])
        }
        guard let bytes = Self.bytes(String(address)) else { return nil }
        self.bytes = bytes
        switch (rest.first, Int(rest.dropFirst())) {
        case (nil, _): (prefix, port) = (bytes.count * 8, nil)
        case ("/", let length?) where (0...bytes.count * 8).contains(length): (prefix, port) = (length, nil)
        case (":", let number?) where (1...65535).contains(number): (prefix, port) = (bytes.count * 8, number)
        default: return nil
        }
    }

    private static func bytes(_ text: String) -> [UInt8]? {
        var address = [UInt8](repeating: 0, count: 16)
        if unsafe inet_pton(AF_INET, text, &address) == 1 { return Array(address[..<4]) }
        return unsafe inet_pton(AF_INET6, text, &address) == 1 ? address : nil
    }

    /// - Parameter host: an address; no name is in any range.
    func contains(_ host: String, port: Int) -> Bool {
        guard self.port ?? port == port, let other = Self.bytes(host), other.count == bytes.count else { return false }
        let whole = prefix / 8
        guard bytes[..<whole] == other[..<whole] else { return false }
        guard prefix % 8 != 0 else { return true }
        let mask = ~UInt8(0) << UInt8(8 - prefix % 8)
        return bytes[whole] & mask == other[whole] & mask
    }
}
