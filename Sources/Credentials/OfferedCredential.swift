public import FoundationEssentials
public import OAuth

/// A credential as others than its keeper see it, whom a rule lets have tokens of it: how it stands, whom to ask, and what is
/// needed to use its tokens at the API. Nothing of the client, its user or its requests: API keys stand in parameters and headers.
public struct OfferedCredential: Sendable, Equatable, Codable {
    public struct Token: Sendable, Equatable, Codable {
        /// Missing where nobody knows.
        public var expires: Date?
    }

    public var name: String
    public var state: CredentialState
    /// Since when it is in a state that is not `ready`.
    public var since: Date?
    /// What it is blocked for, if it is and somebody has said so.
    public var reason: String?
    /// The user who can mend it: whose agent this is.
    public var keeper: String
    /// What may be requested.
    public var scopes: [String]
    /// The token that there is for the credential's own scopes.
    public var token: Token?
    /// The address below which the service's API lies.
    public var apiURL: EndpointURL?
    /// The certificates to trust there instead of the system's, in PEM.
    public var certificateAuthority: String?
    /// How a token goes there; nil for `Authorization: Bearer`.
    public var presentation: TokenPresentation?

    enum CodingKeys: String, CodingKey {
        case name, state, since, reason, keeper, scopes, token, presentation
        case apiURL = "api_url"
        case certificateAuthority = "certificate_authority"
    }

    /// - Parameter scopes: those of the rule; nil for whatever the credential's own request says.
    public init(_ view: CredentialView, scopes: [String]?, keeper: String, at now: Date) {
        name = view.name
        (state, since) = view.state(at: now)
        reason = view.blockedReason
        self.keeper = keeper
        self.scopes = scopes ?? view.settings.scopes
        token = view.ownToken.map { Token(expires: $0.expires) }
        (apiURL, certificateAuthority) = (view.settings.apiURL, view.settings.certificateAuthority)
        presentation = view.settings.presentation ?? (view.settings.dpop == true ? .dpop : nil)
    }
}
