public import FoundationEssentials
public import OAuth
public import Sodium
public import TokenEngine

/// A credential to be stored.
public struct NewCredential: Sendable {
    public var provider: String?
    public var settings: ClientSettings
    public var client: ClientIdentity
    /// A refresh token that a person already holds.
    public var refreshToken: Secret?

    public init(provider: String?, settings: ClientSettings, client: ClientIdentity, refreshToken: Secret? = nil) {
        self.provider = provider
        self.settings = settings
        self.client = client
        self.refreshToken = refreshToken
    }
}

/// Which key pair a rotation goes to.
public enum Rotation: Sendable {
    case to(ClientIdentity)
    /// The pair that an unfinished rotation left in the vault.
    case staged
    /// The pair before the last rotation.
    case previous
}

/// What became of the tokens of a credential that was revoked.
public struct RevocationReport: Sendable, Equatable {
    /// How many the server has revoked.
    public var revoked = 0
    /// How many were only forgotten, since the server has no revocation endpoint.
    public var forgotten = 0
    /// Whether the server has ended the login with them.
    public var endedLogin = false
    /// Whether the login was only forgotten, since the server has no revocation endpoint.
    public var forgotLogin = false
    /// How many the server has not revoked although it can; they stay stored for another try.
    public var kept = 0
    /// Whether the login is one of them.
    public var keptLogin = false
    /// Until when the last of those that live on stays valid, as far as they say.
    public var validUntil: Date?
    /// Whether one of those that live on never says when it ends.
    public var neverEnds = false
    /// Why the first of the kept ones was not revoked.
    public var failure: TokenFailure?

    public init() {}
}

/// How a credential was proven.
public enum CheckResult: String, Sendable {
    /// The server granted a token.
    case granted
    /// The server says that the stored token is active (RFC 7662).
    case active
    /// A token is stored that can neither be renewed nor asked about: only its API can tell.
    case kept
}

/// Why the agent refused; the vault and the engine have their own words.
public enum AgentError: Error, Sendable {
    /// The record holds what this version does not know.
    case newerRecord(name: String)
    /// The pair to rotate to is the one in use.
    case samePair
    /// Another process has changed the settings that an edit was based on.
    case changedMeanwhile
    case nothingStaged
    case nothingToRollBack
    /// The server says that a token which should be good is not active.
    case inactive
    /// The proof could not be made; the new pair is staged in the vault, the old one still in use.
    case rotationUnfinished(cause: TokenFailure)
}

/// What may be asked without the vault's key. The commands work the same with an agent and without.
/// Nothing here returns a client secret, a refresh token or a password.
public protocol TokenAgent: Sendable {
    /// A valid access token, cached or new.
    func token(_ name: String, _ ask: TokenAsk) async throws -> CachedToken
    /// Every credential that the caller may know of, in the order of the names.
    func list() async throws -> [CredentialSummary]
    func show(_ name: String) async throws -> CredentialSummary
}

/// Everything that can be done with credentials, by whoever has the vault's key. Nothing here returns a client secret, a
/// refresh token or a password, either.
public protocol CredentialAgent: TokenAgent {
    /// Stores a credential, after it has been proven by a token.
    func add(_ name: String, _ credential: NewCredential, verify: Bool) async throws -> CredentialSummary
    /// Replaces the key pair: stage, prove, promote, in that order; the old pair is in use until the new one is proven.
    func rotate(_ name: String, _ rotation: Rotation, verify: Bool) async throws -> CredentialSummary
    /// Stores what a person's login has brought, a code, exchanged for tokens.
    func logIn(_ name: String, with grant: AuthorizationGrant) async throws -> CredentialSummary
    /// Asks for codes for a login on another device (RFC 8628 section 3.1).
    func deviceCodes(_ name: String) async throws -> DeviceCodes
    func revoke(_ name: String) async throws -> RevocationReport
    /// Proves that a credential still works.
    func check(_ name: String) async throws -> CheckResult
    /// Changes what is not secret. Where that changes what is sent for a token, it is proven first.
    func edit(_ name: String, _ edit: SettingsEdit, verify: Bool) async throws -> CredentialSummary
    func rename(_ name: String, to newName: String) async throws
    func remove(_ name: String) async throws
}
