public import FoundationEssentials

/// That a credential hands out no token, because its key pair or a token of it may be in wrong hands. A person sets it, and a
/// person takes it away.
public struct CredentialBlock: Codable, Equatable, Sendable {
    public var since: Date
    /// What the person said that it is for. Everybody who may have tokens of the credential is told.
    public var reason: String?

    public init(since: Date, reason: String? = nil) {
        self.since = since
        self.reason = reason
    }
}

extension Credential {
    /// - Throws: `TokenError.blocked`.
    func refuseIfBlocked() throws(TokenError) {
        if let block = configuration.block { throw .blocked(block) }
    }
}

extension TokenError {
    /// The block that keeps a caller from a token: the credential's own, or that of the credential whose token it exchanges.
    public var block: CredentialBlock? {
        switch self {
        case .blocked(let block): block
        case .noSubject(.failed(_, let cause)): cause.block
        default: nil
        }
    }
}
