import AgentProtocol
import FoundationEssentials

extension ServedToken {
    /// As a client that reads no JSON wants it.
    func body(_ format: TokenFormat, of name: String, at now: Date) -> [UInt8] {
        if format == .raw { return token }
        let text = format.text(
            .init(
                text: String(decoding: token, as: UTF8.self), type: type, scope: scopes?.joined(separator: " "),
                expires: expires.map(\.wholeSeconds)), of: name, at: now.nextWholeSecond)
        return Array(text.utf8)
    }
}
