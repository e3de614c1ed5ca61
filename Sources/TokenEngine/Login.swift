public import FoundationEssentials
public import Sodium

/// A login that a refresh token keeps alive (RFC 6749 section 6). Nothing here is ever erased because a server said
/// no: a login that has ended stays, marked as such, until a person logs in again.
public struct Login: Sendable {
    public var refreshToken: Secret
    /// When the person logged in, or brought the refresh token.
    public var since: Date
    /// When this very refresh token was received.
    public var renewed: Date
    /// Whether the server has been seen to replace the refresh token when it is used.
    public var rotates: Bool
    /// The machine that a rotating refresh token belongs to: two machines with one would end the login.
    public var owner: String
    /// The journal: the refresh token was about to be sent at this time, and what came of it was not stored.
    public var spending: Date?
    /// Since when the server has not taken the refresh token any more.
    public var ended: Date?

    public init(refreshToken: Secret, since: Date, renewed: Date, rotates: Bool = false, owner: String) {
        self.refreshToken = refreshToken
        self.since = since
        self.renewed = renewed
        self.rotates = rotates
        self.owner = owner
    }

    /// The login after a refresh: with the new refresh token where there is one, else with the one it had.
    func renewed(by refreshToken: Secret?, at now: Date, owner: String) -> Login {
        var next = self
        next.spending = nil
        next.ended = nil
        next.owner = owner
        if let refreshToken, !refreshToken.equals(self.refreshToken) {
            next.refreshToken = refreshToken
            next.renewed = now
            next.rotates = true
        }
        return next
    }
}

/// Why a person has to log in.
public enum LoginNeed: Error, Equatable, Sendable {
    /// Nobody has, yet.
    case never
    /// The server does not take the refresh token any more (`invalid_grant`).
    case ended(Date)
    /// It was sent at this time, the answer was lost, and the server does not take it again: it has rotated, and only
    /// the lost answer had the new one.
    case answerLost(Date)
    /// It was sent at this time by a process that died before it could store the answer.
    case interrupted(Date)
}
