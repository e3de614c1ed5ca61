import FoundationEssentials

/// The parts of a PEM file (RFC 7468), which may hold a key and certificates in any order.
enum PEM {
    /// The first private key, with its first and last line.
    static func privateKey(in text: String) -> String? {
        block(in: text) { $0.hasSuffix("PRIVATE KEY") }.map { $0.joined(separator: "\n") + "\n" }
    }

    /// The first certificate, in DER: that of the key, since those that vouch for it come after it.
    static func firstCertificate(in text: String) -> [UInt8]? {
        block(in: text) { $0 == "CERTIFICATE" }
            .flatMap { Data(base64Encoded: $0.dropFirst().dropLast().joined()) }.map(Array.init)
    }

    private static func block(in text: String, _ isWanted: (Substring) -> Bool) -> [Substring]? {
        let lines = text.split { $0.isNewline }.map { $0.trimmingPrefix { $0 == " " } }
        let (begin, dashes) = ("-----BEGIN ", "-----")
        guard
            let first = lines.firstIndex(where: { line in
                line.hasPrefix(begin) && isWanted(line.dropFirst(begin.count).prefix { $0 != "-" })
            }),
            let last = lines[first...].firstIndex(where: { $0.hasPrefix("-----END ") })
        else { return nil }
        return lines[first...last].map { $0.hasPrefix(dashes) ? $0 : $0.prefix { $0 != " " } }
    }
}
