public import FoundationEssentials
public import OAuth
public import Sodium

/// A credential to be stored.
public struct NewCredential: Sendable {
    public var provider: String?
    public var settings: ClientSettings
    /// The values of the settings' secret parameters and headers.
    public var secretFields: SecretFields
    public var client: ClientCredentials
    /// A refresh token that a person already holds.
    public var refreshToken: Secret?
    /// When the server ends the secret; nil for never, or where nobody says.
    public var secretExpires: Date?
    /// Where the client is managed, if it registered itself.
    public var registration: ClientRegistration?

    public init(
        provider: String?, settings: ClientSettings, secretFields: SecretFields = SecretFields(), client: ClientCredentials,
        refreshToken: Secret? = nil
    ) {
        self.provider = provider
        self.settings = settings
        self.secretFields = secretFields
        self.client = client
        self.refreshToken = refreshToken
    }
}

/// Everything that can be done with credentials, by whoever has the vault's key. Nothing here returns a client secret, a
/// refresh token or a password, either.
public protocol CredentialManager: TokenSource {
    func show(_ name: String) async throws -> CredentialView
    /// Stores a credential, after it has been proven by a token.
    func add(_ name: String, _ credential: NewCredential, verify: Bool) async throws -> CredentialView
    /// Replaces the key pair: stage, prove, promote, in that order; the old pair is in use until the new one is proven.
    func rotate(_ name: String, _ rotation: Rotation, verify: Bool) async throws -> CredentialView
    /// Stores what a person's login has brought, a code, exchanged for tokens.
    func logIn(_ name: String, with grant: AuthorizationGrant) async throws -> CredentialView
    /// The request that a browser takes to the server to log in, handed in there first where the settings say so (RFC 9126).
    /// - Throws: `TokenError.noSuchEndpoint` where the settings name no address to log in at.
    func authorizationRequest(_ name: String, redirectURI: String) async throws -> AuthorizationRequest
    /// Asks for codes for a login on another device (RFC 8628 section 3.1).
    func deviceCodes(_ name: String) async throws -> DeviceCodes
    func revoke(_ name: String) async throws -> RevocationReport
    /// Proves that a credential still works.
    func check(_ name: String) async throws -> CheckResult
    /// Changes the settings, and the values of secret parameters and headers. Where that changes what is sent for a token, it is proven first.
    func edit(_ name: String, _ edit: SettingsEdit, verify: Bool) async throws -> CredentialView
    func rename(_ name: String, to newName: String) async throws
    /// - Parameter deregister: whether the client ends at its server first (RFC 7592 section 2.3); it stays if the server refuses.
    func remove(_ name: String, deregister: Bool) async throws
    /// Hands out no token until `unblock`; everything else can be done with the credential all the same.
    /// - Parameter reason: for everybody who may have tokens of it.
    func block(_ name: String, reason: String?) async throws -> CredentialView
    func unblock(_ name: String) async throws -> CredentialView
}

extension CredentialManager {
    public func remove(_ name: String) async throws { try await remove(name, deregister: false) }

    public func credential(_ name: String) async throws -> ListedCredential { .readable(try await show(name)) }
}
