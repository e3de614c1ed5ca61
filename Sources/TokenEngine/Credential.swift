public import FoundationEssentials
public import OAuth
public import Sodium

/// A named OAuth client: what people set, and what the engine has acquired with it.
///
/// The two are separate types so that a change of one can't overwrite the other. An edit holds no refresh token; a refresh
/// holds no client secret that it could write back.
public struct Credential: Sendable {
    public var configuration: CredentialConfiguration
    public var state: TokenState

    public init(_ configuration: CredentialConfiguration, _ state: TokenState = TokenState()) {
        self.configuration = configuration
        self.state = state
    }

    /// What nobody is shown: everything that lets somebody in beyond the access tokens.
    public var secrets: [Secret] {
        let pairs = [configuration.keyPair, configuration.previousKeyPair, configuration.stagedKeyPair].compactMap { $0?.client }
        let fields = configuration.secretFields
        return pairs.flatMap { [$0.secret, $0.password] }.compactMap { $0 } + (fields.parameters + fields.headers).map(\.value)
            + [state.login?.refreshToken, configuration.dpopKey, configuration.registration?.token].compactMap { $0 }
    }
}

/// A client id and secret, and since when they are stored.
public struct KeyPair: Sendable {
    public var client: ClientCredentials
    public var since: Date
    /// When the server ends the secret; nil for never, or where it does not say.
    public var expires: Date?

    public init(client: ClientCredentials, since: Date, expires: Date? = nil) {
        self.client = client
        self.since = since
        self.expires = expires
    }
}

/// What people change of a credential: its settings and its secrets.
public struct CredentialConfiguration: Sendable {
    /// The name of the catalogue's provider that it was made from.
    public var provider: String?
    public var settings: ClientSettings
    /// The values of the settings' secret parameters and headers. They belong to no pair: a rotation keeps them.
    public var secretFields: SecretFields
    /// The key that tokens are bound to (`DPoPKey`), where the settings say so. It belongs to no pair, either: refresh tokens of
    /// public clients are bound to it (RFC 9449 section 5).
    public var dpopKey: Secret?
    /// Where the client is managed, if it registered itself (RFC 7592).
    public var registration: ClientRegistration?
    public var keyPair: KeyPair
    /// The pair before the last rotation, for a rollback.
    public var previousKeyPair: KeyPair?
    /// A pair whose rotation was begun: typed in and safe, but not yet proven.
    public var stagedKeyPair: KeyPair?
    /// Nil where tokens are handed out.
    public var block: CredentialBlock?

    public init(
        provider: String?, settings: ClientSettings, secretFields: SecretFields = SecretFields(), keyPair: KeyPair
    ) {
        self.provider = provider
        self.settings = settings
        self.secretFields = secretFields
        self.keyPair = keyPair
    }
}
