public import FoundationEssentials
import OAuth

/// How a credential stands. The words are those of `--json` and of the agent's answers.
public enum CredentialState: String, Codable, Sendable {
    case ready
    case blocked
    /// Somebody is storing a new key pair at this moment, as a running agent knows.
    case beingRotated = "being rotated"
    case keyPairRefused = "key pair refused"
    case rotationUnfinished = "rotation unfinished"
    case refreshRefused = "refresh refused"
    case loginNeeded = "login needed"
}

extension CredentialView {
    /// How it stands, and since when, where that is known of what is not ready.
    public func state(at now: Date) -> (state: CredentialState, since: Date?) {
        if let blockedSince { return (.blocked, blockedSince) }
        if let rotatingSince { return (.beingRotated, rotatingSince) }
        return stateOfClient(at: now)
    }

    /// How it would stand if nobody had blocked it.
    public func stateOfClient(at now: Date) -> (state: CredentialState, since: Date?) {
        if let refusedSince { return (.keyPairRefused, refusedSince) }
        if settings.grant.needsLogin, !isLoggedIn(at: now) { return (.loginNeeded, loginEnded) }
        if let refreshRefusedSince { return (.refreshRefused, refreshRefusedSince) }
        if let stagedKeyPairSince { return (.rotationUnfinished, stagedKeyPairSince) }
        return (.ready, nil)
    }

    /// When the login ends, if that is so soon that a person should know: in its last quarter, and in its last week.
    public func loginEnd(soonAt now: Date) -> Date? {
        guard loginEnded == nil, let since = loggedInSince, let end = loginExpires else { return nil }
        return Self.isSoon(end, since, now) ? end : nil
    }

    /// When the refresh token ends if nobody uses it, in the same way.
    public func idleEnd(soonAt now: Date) -> Date? {
        guard loginEnded == nil, let since = loggedInSince, let end = refreshBy else { return nil }
        return Self.isSoon(end, max(since, ownToken?.obtained ?? since), now) ? end : nil
    }

    /// When the server ends the client secret, in the same way.
    public func keyPairEnd(soonAt now: Date) -> Date? {
        guard let end = keyPairExpires else { return nil }
        return Self.isSoon(end, keyPairSince, now) ? end : nil
    }

    private static func isSoon(_ end: Date, _ since: Date, _ now: Date) -> Bool {
        end.timeIntervalSince(now) < min(end.timeIntervalSince(since) / 4, 7 * 86_400)
    }

    /// A login without a refresh token is one for as long as its access token lives.
    private func isLoggedIn(at now: Date) -> Bool {
        if loggedInSince != nil { return loginEnded == nil }
        return tokens.contains { $0.expires.map { $0 > now } ?? true }
    }

    /// The token for the credential's own scopes and audiences.
    public var ownToken: Token? {
        tokens.first { $0.requestedScopes.isEmpty && $0.requestedAudiences.isEmpty }
    }
}
