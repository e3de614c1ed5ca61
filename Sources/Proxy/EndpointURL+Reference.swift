import OAuth

extension EndpointURL {
    /// The address that a reference in an answer leads to, where this is the address that was asked (RFC 3986 section 5.2). No
    /// byte of it is decoded. Its fragment is left out.
    /// - Returns: nil for what is no address that may see a token.
    func resolving(_ reference: String) -> EndpointURL? {
        // What came as U+FFFD has lost the byte that it was.
        guard !reference.unicodeScalars.contains("\u{FFFD}") else { return nil }
        let text = Self.escaped(reference).prefix { $0 != "#" }
        let origin = "\(scheme)://\(authority)"
        let absolute =
            if Self.scheme(of: text) != nil {
                String(text)
            } else if text.hasPrefix("//") {
                scheme + ":" + text
            } else if text.isEmpty {
                origin + requestTarget
            } else if text.hasPrefix("/") {
                origin + text
            } else if text.hasPrefix("?") {
                origin + path + text
            } else {
                origin + path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex) + "/" + text
            }
        guard let url = try? EndpointURL(absolute) else { return nil }
        return try? EndpointURL(
            "\(url.scheme)://\(url.authority)" + Self.withoutDotSegments(url.path) + (url.query.map { "?" + $0 } ?? ""))
    }

    /// What an address can't contain is percent-encoded, as browsers do it with a `Location` that has such bytes.
    private static func escaped(_ text: String) -> String {
        text.utf8.reduce(into: "") { result, byte in
            guard !(0x21...0x7E).contains(byte) else { return result.unicodeScalars.append(UnicodeScalar(byte)) }
            result += "%" + (byte < 0x10 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
    }

    /// RFC 3986 section 5.2.4.
    private static func withoutDotSegments(_ path: String) -> String {
        var kept: [Substring] = []
        let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        for segment in segments {
            switch segment {
            case ".": break
            case "..": _ = kept.popLast()
            default: kept.append(segment)
            }
        }
        if segments.last == "." || segments.last == ".." { kept.append("") }
        return "/" + kept.joined(separator: "/")
    }
}
