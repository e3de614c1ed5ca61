public import FoundationEssentials
import OAuth
public import Sodium

/// A login that a refresh token keeps alive (RFC 6749 section 6). Nothing here is ever erased because a server said
/// no: a login that has ended stays, marked as such, until a person logs in again.
public struct Login: Sendable {
    /// What was seen of the server when a refresh token was used.
    public enum Rotation: Sendable {
        case unknown
        /// It answered without a new one.
        case keeps
        /// It answered with a new one.
        case rotates
    }

    /// The journal: that a refresh token was about to be sent, and that what came of it is not stored.
    public struct Sending: Equatable, Sendable {
        /// When it was sent for the first time.
        public var began: Date
        /// When it was sent last.
        public var last: Date
        /// The boot of the machine (`/proc/sys/kernel/random/boot_id`): a process of another boot is gone.
        public var boot: String?
        /// Whether it was sent once more although the server may have replaced it.
        public var isResend: Bool

        /// - Parameter last: nil for a token that was sent once.
        public init(began: Date, last: Date? = nil, boot: String?, isResend: Bool = false) {
            self.began = began
            self.last = last ?? began
            self.boot = boot
            self.isResend = isResend
        }
    }

    public var refreshToken: Secret
    /// When the person logged in, or brought the refresh token.
    public var since: Date
    /// When this very refresh token was received.
    public var renewed: Date
    public var rotation: Rotation
    /// The machine that a rotating refresh token belongs to: two machines with one would end the login.
    public var owner: String
    public var sending: Sending?
    /// Until when the refresh token must be used, or it ends; nil where nobody says.
    public var refreshBy: Date?
    /// When the login ends, whatever is done; nil where nobody says.
    public var expires: Date?
    /// Since when the server has not taken the refresh token any more.
    public var ended: Date?

    public init(refreshToken: Secret, since: Date, renewed: Date, rotation: Rotation = .unknown, owner: String) {
        self.refreshToken = refreshToken
        self.since = since
        self.renewed = renewed
        self.rotation = rotation
        self.owner = owner
    }

    /// Whether using the refresh token may make the server replace it. What was seen counts more than what a catalogue says;
    /// where nothing is known, the careful answer is yes.
    func mayRotate(by settings: ClientSettings) -> Bool {
        switch rotation {
        case .rotates: true
        case .keeps: settings.refreshTokenRotates ?? false
        case .unknown: settings.refreshTokenRotates ?? true
        }
    }

    /// Takes over what an answer says of the login's life, or what is known of all logins at this server.
    /// - Parameter isNew: whether the refresh token came with the answer. What was said of another does not hold for it.
    mutating func note(_ life: LoginLife, isNew: Bool, at now: Date) {
        if let idle = life.idle {
            refreshBy = now.addingTimeInterval(Double(idle))
        } else if isNew {
            refreshBy = nil
        }
        if let rest = life.rest {
            expires = now.addingTimeInterval(Double(rest))
        } else if let total = life.total, expires == nil {
            expires = since.addingTimeInterval(Double(total))
        }
    }

    /// The login after a refresh: with the new refresh token where there is one, else with the one it had (rule 7).
    func renewed(by refreshToken: Secret?, at now: Date, owner: String) -> Login {
        var next = self
        next.sending = nil
        next.ended = nil
        next.owner = owner
        if let refreshToken, !refreshToken.equals(self.refreshToken) {
            next.refreshToken = refreshToken
            next.renewed = now
            next.rotation = .rotates
        } else if rotation == .unknown {
            next.rotation = .keeps
        }
        return next
    }
}

/// Why a person has to log in, or to decide.
public enum LoginNeed: Error, Codable, Equatable, Sendable {
    /// Nobody has, yet.
    case never
    /// The server does not take the refresh token any more (`invalid_grant`).
    case ended(Date)
    /// It was sent at this time, the answer was lost, and the server does not take it again: it has rotated, and only
    /// the lost answer had the new one.
    case answerLost(Date)
    /// It was sent at this time by a process that died before it could store the answer.
    case interrupted(Date)
    /// It was sent at this time, the answer was lost, and sending it again is left to a person.
    case undecided(Date)
    /// There is no refresh token, and the access token has ended, or was rejected by the API at this time.
    case notRenewable(rejected: Date?)
}

/// The machine, as far as a rotating refresh token needs to know.
public struct Host: Sendable {
    /// Written down as a login's owner.
    public var id: String
    /// What this machine was called before: a login of this owner is its own, and is adopted.
    public var former: Set<String>
    /// This start of the machine; nil where that is not known.
    public var boot: String?

    public init(id: String, former: Set<String> = [], boot: String? = nil) {
        self.id = id
        self.former = former
        self.boot = boot
    }

    func owns(_ login: Login) -> Bool { login.owner == id || former.contains(login.owner) }
}
