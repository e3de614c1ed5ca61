public import FoundationEssentials
public import HTTPTypes
public import Sodium

/// What a token endpoint granted (RFC 6749 section 5.1).
public struct TokenSet: Sendable {
    public var accessToken: Secret
    /// As the server wrote it; `Bearer` where it wrote nothing.
    public var tokenType: String
    /// Seconds from the moment the request was sent; nil where the server does not say.
    public var expiresIn: Int?
    public var scopes: [String]?
    public var refreshToken: Secret?
    /// All other members as JSON, or nil: they may hold further tokens, so they are kept like one.
    public var extras: Secret?
}

/// Why an answer is no token. No text of the server's is carried along, except an error code that is registered.
public enum TokenRefusal: Error, Equatable, Sendable {
    /// The server said no (RFC 6749 section 5.2).
    case oauth(OAuthErrorCode)
    /// 408, 429 or 5xx: worth another try, after as many seconds if the server said so.
    case transient(status: Int, retryAfter: Int?)
    /// 3xx, which is never followed: it would carry the secret elsewhere.
    case redirected(status: Int)
    /// An answer that no OAuth server should give.
    case unusable(reason: String)
    /// The pages of a secret could not be locked.
    case memory
}

/// An error code of the OAuth registry (RFC 6749 section 11.4), or the fact that it was another.
public enum OAuthErrorCode: Hashable, Sendable {
    case registered(String)
    case unregistered(status: Int)

    public static let invalidClient = OAuthErrorCode.registered("invalid_client")
    public static let invalidGrant = OAuthErrorCode.registered("invalid_grant")

    private static let known: Set<String> = [
        "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
        "invalid_scope", "access_denied", "unsupported_response_type", "server_error", "temporarily_unavailable",
        "unsupported_token_type", "invalid_token", "insufficient_scope", "invalid_target", "authorization_pending",
        "slow_down", "expired_token", "interaction_required", "login_required", "consent_required",
        "account_selection_required", "invalid_request_uri", "invalid_request_object", "request_not_supported",
        "request_uri_not_supported", "registration_not_supported",
    ]

    /// What servers say instead of the registered words: GitHub and Slack.
    private static let synonyms = [
        "incorrect_client_credentials": "invalid_client", "bad_client_secret": "invalid_client",
        "invalid_client_id": "invalid_client", "bad_verification_code": "invalid_grant", "bad_refresh_token": "invalid_grant",
        "invalid_code": "invalid_grant", "invalid_refresh_token": "invalid_grant",
    ]

    init(_ code: String?, status: Int) {
        let code = code.map { Self.synonyms[$0] ?? $0 }
        if let code, Self.known.contains(code) {
            self = .registered(code)
        } else if status == 401 {
            // Only a wrong client is answered so by a token endpoint (RFC 6749 section 5.2).
            self = .invalidClient
        } else {
            self = .unregistered(status: status)
        }
    }
}

/// What a token endpoint's answer holds. The refresh token stands beside the result: where a server replaces refresh tokens,
/// it is all that keeps the login alive, whatever is wrong with the rest of the answer.
public struct TokenAnswer: Sendable {
    public var refreshToken: Secret?
    public var result: Result<TokenSet, TokenRefusal>
    /// When the server says that it answered (RFC 9110 section 6.6.1).
    public var date: Date?
}

/// Reads the answer of a token endpoint: strict where a mistake would cost, lenient where servers are known to be loose.
public enum TokenResponse {
    /// Reads an answer, its refresh token before anything else.
    /// - Parameters:
    ///   - isWhole: false if the connection ended before the body did.
    ///   - now: our time, for a `Retry-After` that is a date where the answer is not dated itself.
    public static func read(
        status: Int, headers: HTTPFields, body: [UInt8], isWhole: Bool = true, now: Date
    ) -> TokenAnswer {
        do throws(TokenRefusal) {
            let tokens = try parse(status: status, body: body, retryAfter: headers[.retryAfter], now: now)
            return TokenAnswer(refreshToken: tokens.refreshToken, result: .success(tokens))
        } catch {
            return TokenAnswer(refreshToken: nil, result: .failure(error))
        }
    }

