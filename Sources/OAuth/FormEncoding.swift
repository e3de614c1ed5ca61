/// `application/x-www-form-urlencoded` (WHATWG URL section 5, RFC 6749 appendix B).
public enum FormEncoding {
    /// One name or value: letters, digits and `*-._` stay, a space becomes `+`, all else is percent-encoded UTF-8.
    public static func encode(_ text: String) -> String {
        var encoded: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "*"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"):
                encoded.append(byte)
            case UInt8(ascii: " "):
                encoded.append(UInt8(ascii: "+"))
            default:
                encoded.append(UInt8(ascii: "%"))
                encoded += [byte >> 4, byte & 15].map { $0 < 10 ? 48 + $0 : 55 + $0 }
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    /// Pairs in their order.
    public static func encode(_ parameters: [Parameter]) -> String {
        parameters.map { encode($0.name) + "=" + encode($0.value) }.joined(separator: "&")
    }

    /// Pairs for the query of an address: a space is `%20`, which every server takes for one there.
    public static func query(_ parameters: [Parameter]) -> String {
        encode(parameters).replacing("+", with: "%20")
    }
}

/// A request parameter or header: a name and a value. The same name may come more than once.
public struct Parameter: Hashable, Sendable, Codable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}
