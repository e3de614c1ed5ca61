/// How long a server still accepts a refresh token that it has already replaced.
///
/// An answer that is lost on its way takes the new refresh token with it. Within this time the old one can be sent again and
/// brings another new one; after it, a server with reuse detection ends the login (RFC 9700 section 4.14.2).
public enum RefreshTokenGrace: Codable, Hashable, Sendable {
    /// From the moment the server replaced it.
    case seconds(Int)
    /// Until the new refresh token, or an access token that came with it, is used for the first time.
    case untilSuccessorIsUsed

    private static let word = "until_successor_is_used"

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let seconds = try? container.decode(Int.self), (0...31_536_000).contains(seconds) {
            self = .seconds(seconds)
        } else if (try? container.decode(String.self)) == Self.word {
            self = .untilSuccessorIsUsed
        } else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "a number of seconds, or \"\(Self.word)\"")
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .seconds(let seconds): try container.encode(seconds)
        case .untilSuccessorIsUsed: try container.encode(Self.word)
        }
    }
}

/// Whether a refresh token whose answer was lost, and that the server may have replaced, is sent once more without a person.
public enum ResendPolicy: String, Codable, Hashable, Sendable, CaseIterable {
    /// Once, when the stored access token has ended: if the server has replaced it, the login is lost already.
    case once
    /// Only where a person says so.
    case never
}
