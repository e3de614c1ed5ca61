import FoundationEssentials
public import OAuth

/// What a caller wants.
public struct TokenQuery: Codable, Hashable, Sendable {
    public enum Mode: String, Codable, Hashable, Sendable {
        /// A cached token if it is good enough.
        case cached
        /// A new one in any case.
        case fresh
        /// An API answered 401 to the caller's token.
        case rejected
    }

    public var access: RequestedAccess
    public var mode: Mode
    /// Which token was rejected, where the caller says so: news of any but the stored one costs nothing. Without it, the
    /// stored one is meant.
    public var rejectedToken: TokenHash?
    /// The least remaining lifetime in seconds.
    public var minimumLifetime: Int?
    /// What is wanted besides the token.
    public var field: TokenField?
    /// The request to an API that a proof of possession is wanted for, with the token.
    public var proof: ProofRequest?
    /// Use a rotating refresh token although it belongs to another machine, which loses the login by it.
    public var takesOver = false
    /// Send a refresh token although the server may have replaced it, or has refused it: a person has decided so.
    public var resends = false
    /// How many new tokens a minute callers may have acquired although the stored one is good.
    public var forcedRenewalsPerMinute = Self.ownersForcedRenewals
    public static let ownersForcedRenewals = 10
    /// Each costs a call of the server's, and some providers count them.
    public static let othersForcedRenewals = 1

    public init(access: RequestedAccess = RequestedAccess(), mode: Mode = .cached, minimumLifetime: Int? = nil) {
        self.access = access
        self.mode = mode
        self.minimumLifetime = minimumLifetime
    }
}
