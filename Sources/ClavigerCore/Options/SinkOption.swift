import AgentProtocol
import ArgumentParser

/// `torq=/run/app/token,format=header,owner=app:web`.
struct SinkOption: ExpressibleByArgument {
    let text: String
    let name: String
    let path: String
    private(set) var format = TokenFormat.raw
    private(set) var owner: String?

    init?(argument: String) {
        text = argument
        guard let equals = argument.firstIndex(of: "=") else { return nil }
        name = String(argument[..<equals])
        var rest = argument[argument.index(after: equals)...]
        while let comma = rest.lastIndex(of: ",") {
            let setting = rest[rest.index(after: comma)...]
            if setting.hasPrefix("format=") {
                guard let format = TokenFormat(word: String(setting.dropFirst(7))) else { return nil }
                self.format = format
            } else if setting.hasPrefix("owner="), setting.count > 6 {
                owner = String(setting.dropFirst(6))
            } else {
                break
            }
            rest = rest[..<comma]
        }
        path = String(rest)
        guard !name.isEmpty, path.hasPrefix("/"), !path.hasSuffix("/") else { return nil }
    }
}
