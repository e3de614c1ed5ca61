/// Where things stand in a token endpoint's answer, and what its words mean. What is nil is as RFC 6749 section 5 says.
public struct AnswerFormat: Codable, Hashable, Sendable {
    public var accessToken: JSONPointer?
    public var refreshToken: JSONPointer?
    public var tokenType: JSONPointer?
    public var scope: JSONPointer?
    public var idToken: JSONPointer?
    /// Seconds.
    public var expiresIn: JSONPointer?
    /// A time: seconds or milliseconds since 1970, or RFC 3339.
    public var expiresAt: JSONPointer?
    /// The word that says what is wrong.
    public var error: JSONPointer?
    /// What an answer with the status 200 must say to be no refusal.
    public var success: AnswerCondition?
    /// Words by which the server says that a login has ended.
    public var loginEnded: [RefusalWord]?
    /// Words by which it says that it does not take the client.
    public var clientRefused: [RefusalWord]?
    /// Words by which it says that the same request may go through later.
    public var tryAgain: [RefusalWord]?

    public init() {}

    enum CodingKeys: String, CodingKey, CaseIterable {
        case scope, error, success
        case accessToken = "access_token"
        case refreshToken = "refresh_token"
        case tokenType = "token_type"
        case idToken = "id_token"
        case expiresIn = "expires_in"
        case expiresAt = "expires_at"
        case loginEnded = "login_ended"
        case clientRefused = "client_refused"
        case tryAgain = "try_again"
    }
}

/// What must stand at a place of an answer, as a text: `/code=0,200`.
public struct AnswerCondition: RawRepresentable, Codable, Hashable, Sendable {
    public let rawValue: String
    private let pointer: JSONPointer
    private let values: [String]

    /// - Returns: nil if that is no pointer, an equals sign and one value or more.
    public init?(rawValue text: String) {
        guard let equals = text.firstIndex(of: "="), equals > text.startIndex,
            let pointer = JSONPointer(rawValue: String(text[..<equals]))
        else { return nil }
        rawValue = text
        self.pointer = pointer
        values = text[text.index(after: equals)...].split(separator: ",").map(String.init)
        guard !values.isEmpty else { return nil }
    }

    func holds(in json: JSONValue) -> Bool {
        json[pointer]?.plainText.map { values.contains($0) } ?? false
    }
}

/// What a server writes into an answer that is no token, as a text: a whole value, which may come after a status
/// (`403 unauthorized_client`), or a status alone.
public struct RefusalWord: RawRepresentable, Codable, Hashable, Sendable {
    public let rawValue: String
    private let status: Int?
    private let word: String?

    /// - Returns: nil if it is empty.
    public init?(rawValue text: String) {
        let trimmed = text.trimmed
        guard !trimmed.isEmpty else { return nil }
        rawValue = text
        let parts = trimmed.split(separator: " ", maxSplits: 1).map(String.init)
        if parts[0].utf8.count == 3, let status = Int(parts[0]), (200..<600).contains(status) {
            self.status = status
            word = parts.count > 1 ? parts[1].trimmed.lowercased() : nil
        } else {
            status = nil
            word = trimmed.lowercased()
        }
    }

    /// - Parameter words: all that the answer says, in lower case.
    func matches(status: Int, words: Set<String>) -> Bool {
        (self.status == nil || self.status == status) && word.map(words.contains) ?? true
    }
}

extension JSONValue {
    /// A word, a number or a truth value as a text.
    var plainText: String? {
        switch self {
        case .string(let text): text
        case .integer(let number): String(number)
        case .bool(let flag): flag ? "true" : "false"
        case .number(let number): "\(number)"
        case .null, .array, .object: nil
        }
    }
}

extension String {
    /// Without white space at its ends.
    var trimmed: String {
        let scalars = unicodeScalars.drop { $0.properties.isWhitespace }
        guard let last = scalars.lastIndex(where: { !$0.properties.isWhitespace }) else { return "" }
        return String(scalars[...last])
    }
}
