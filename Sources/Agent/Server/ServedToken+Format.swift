import AgentProtocol
import FoundationEssentials

extension ServedToken {
    /// As a client that reads no JSON wants it.
    /// - Throws: `Problem` where it can't be had in this form.
    func body(_ format: TokenFormat, of name: String, at now: Date) throws -> [UInt8] {
        if format == .raw { return token }
        let text = try format.text(
            .init(
                text: String(decoding: token, as: UTF8.self), type: type, scope: scopes?.joined(separator: " "),
                expires: expires.map(\.wholeSeconds), place: .init(presentation)), of: name, at: now.nextWholeSecond)
        return Array(text.utf8)
    }
}