    /// - Parameters:
    ///   - retryAfter: the header of that name, if any.
    ///   - now: for a `Retry-After` that is a date.
    /// - Throws: `TokenRefusal`.
    public static func parse(status: Int, body: [UInt8], retryAfter: String?, now: Date) throws(TokenRefusal) -> TokenSet {
        switch status {
        case 200..<300:
            return try tokenSet(body)
        case 300..<400:
            throw .redirected(status: status)
        case 408, 429, 500..<600:
            throw .transient(status: status, retryAfter: retryAfter.flatMap { RetryAfter.seconds($0, now: now) })
        case 400..<500:
            throw .oauth(errorCode(body, status: status))
        default:
            throw .unusable(reason: "the status \(status)")
        }
    }

    private static func errorCode(_ body: [UInt8], status: Int) -> OAuthErrorCode {
        OAuthErrorCode(JSONValue(parsing: body)?.object?["error"]?.string, status: status)
    }

    private static func tokenSet(_ body: [UInt8]) throws(TokenRefusal) -> TokenSet {
        guard !body.isEmpty else { throw .unusable(reason: "an empty answer") }
        guard let members = JSONValue(parsing: body)?.object else { throw .unusable(reason: "something that is no JSON object") }
        if let code = members["error"]?.string, members["access_token"] == nil {
            // Some servers refuse with the status 200.
            throw .oauth(OAuthErrorCode(code, status: 200))
        }
        guard let access = members["access_token"]?.string, !access.isEmpty else { throw .unusable(reason: "no access token") }
        let type = try tokenType(members["token_type"])
        let known: Set<String> = ["access_token", "token_type", "expires_in", "scope", "refresh_token"]
        let extras = members.filter { !known.contains($0.key) }
        return TokenSet(
            accessToken: try token(access, "access token"),
            tokenType: type,
            expiresIn: try lifetime(members["expires_in"]),
            scopes: scopes(members["scope"]),
            refreshToken: try refreshToken(members["refresh_token"]),
            extras: extras.isEmpty ? nil : try secret(JSONValue.object(extras).encoded()))
    }

    /// A token is what RFC 6749 appendix A.12 calls VSCHAR, less the space: anything else could break out of a header.
    private static func token(_ text: String, _ what: String) throws(TokenRefusal) -> Secret {
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .unusable(reason: "an \(what) with characters that no token may have")
        }
        return try secret(text)
    }

    private static func secret(_ text: String) throws(TokenRefusal) -> Secret {
        do throws(SodiumError) {
            return try Secret(utf8: text)
        } catch {
            throw .memory
        }
    }

    private static func refreshToken(_ value: JSONValue?) throws(TokenRefusal) -> Secret? {
        guard let text = value?.string, !text.isEmpty else { return nil }
        return try token(text, "refresh token")
    }

    /// Servers write the type in any case, or a word of their own; all of these are sent as `Bearer`. Those that need a
    /// proof with each request would be refused by the API, so they are refused here.
    private static func tokenType(_ value: JSONValue?) throws(TokenRefusal) -> String {
        guard let type = value?.string, !type.isEmpty else { return "Bearer" }
        if ["dpop", "mac", "pop"].contains(type.lowercased()) {
            throw .unusable(reason: "a token that needs a proof with every request (\(type.lowercased()))")
        }
        guard type.utf8.count <= 64, type.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .unusable(reason: "a token type that is no word")
        }
        return type
    }

    /// A whole number of seconds, also as a string (IoT-X, older Azure). "3600abc" is refused: half a number is no number.
    private static func lifetime(_ value: JSONValue?) throws(TokenRefusal) -> Int? {
        let tenYears = 315_360_000
        let seconds: Int?
        switch value {
        case nil, .null: return nil
        case .integer(let number): seconds = number
        case .number(let number): seconds = number.isFinite ? Int(min(max(number, -1), Double(tenYears))) : nil
        case .string(let text): seconds = text.utf8.allSatisfy { (48...57).contains($0) } ? Int(text) : nil
        default: seconds = nil
        }
        guard let seconds, seconds >= 0 else { throw .unusable(reason: "a lifetime (expires_in) that is no number of seconds") }
        return min(seconds, tenYears)
    }

    private static func scopes(_ value: JSONValue?) -> [String]? {
        switch value {
        case .string(let text): text.split(separator: " ").map(String.init)
        case .array(let values): values.compactMap(\.string)
        default: nil
        }
    }
}
