public import AgentProtocol
public import FoundationEssentials
import OAuth
public import Sodium
public import TokenEngine

/// JSON as the agent speaks it: times are RFC 3339 in UTC.
enum AgentJSON {
    static func encoder() -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }

    static func decoder() -> JSONDecoder {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return decoder
    }
}

/// A token as the agent hands it out, with the member names of RFC 6749 section 5.1.
struct TokenDocument: Codable {
    var accessToken: String
    var tokenType: String
    /// Seconds from now.
    var expiresIn: Int?
    var expiresAt: Date?
    var obtainedAt: Date
    var scope: String?
    /// How the token goes to the API; missing for `Authorization: Bearer`.
    var presentation: TokenPresentation?
    /// What was asked for besides.
    var fields: JSONValue?
    /// The proof of possession for the request that was named.
    var proof: String?

    enum CodingKeys: String, CodingKey {
        case scope, presentation, fields
        case proof = "dpop_proof"
        case accessToken = "access_token"
        case tokenType = "token_type"
        case expiresIn = "expires_in"
        case expiresAt = "expires_at"
        case obtainedAt = "obtained_at"
    }

    func token(access: RequestedAccess) throws -> CachedToken {
        var token = CachedToken(
            access: access, token: try Secret(utf8: accessToken), type: tokenType,
            scopes: scope.map { $0.split(separator: " ").map(String.init) }, sent: obtainedAt, expires: expiresAt,
            extras: try fields.map { try Secret(utf8: $0.encoded()) })
        token.presentation = presentation ?? .bearer
        token.proof = try proof.map { try Secret(utf8: $0) }
        return token
    }
}

extension TokenFormat {
    /// - Parameter name: the credential's.
    /// - Throws: `Problem` where a token of this kind can't be had in this form.
    public func text(_ token: CachedToken, of name: String, at now: Date) throws -> String {
        try text(
            Token(
                text: token.token.revealed(), type: token.type, scope: token.scopes?.joined(separator: " "),
                expires: token.expires.map(\.wholeSeconds), place: .init(token.presentation), proof: token.proof?.revealed()),
            of: name, at: now.wholeSeconds)
    }
}

extension TokenFormat.Place {
    init(_ presentation: TokenPresentation) {
        self =
            switch presentation.place {
            case .header(let name, let before, let after): .header(name: name, before: before, after: after)
            case .query(let name): .query(name: name)
            }
    }
}

extension Date {
    /// Seconds since 1970; a fraction is dropped.
    public var wholeSeconds: Int { Self.bounded(timeIntervalSince1970.rounded(.down)) }
    /// The same rounded up: what is left until another time is not overstated by it.
    var nextWholeSecond: Int { Self.bounded(timeIntervalSince1970.rounded(.up)) }

    /// Within the years 1 to 9999, which RFC 3339 can write: the holder of the vault key may have stored any number.
    private static func bounded(_ seconds: Double) -> Int { Int(min(max(seconds, -62_135_596_800), 253_402_300_799)) }
}

/// Why an agent did not do what it was asked for, as it travels (RFC 9457).
struct ProblemDocument: Codable {
    /// A word of `ProblemCode`; agents of earlier versions send none.
    var code: String?
    var title: String
    var hint: String?
    /// The status of the HTTP answer, and the exit status of a command (sysexits(3)).
    var status: Int
    var exit: Int32

    init(_ problem: Problem) {
        (code, title, hint) = (problem.code.word, problem.title, problem.hint?.text)
        (status, exit) = (problem.code.status, problem.code.exit)
    }

    var problem: Problem {
        Problem(title, hint: hint.map(Hint.text), ProblemCode(word: code, status: status, exit: exit))
    }
}

/// What an agent says of itself to anybody who may ask it.
public struct AgentStatus: Codable, Equatable, Sendable {
    public var locked: Bool
    /// The vault's absolute path.
    public var vault: String
    public var pid: Int32
    public var since: Date
    /// When it will lock by itself, if ever.
    public var locksAt: Date?
    /// What it could not keep fresh; for its own user and root, while it is unlocked.
    public var failures: [RefreshFailure]?

    enum CodingKeys: String, CodingKey {
        case locked, vault, pid, since, failures
        case locksAt = "locks_at"
    }
}

/// Something that an agent tries to keep fresh, and can't at the moment.
public struct RefreshFailure: Codable, Equatable, Sendable {
    public var credential: String
    /// What went wrong, and what to do, in words.
    public var title: String
    public var hint: String?
    public var since: Date
    /// Whether trying again will not help.
    public var needsPerson: Bool

    enum CodingKeys: String, CodingKey {
        case credential, title, hint, since
        case needsPerson = "needs_person"
    }
}

/// What opens an agent's vault, and for how long.
public struct UnlockRequest: Codable, Sendable {
    /// One of these two.
    var passphrase: String?
    /// The 32 bytes of a key file, in base64.
    var key: Data?
    /// Seconds until it locks by itself, and seconds without a request until it does.
    var ttl: Double?
    var idle: Double?

    public init(passphrase: Secret, ttl: Double?, idle: Double?) {
        self.passphrase = passphrase.revealed()
        self.ttl = ttl
        self.idle = idle
    }

    public init(keyFile: Secret, ttl: Double?, idle: Double?) {
        key = keyFile.withBytes { Data($0.array()) }
        self.ttl = ttl
        self.idle = idle
    }
}
