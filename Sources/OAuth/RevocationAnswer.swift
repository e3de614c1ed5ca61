public import FoundationEssentials
public import HTTPTypes

/// What a revocation endpoint answered (RFC 7009 section 2.2).
public enum RevocationAnswer: Equatable, Sendable {
    /// The token is dead now. Also a server that never knew it says so.
    case revoked
    /// The server knows the token no more: `invalid_token` or `invalid_grant`. Nothing is left to do.
    case alreadyDead
    /// Tokens of this kind can't be revoked there; it lives until it expires.
    case unsupported
    /// The server said no, and the token lives.
    case refused(OAuthErrorCode)
    /// 408, 429, 5xx, or an error code that says so: the token lives as yet. Seconds, if the server named a time.
    case transient(status: Int, retryAfter: Int?)
    /// An answer that doesn't say what became of the token.
    case unusable

    /// - Parameter now: our time, for a `Retry-After` that is a date where the answer is not dated itself.
    public static func read(status: Int, headers: HTTPFields, body: [UInt8], now: Date) -> RevocationAnswer {
        let answer = ServerAnswer(status: status, headers: headers, body: body, now: now)
        switch answer.refusalByStatus {
        case nil: break
        case .transient(let status, let retryAfter): return .transient(status: status, retryAfter: retryAfter)
        default: return .unusable
        }
        if answer.isSuccess, answer.namedError == nil { return deniesSuccess(answer.body) ? .unusable : .revoked }
        let code = answer.refusedCode
        switch code {
        case .registered("unsupported_token_type"): return .unsupported
        // With another status, the token that is invalid may be the one that the client showed for itself.
        case .invalidToken where answer.isSuccess || status == 400, .invalidGrant where answer.isSuccess || status == 400:
            return .alreadyDead
        case _ where code.isTransient: return .transient(status: status, retryAfter: answer.retryAfter)
        default: return .refused(code)
        }
    }

    /// Some servers answer everything with 200, and say in the body that it was in vain.
    private static func deniesSuccess(_ body: AnswerBody) -> Bool {
        ["ok", "success", "revoked"].contains { body[$0] == .bool(false) }
    }
}
