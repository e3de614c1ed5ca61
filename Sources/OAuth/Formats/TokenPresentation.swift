/// How a token goes into a request to the service's API, as a text with `{token}` in the place of the token:
/// `Authorization: Bearer {token}` (RFC 6750 section 2.1, the usual one), `X-Auth-Token: {token}`, or `?access_token={token}`
/// for a parameter of the query (section 2.3).
public struct TokenPresentation: RawRepresentable, Codable, Hashable, Sendable {
    public enum Place: Hashable, Sendable {
        case header(name: String, before: String, after: String)
        case query(name: String)
    }

    public let rawValue: String
    public let place: Place

    public static let bearer = TokenPresentation(name: "Authorization", before: "Bearer ")
    /// RFC 9449 section 7.1; the proof is a header of its own.
    public static let dpop = TokenPresentation(name: "Authorization", before: "DPoP ")
    /// The type of tokens that are bound to a key (section 5).
    public static let dpopType = "DPoP"

    private init(name: String, before: String) {
        rawValue = "\(name): \(before){token}"
        place = .header(name: name, before: before, after: "")
    }

    /// - Returns: nil if the token has no place in it, or more than one, or it is no header and no parameter.
    public init?(rawValue text: String) {
        let parts = text.split(separator: "{token}", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else { return nil }
        rawValue = text
        if parts[0].hasPrefix("?") {
            let name = parts[0].dropFirst().dropLast()
            guard parts[0].hasSuffix("="), parts[1].isEmpty, !name.isEmpty, name.utf8.allSatisfy(Self.isWord) else { return nil }
            place = .query(name: String(name))
            return
        }
        guard let colon = parts[0].firstIndex(of: ":") else { return nil }
        let name = String(parts[0][..<colon])
        guard !name.isEmpty, name.utf8.allSatisfy(Self.isWord) else { return nil }
        let before = parts[0][parts[0].index(after: colon)...].drop { $0 == " " }
        place = .header(name: name, before: String(before), after: parts[1].trimmed)
    }

    /// Of a header's or a parameter's name, in characters that need no escape anywhere.
    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}
