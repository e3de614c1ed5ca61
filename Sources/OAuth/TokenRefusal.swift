/// Why an answer is no token. No text of the server's is carried along, except an error code that is registered.
public enum TokenRefusal: Error, Equatable, Sendable {
    /// The server said no (RFC 6749 section 5.2).
    case oauth(OAuthErrorCode)
    /// 408, 429, 5xx, or an error code that says so: worth another try, after as many seconds if the server named a time.
    case transient(status: Int, retryAfter: Int?)
    /// 3xx, which is never followed: it would carry the secret elsewhere.
    case redirected(status: Int)
    /// An answer that no OAuth server should give. `reason` is a short noun phrase of ours.
    case unusable(reason: String)
    /// The pages of a secret could not be locked.
    case memory
}

/// An error code of the OAuth registry (RFC 6749 section 11.4), or the fact that it was another.
public enum OAuthErrorCode: Codable, Hashable, Sendable {
    case registered(String)
    case unregistered(status: Int)

    public static let invalidClient = OAuthErrorCode.registered("invalid_client")
    public static let invalidGrant = OAuthErrorCode.registered("invalid_grant")
    public static let invalidToken = OAuthErrorCode.registered("invalid_token")

    private static let known: Set<String> = [
        "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
        "invalid_scope", "access_denied", "unsupported_response_type", "server_error", "temporarily_unavailable",
        "unsupported_token_type", "invalid_token", "insufficient_scope", "invalid_target", "authorization_pending",
        "slow_down", "expired_token", "interaction_required", "login_required", "consent_required",
        "account_selection_required", "invalid_request_uri", "invalid_request_object", "request_not_supported",
        "request_uri_not_supported", "registration_not_supported", "use_dpop_nonce", "invalid_dpop_proof",
    ]

    /// What servers say instead of the registered words: GitHub, Slack, HubSpot, Salesforce, Google.
    private static let synonyms = [
        "incorrect_client_credentials": "invalid_client", "bad_client_secret": "invalid_client",
        "bad_client_id": "invalid_client", "invalid_client_id": "invalid_client",
        "bad_verification_code": "invalid_grant", "bad_refresh_token": "invalid_grant", "bad_auth_code": "invalid_grant",
        "invalid_code": "invalid_grant", "invalid_refresh_token": "invalid_grant",
        "ratelimited": "temporarily_unavailable", "rate_limited": "temporarily_unavailable",
        "rate_limit_exceeded": "temporarily_unavailable", "too_many_requests": "temporarily_unavailable",
        "service_unavailable": "temporarily_unavailable", "internal_failure": "server_error",
        "internal_error": "server_error", "internal_server_error": "server_error",
    ]

    /// The code that `text` begins with, in any case and whatever comes after it: `invalid_grant: Token is expired`.
    /// - Returns: nil if it is no registered one, and none that is known to stand for one.
    init?(word text: String) {
        let isLetter = { (byte: UInt8) in (97...122).contains(byte) || (48...57).contains(byte) || byte == 95 }
        let start = text.lowercased().utf8.drop { !isLetter($0) }
        let word = String(decoding: start.prefix(while: isLetter), as: UTF8.self)
        let code = Self.synonyms[word] ?? word
        guard Self.known.contains(code) else { return nil }
        self = .registered(code)
    }

    init(_ code: String?, status: Int) {
        self = code.flatMap(OAuthErrorCode.init(word:)) ?? .unregistered(status: status)
    }

    /// Whether the same request may be answered otherwise later (RFC 6749 section 4.1.2.1, RFC 8628 section 3.5).
    var isTransient: Bool {
        [.registered("temporarily_unavailable"), .registered("server_error"), .slowDown].contains(self)
    }

    /// The server wants a proof with its nonce in it, and has done nothing (RFC 9449 section 8).
    public static let useDPoPNonce = OAuthErrorCode.registered("use_dpop_nonce")
    static let slowDown = OAuthErrorCode.registered("slow_down")
}
