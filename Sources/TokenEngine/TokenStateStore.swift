public import FoundationEssentials
public import Sodium

/// Where credentials are kept, as far as the engine needs to know.
public protocol TokenStateStore: Sendable {
    /// The newest state of a credential, whoever wrote it.
    func credential(_ name: String) async throws -> Credential
    /// Tries to take the right to acquire tokens for a credential, among all processes and tasks.
    /// - Returns: the claim, which ends when nobody refers to it any more; nil while another holds it.
    func tryClaim(_ name: String) async throws -> (any TokenClaim)?
}

/// The right to acquire tokens for one credential, and the only way to store what was acquired.
///
/// The order is a matter of types: a refresh token is in nobody's hands but in a `SendPermit`, which `beginSending` gives
/// after the journal is on the disk, and an answer is stored with the permit that it was sent with.
public protocol TokenClaim: Sendable {
    /// As it was read after the claim was taken.
    var credential: Credential { get }
    /// When the claim ends by itself; nil for one that is held until it is let go, as a lock in the kernel.
    var deadline: Date? { get }
    /// Counts the claims of a credential, so that a store can refuse what an older one sends late; nil where the kernel
    /// makes sure that there is one holder.
    var epoch: UInt64? { get }

    /// The newest state. Another program may have changed what people set.
    func reread() async throws -> Credential
    /// Takes room for the answer, and writes down that the stored refresh token is about to be sent. When it returns, both
    /// are on the disk; if it throws, nothing may be sent.
    /// - Parameter sending: nil for a request that spends no stored refresh token, such as the exchange of a code.
    func beginSending(_ sending: Login.Sending?) async throws -> SendPermit
    /// Stores an answer by lineage, in the room that was taken for it. Can be tried again: the room is kept until it succeeds.
    /// - Returns: false if the refresh token that was spent is not the stored one any more; nothing has changed then.
    func store(_ acquired: AcquiredTokens, _ permit: SendPermit) async throws -> Bool
    /// Stores a login that a person has made, in the room that was taken for it.
    /// - Parameter token: nil where only the refresh token of its answer was of use.
    func store(_ login: Login?, with token: CachedToken?, _ permit: SendPermit) async throws
    /// Is told that the sendings that were begun are over and what they brought is stored, before anybody learns of it: a
    /// store may write that down.
    /// - Parameter failure: why there is no token; nil if there is one.
    /// - Throws: where the end can't be written down; a token is not handed out then.
    func conclude(_ failure: (any Error)?) async throws
    /// Stores what was learned, or acquired without a refresh token.
    func update(_ change: @escaping @Sendable (inout TokenState) -> Void) async throws
}

extension TokenClaim {
    public var deadline: Date? { nil }
    public var epoch: UInt64? { nil }
    public func conclude(_ failure: (any Error)?) async throws {}
}

/// That the store is ready for an answer: room is taken, and the journal written.
public struct SendPermit: Sendable {
    /// What may be sent now; nil where no stored refresh token is spent.
    public let refreshToken: Secret?

    /// For stores alone: made when the journal is on the disk.
    public init(refreshToken: Secret?) { self.refreshToken = refreshToken }
}
