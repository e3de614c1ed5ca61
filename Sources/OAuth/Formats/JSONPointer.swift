/// Where a value stands in a JSON document (RFC 6901).
public struct JSONPointer: RawRepresentable, Codable, Hashable, Sendable {
    public let rawValue: String
    /// Its reference tokens, unescaped (section 4).
    let tokens: [String]

    /// - Parameter text: empty for the whole document, or beginning with a slash (section 3).
    /// - Returns: nil if it is no pointer.
    public init?(rawValue text: String) {
        guard text.isEmpty || text.hasPrefix("/") else { return nil }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        guard parts.allSatisfy(Self.isEscaped) else { return nil }
        rawValue = text
        tokens = parts.map { String($0).replacing("~1", with: "/").replacing("~0", with: "~") }
    }

    /// The pointer to a member of the outermost object.
    init(member: String) {
        tokens = [member]
        rawValue = "/" + member.replacing("~", with: "~0").replacing("/", with: "~1")
    }

    private static func isEscaped(_ token: Substring) -> Bool {
        token.split(separator: "~", omittingEmptySubsequences: false).dropFirst()
            .allSatisfy { $0.hasPrefix("0") || $0.hasPrefix("1") }
    }

    /// The name of the innermost member.
    var member: String? { tokens.last }
}

extension JSONValue {
    /// The value that a pointer leads to (RFC 6901 section 4).
    public subscript(pointer: JSONPointer) -> JSONValue? {
        pointer.tokens.reduce(Optional(self)) { value, token in
            switch value {
            case .object(let members): return members[token]
            case .array(let elements):
                guard let index = Int(token), String(index) == token, elements.indices.contains(index) else { return nil }
                return elements[index]
            default: return nil
            }
        }
    }

    /// The same without what a pointer leads to; an element of an array becomes null, so that the others keep their places.
    func removing(_ pointer: JSONPointer) -> JSONValue { removing(pointer.tokens[...]) ?? .null }

    /// - Returns: nil where nothing is left.
    private func removing(_ tokens: ArraySlice<String>) -> JSONValue? {
        guard let name = tokens.first else { return nil }
        switch self {
        case .object(var members):
            guard let inner = members[name] else { return self }
            members[name] = inner.removing(tokens.dropFirst())
            return .object(members)
        case .array(var elements):
            guard let index = Int(name), elements.indices.contains(index) else { return self }
            elements[index] = elements[index].removing(tokens.dropFirst()) ?? .null
            return .array(elements)
        default:
            return self
        }
    }

    /// Puts a value where a pointer leads, with objects on the way there. What comes twice becomes an array.
    public mutating func put(_ value: JSONValue, at pointer: JSONPointer) { put(value, at: pointer.tokens[...]) }

    private mutating func put(_ value: JSONValue, at tokens: ArraySlice<String>) {
        guard let name = tokens.first else { return }
        var members = object ?? [:]
        switch (tokens.count, members[name]) {
        case (1, nil): members[name] = value
        case (1, .array(let elements)): members[name] = .array(elements + [value])
        case (1, let earlier?): members[name] = .array([earlier, value])
        case (_, let inner):
            var inner = inner ?? .object([:])
            inner.put(value, at: tokens.dropFirst())
            members[name] = inner
        }
        self = .object(members)
    }
}
