public import FoundationEssentials
public import OAuth
import TokenEngine

/// A credential without its secrets, as its keeper sees it.
public struct CredentialView: Sendable, Equatable, Codable {
    public struct Token: Sendable, Equatable, Codable {
        /// Empty for the credential's own scopes.
        public var requestedScopes: [String]
        /// Empty for the credential's own audiences.
        public var requestedAudiences: [String]
        public var type: String
        public var scopes: [String]?
        public var obtained: Date
        public var expires: Date?
        /// When an API rejected it.
        public var rejected: Date?

        enum CodingKeys: String, CodingKey {
            case type, scopes, obtained, expires, rejected
            case requestedScopes = "requested_scopes"
            case requestedAudiences = "requested_audiences"
        }
    }

    public var name: String
    public var provider: String?
    public var clientID: String
    public var settings: ClientSettings
    public var keyPairSince: Date
    /// When the server ends the client secret; nil for never, or where nobody says.
    public var keyPairExpires: Date?
    public var previousKeyPairSince: Date?
    public var stagedKeyPairSince: Date?
    public var refusedSince: Date?
    /// Where the client is managed that registered itself.
    public var registrationURL: EndpointURL?
    public var tokens: [Token]
    public var username: String?
    /// Since when somebody is logged in; nil where nobody is, or no login is needed.
    public var loggedInSince: Date?
    /// Since when the server has not taken the refresh token any more.
    public var loginEnded: Date?
    /// When the login ends, whatever is done; nil where nobody says.
    public var loginExpires: Date?
    /// Until when the refresh token must be used, or it ends; nil where nobody says.
    public var refreshBy: Date?
    /// When a refresh was begun whose answer was never stored.
    public var refreshUnanswered: Date?
    public var refreshTokenRotates: Bool?
    /// Since when the server has refused the refresh without saying why.
    public var refreshRefusedSince: Date?
    /// Since when no token is handed out, because somebody has blocked it, and what for.
    public var blockedSince: Date?
    public var blockedReason: String?
    /// Since when somebody is storing a new key pair; known to a running agent alone.
    public var rotatingSince: Date?

    enum CodingKeys: String, CodingKey {
        case name, provider, settings, tokens, username
        case clientID = "client_id"
        case keyPairSince = "key_pair_since"
        case keyPairExpires = "key_pair_expires"
        case registrationURL = "registration_url"
        case previousKeyPairSince = "previous_key_pair_since"
        case stagedKeyPairSince = "staged_key_pair_since"
        case refusedSince = "refused_since"
        case loggedInSince = "logged_in_since"
        case loginEnded = "login_ended"
        case loginExpires = "login_expires"
        case refreshBy = "refresh_by"
        case refreshUnanswered = "refresh_unanswered"
        case refreshTokenRotates = "refresh_token_rotates"
        case refreshRefusedSince = "refresh_refused_since"
        case rotatingSince = "rotating_since"
        case blockedSince = "blocked_since"
        case blockedReason = "blocked_reason"
    }

    init(name: String, _ credential: Credential) {
        let (configuration, state) = (credential.configuration, credential.state)
        self.name = name
        provider = configuration.provider
        clientID = configuration.keyPair.client.id
        settings = configuration.settings
        keyPairSince = configuration.keyPair.since
        keyPairExpires = configuration.keyPair.expires
        registrationURL = configuration.registration?.url
        previousKeyPairSince = configuration.previousKeyPair?.since
        stagedKeyPairSince = configuration.stagedKeyPair?.since
        username = configuration.keyPair.client.username
        (blockedSince, blockedReason) = (configuration.block?.since, configuration.block?.reason)
        if let refusal = state.refusal {
            if refusal.cause == .client { refusedSince = refusal.since } else { refreshRefusedSince = refusal.since }
        }
        loggedInSince = state.login?.since
        loginEnded = state.login?.ended
        (loginExpires, refreshBy) = (state.login?.expires, state.login?.refreshBy)
        refreshUnanswered = state.login?.sending?.began
        refreshTokenRotates = state.login.map { $0.rotation == .rotates }
        tokens = state.tokens.map {
            Token(
                requestedScopes: $0.access.scopes, requestedAudiences: $0.access.audiences, type: $0.type, scopes: $0.scopes,
                obtained: $0.sent, expires: $0.expires, rejected: $0.rejected)
        }
    }
}
