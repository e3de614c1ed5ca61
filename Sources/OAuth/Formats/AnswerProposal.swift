/// What an answer of a server that nobody knows looks like, and the format that fits it.
public struct AnswerProposal: Sendable, Equatable {
    /// The members of an `AnswerFormat`, each as `member=value`; empty where the answer is as RFC 6749 says, or holds no token.
    public private(set) var members: [String] = []
    /// The answer's members with their kinds in the place of their values, a line each.
    public let shape: [String]

    /// Where a value stands, by the name of its member.
    private struct Leaf {
        let pointer: String
        /// In lower case, of letters and digits alone.
        let name: String
        let value: JSONValue
    }

    /// - Returns: nil where the body is neither JSON nor a form.
    public init?(body: [UInt8]) {
        guard let json = AnswerBody(body).json else { return nil }
        var leaves: [Leaf] = []
        Self.collect(json, "", "", &leaves)
        shape = leaves.map { "\($0.pointer.isEmpty ? "/" : $0.pointer): \(Self.kind($0.value))" }
        guard json.member("access_token")?.string == nil, let token = Self.token(leaves) else { return }
        members.append("access_token=\(token.pointer)")
        if let leaf = leaves.first(where: { $0.name.contains("refresh") && $0.name.contains("token") && $0.value.string != nil })
        {
            members.append("refresh_token=\(leaf.pointer)")
        }
        if let life = Self.life(leaves) { members.append(life) }
        if let success = Self.success(leaves) { members.append(success) }
        members.removeAll { ["refresh_token=/refresh_token", "expires_in=/expires_in", "expires_at=/expires_at"].contains($0) }
    }

    private static func collect(_ value: JSONValue, _ pointer: String, _ name: String, _ leaves: inout [Leaf]) {
        switch value {
        case .object(let members):
            for (name, inner) in members.sorted(by: { $0.key < $1.key }) {
                collect(inner, pointer + JSONPointer(member: name).rawValue, name, &leaves)
            }
        case .array(let elements) where !elements.isEmpty && elements.count <= 8:
            for (index, inner) in elements.enumerated() { collect(inner, pointer + "/\(index)", name, &leaves) }
        default:
            leaves.append(Leaf(pointer: pointer, name: name.lowercased().filter { $0.isLetter || $0.isNumber }, value: value))
        }
    }

    private static func kind(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool: "true or false"
        case .integer, .number: "a number"
        case .string(""): "an empty text"
        case .string(let text): "a text of \(text.count) characters"
        case .array(let elements): "an array of \(elements.count)"
        case .object: "an object"
        }
    }

    private static func token(_ leaves: [Leaf]) -> Leaf? {
        let candidates = leaves.filter { leaf in
            let text = leaf.value.string ?? ""
            return text.utf8.count >= 4 && text.utf8.allSatisfy { (0x21...0x7E).contains($0) } && leaf.name.contains("token")
                && !["refresh", "type", "id", "csrf"].contains { leaf.name.hasPrefix($0) || leaf.name.hasSuffix($0) }
        }
        return candidates.first { $0.name == "accesstoken" } ?? candidates.first { $0.name == "token" } ?? candidates.first
    }

    private static func life(_ leaves: [Leaf]) -> String? {
        let leaf = leaves.first { leaf in
            ["expire", "lifetime", "until", "ttl"].contains { leaf.name.contains($0) } && !leaf.name.contains("refresh")
                && TokenLifetime.kind(of: leaf.value) != nil
        }
        return leaf.map { "\(TokenLifetime.kind(of: $0.value) ?? "")=\($0.pointer)" }
    }

    private static func success(_ leaves: [Leaf]) -> String? {
        let leaf = leaves.first { leaf in
            switch leaf.value {
            case .bool(true): ["ok", "success", "succeeded"].contains(leaf.name)
            case .integer(0): ["code", "errcode", "errorcode", "retcode", "status"].contains(leaf.name)
            default: false
            }
        }
        return leaf.flatMap { leaf in leaf.value.plainText.map { "success=\(leaf.pointer)=\($0)" } }
    }
}
