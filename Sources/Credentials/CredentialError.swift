public import Access
public import TokenEngine
public import Vault

/// Why a credential stays as it is. The vault and the engine have errors of their own.
public enum CredentialError: Error, Codable, Sendable {
    /// The credential's record holds what this version does not know.
    case newerRecord(name: String)
    /// The policy holds what this version does not know.
    case newerPolicy
    /// The pair to rotate to is the one in use.
    case samePair
    /// Another process has changed the settings that an edit was based on.
    case changedMeanwhile
    /// The settings name a secret parameter or header, and no value was given for it.
    case noValue(name: String)
    case nothingStaged
    case nothingToRollBack
    /// The server says that a token which should be good is not active.
    case inactive
    /// The proof could not be made; the new pair is staged in the vault, the old one still in use.
    case rotationUnfinished(cause: TokenError)
    /// The server was asked for a new secret, and whether it has made one is not known.
    case renewalUnknown(cause: TokenError)
    /// The change is made, and the vault can't be read now to show it.
    case notShown(VaultError)
}

extension CredentialError: AuditedError {
    public var isDone: Bool { if case .notShown = self { true } else { false } }
}
