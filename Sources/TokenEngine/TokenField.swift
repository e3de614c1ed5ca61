import FoundationEssentials
import OAuth
public import Sodium

/// What came with a token beside it: `instance_url`, `account_id`, an ID token.
public struct TokenField: Codable, Hashable, Sendable {
    /// A member of the answer, or a JSON pointer (RFC 6901) for one within.
    public let name: String

    /// The ID token of OpenID Connect, by its usual name wherever it stands.
    public static let idToken = TokenField("id_token")

    public init(_ name: String) { self.name = name }

    private var pointer: JSONPointer? { name.hasPrefix("/") ? JSONPointer(rawValue: name) : JSONPointer(rawValue: "/" + name) }

    /// Parts of names whose values let somebody in.
    private static let secretWords = [
        "token", "secret", "password", "passwd", "assertion", "private", "api_key", "apikey", "cookie", "session",
    ]

    private static func isSecret(_ name: String) -> Bool {
        let name = name.lowercased()
        return secretWords.contains { name.contains($0) }
    }

    /// Whether a value is, or holds, something that lets somebody in.
    private static func isSecret(_ value: JSONValue) -> Bool {
        switch value {
        // What is signed as a JWT is shown to somebody who believes it.
        case .string(let text): text.hasPrefix("eyJ") && text.split(separator: ".").count >= 3
        case .array(let elements): elements.contains(where: isSecret)
        case .object(let members): members.contains { isSecret($0.key) || isSecret($0.value) }
        case .null, .bool, .integer, .number: false
        }
    }

    /// The value as a text: a word as it is, everything else as JSON.
    /// - Parameter extras: what came with the token.
    public func text(in extras: Secret?) throws(FieldRefusal) -> String {
        let value = try value(in: Self.document(extras))
        return value.string ?? value.encoded()
    }

    private func value(in document: JSONValue) throws(FieldRefusal) -> JSONValue {
        guard let pointer else { throw .noField(name) }
        let isIDToken = self == .idToken
        guard isIDToken || !name.split(separator: "/").contains(where: { Self.isSecret(String($0)) }) else {
            throw .secret(name)
        }
        switch document[pointer] {
        case nil, .null, .string(""): throw isIDToken ? .noIDToken : .noField(name)
        case let value?:
            guard isIDToken || !Self.isSecret(value) else { throw .secret(name) }
            return value
        }
    }

    /// Only this of all that came with a token, under its own name.
    func alone(in extras: Secret?, format: AnswerFormat?) throws -> Secret {
        var document = Self.document(extras)
        if self == .idToken, let place = format?.idToken { document = .object(["id_token": document[place] ?? .null]) }
        let value = try value(in: document)
        var alone = JSONValue.object([:])
        if let pointer { alone.put(value, at: pointer) }
        return try Secret(utf8: alone.encoded())
    }

    private static func document(_ extras: Secret?) -> JSONValue {
        extras.flatMap { JSONValue(parsing: Array($0.revealed().utf8)) } ?? .object([:])
    }
}
