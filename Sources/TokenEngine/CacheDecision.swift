public import FoundationEssentials
import OAuth

/// When a cached token will do.
public enum Freshness {
    /// A token from further in the future than this was bought under a wrong clock: its expiry can't be believed.
    static let toleratedSkew = 60.0

    /// How long before its end a token is renewed: a minute, less for tokens that live less than ten.
    static func margin(lifetime: Double) -> Double {
        min(60, lifetime / 10)
    }

    /// Good enough to be handed out without asking the server.
    public static func isGood(sent: Date, expires: Date?, for ask: TokenQuery, at now: Date) -> Bool {
        guard sent.timeIntervalSince(now) <= toleratedSkew else { return false }
        guard let expires else { return true }
        let lifetime = expires.timeIntervalSince(sent)
        let wanted = ask.minimumLifetime.map(Double.init) ?? 0
        return expires.timeIntervalSince(now) > max(margin(lifetime: lifetime), wanted)
    }

    /// Still valid, and better than nothing when the server can't be asked.
    static func isTolerable(sent: Date, expires: Date?, for ask: TokenQuery, at now: Date) -> Bool {
        guard sent.timeIntervalSince(now) <= toleratedSkew else { return false }
        guard let expires else { return true }
        return expires.timeIntervalSince(now) > Double(ask.minimumLifetime ?? 0)
    }
}

/// What follows for an ask from what is stored, before anything is sent. Pure.
struct CacheDecision {
    enum Verdict: Sendable {
        case serve(CachedToken)
        /// The caller says that an API has rejected this very token: write that down, then decide anew.
        case reject(CachedToken)
        case acquire
        case fail(TokenError)
    }

    let ask: TokenQuery
    /// The token that was stored when the caller came: whoever wants a new one is content with one that has come since.
    var seen: CachedToken?

    /// - Parameter credential: as it is stored now.
    func verdict(_ credential: Credential, at now: Date) -> Verdict {
        let (settings, state) = (credential.configuration.settings, credential.state)
        let token = state.token(for: ask.access)
        if let token, isAnswer(token, state, settings, at: now) { return .serve(token) }
        let wait = waitForForcedRenewal(token, state, at: now)
        // A rejection that can't lead to another token now is not believed: those who do not say so are served on.
        if wait == nil, let token, means(token), token.rejected == nil { return .reject(token) }
        if let refusal = state.refusal, now < refusal.nextAsk, refusal.asked <= now {
            return instead(token, of: .stillRefused(refusal), at: now)
        }
        if let wait { return .fail(.tooManyRenewals(wait: wait)) }
        return .acquire
    }

    /// Where another process has held the claim for longer than we wait: what is there may be good enough by now.
    func lastLook(_ credential: Credential, at now: Date) -> Verdict {
        let (settings, state) = (credential.configuration.settings, credential.state)
        guard let token = state.token(for: ask.access) else { return .fail(.lockTimeout) }
        if isAnswer(token, state, settings, at: now) { return .serve(token) }
        return instead(token, of: .lockTimeout, at: now)
    }

    /// The stored token where it is still valid, else the failure (rule 8).
    func instead(_ token: CachedToken?, of failure: TokenError, at now: Date) -> Verdict {
        guard ask.mode == .cached, let token, token.rejected == nil,
            Freshness.isTolerable(sent: token.sent, expires: token.expires, for: ask, at: now)
        else { return .fail(failure) }
        return .serve(token)
    }

    /// Whether the stored token is what this ask wants: good enough, and where a new one was demanded, newer than the one seen
    /// when the caller came. Fifty callers that reject one token buy one new one.
    private func isAnswer(_ token: CachedToken, _ state: TokenState, _ settings: ClientSettings, at now: Date) -> Bool {
        guard Freshness.isGood(sent: token.sent, expires: token.expires, for: ask, at: now), hasField(token, settings, at: now)
        else { return false }
        switch ask.mode {
        // What can't be acquired again is served although one API has rejected it: another may take it.
        case .cached: return token.rejected == nil || !state.canRenew(by: settings)
        case .fresh: return isNew(token)
        case .rejected: return token.rejected == nil && !means(token)
        }
    }

    /// Whether what is wanted besides came with it; a token that is new has all that there is.
    private func hasField(_ token: CachedToken, _ settings: ClientSettings, at now: Date) -> Bool {
        guard ask.field == .idToken, seen.map({ $0.isSame(as: token) }) ?? false else { return true }
        // An ID token has an end of its own.
        let alone = try? TokenField.idToken.alone(in: token.extras, format: settings.answer)
        guard let idToken = try? TokenField.idToken.text(in: alone), let end = IDToken.end(of: idToken) else { return false }
        return end.timeIntervalSince(now) > Double(max(ask.minimumLifetime ?? 0, 10))
    }

    private func isNew(_ token: CachedToken) -> Bool { seen.map { !$0.isSame(as: token) } ?? true }

    /// Whether it is the stored token that the caller says was rejected.
    private func means(_ token: CachedToken) -> Bool {
        ask.mode == .rejected && !isNew(token) && ask.rejectedToken.map { $0.matches(token) } ?? true
    }

    /// Seconds until one more new token may be acquired in the place of a good one; nil for at once.
    private func waitForForcedRenewal(_ token: CachedToken?, _ state: TokenState, at now: Date) -> Int? {
        guard isForced(token, at: now) else { return nil }
        let recent = state.forcedRenewals.filter { (0..<60).contains(now.timeIntervalSince($0)) }
        guard recent.count >= ask.forcedRenewalsPerMinute, let first = recent.min() else { return nil }
        return max(1, Int((60 - now.timeIntervalSince(first)).rounded(.up)))
    }

    /// Whether a new token is wanted although the stored one is good by all that the store knows: a fresh one, another than
    /// the rejected one, or one that lives longer.
    func isForced(_ token: CachedToken?, at now: Date) -> Bool {
        guard ask.mode != .cached || ask.minimumLifetime != nil || ask.field != nil, let token else { return false }
        return Freshness.isGood(sent: token.sent, expires: token.expires, for: TokenQuery(access: ask.access), at: now)
    }
}
