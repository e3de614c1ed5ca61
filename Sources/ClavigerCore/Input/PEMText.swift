import AgentProtocol
import FoundationEssentials

/// Keys and certificates in PEM (RFC 7468), as people have them: with `\n` or spaces in the place of line ends, indented, with
/// the carriage returns of another system, or after a block of curve parameters. What is meant is certain, and written anew.
enum PEMText {
    struct Block {
        var label: String
        /// Base64, without white space; or a key with header lines of its own, as it stands there.
        var content: String

        var text: String {
            let whole = content.contains(":") ? content + "\n" : Self.wrapped(content)
            return "-----BEGIN \(label)-----\n" + whole + "-----END \(label)-----\n"
        }

        private static func wrapped(_ content: String) -> String {
            let content = Array(content.utf8)
            let lines = stride(from: 0, to: content.count, by: 64).map { start in
                String(decoding: content[start..<min(start + 64, content.count)], as: UTF8.self)
            }
            return lines.map { $0 + "\n" }.joined()
        }

        var isKey: Bool { label.hasSuffix("PRIVATE KEY") }
    }

    /// The blocks of a text in their order; those that are neither key nor certificate are left out.
    /// - Parameter place: for the problem's words.
    /// - Throws: `Problem` for a block that is cut off or damaged.
    static func blocks(in text: String, from place: String) throws -> [Block] {
        var rest = text.replacing("\\r", with: "\r").replacing("\\n", with: "\n")[...]
        var blocks: [Block] = []
        while let start = rest.firstRange(of: "-----BEGIN ") {
            rest = rest[start.upperBound...]
            guard let dashes = rest.firstRange(of: "-----") else { throw damaged(place) }
            let label = String(rest[..<dashes.lowerBound])
            guard let end = rest.firstRange(of: "-----END \(label)-----") else { throw damaged(place) }
            let content = rest[dashes.upperBound..<end.lowerBound]
            rest = rest[end.upperBound...]
            guard label.hasSuffix("PRIVATE KEY") || label == "CERTIFICATE" else { continue }
            // The way of encryption from before PKCS #8 (RFC 1421 section 4.6.1.1).
            guard !content.contains(":") else {
                // The empty line between them and the key is a part of it.
                let lines = content.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).dropFirst()
                    .map { $0.drop { $0 == " " || $0 == "\t" } }
                let last = lines.lastIndex { !$0.isEmpty } ?? lines.startIndex
                blocks.append(Block(label: label, content: lines[...last].joined(separator: "\n")))
                continue
            }
            let base64 = content.filter { !$0.isWhitespace }
            guard let bytes = Data(base64Encoded: base64), !bytes.isEmpty else { throw damaged(place) }
            blocks.append(Block(label: label, content: base64))
        }
        return blocks
    }

    private static func damaged(_ place: String) -> Problem {
        Problem("what stands in PEM in \(Terminal.plain(place)) is cut off or damaged", .usage)
    }
}
