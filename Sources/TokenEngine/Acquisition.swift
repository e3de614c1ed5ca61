import FoundationEssentials
import OAuth
import Sodium

/// From a claim to a stored answer: what to do next, given what happened. Pure: it reads no clock, sends nothing and never
/// sleeps. `TokenDriver` performs its actions and reports back.
///
/// | state | event | next state: action |
/// |---|---|---|
/// | claimed | credential, and another acquired it meanwhile | finished: serve |
/// | claimed | credential, its token was rejected by an API | claimed: note it |
/// | claimed | credential, refused before, or renewed too often | finished: serve the stored token, or fail |
/// | claimed | credential, no login, one that has ended, one of another machine | finished: fail |
/// | claimed | credential, and a refresh token whose last answer is missing | see below |
/// | claimed | credential, a login | beginning: begin |
/// | claimed | credential, no login needed | sending: send |
/// | beginning | begun | sending: send |
/// | sending | answered, and the retry policy says again | sending: send or wait |
/// | sending | waited | sending: send |
/// | sending | answered with a token, or with a refresh token and whatever else | storing: store |
/// | sending | the refresh token is refused | checking: reread |
/// | sending | the client, or the refresh without a reason, is refused | noting: note it |
/// | sending | the outcome is unknown, and it may be sent again now | beginning: begin, or sending: wait |
/// | sending | the outcome is unknown, and it may not | finished: serve the stored token, or fail; the journal stays |
/// | sending | failed otherwise | noting: settle the journal, where there is one |
/// | checking | credential, with another refresh token than was sent | claimed, and on from there |
/// | checking | credential, with the one that was sent | noting: the login has ended |
/// | noting | written | finished: serve or fail; or claimed: reread |
/// | storing | stored | finished: serve, or fail if it is not what was wanted |
/// | storing | stored by another | checking: reread |
/// | storing | not stored | storing: wait, then store again; after `maximumStores`: fail |
/// | storing | waited | storing: store |
///
/// A refresh token whose last answer is missing is sent again at once where the server does not replace it, or still accepts
/// it (its grace period). Else the stored access token is served while it lives. After that it is sent once more, when its
/// earlier sending can't be answered any more: if the server has replaced it, the login is lost already; if not, this saves
/// it. A caller whom the stored token does not please waits until it has ended, too: others use it, and a server that sees a
/// replaced refresh token ends it. `resend=never` leaves the resend to a person.
///
/// Any other event in a state is a mistake of the driver, and traps.
struct Acquisition: Sendable {
    static let maximumStores = 10
    static let storeWait = 0.5
    /// Seconds after which no answer to a sending can come any more: a server has 180 s in all.
    static let answerLimit = 185.0

    let purpose: Purpose
    let ask: TokenQuery
    let host: Host
    private(set) var state = State.claimed
    private var credential: Credential?
    private var policy = RetryPolicy()
    private var redated = false
    /// The journal's entry, once a refresh token is being sent.
    private var sending: Login.Sending?
    /// The entry before it, which comes back if the server turns out to have done nothing.
    private var earlier: Login.Sending?
    /// Whether it is not known what has come of the sending.
    private var isUncertain = false
    /// Whether any answer of this acquisition's was lost.
    private var hasLostAnswer = false
    /// Whether the next sending is to be written down first.
    private var journalsNext = false

    init(_ purpose: Purpose, ask: TokenQuery, host: Host) {
        self.purpose = purpose
        self.ask = ask
        self.host = host
    }

    mutating func handle(_ event: Event, now: Date, jitter: Double) -> Action {
        switch (state, event) {
        case (.claimed, .credential(let credential)):
            return decide(credential, now: now)
        case (.beginning, .begun):
            return move(.sending, .send)
        case (.sending, .answered(let reply, let sent)):
            policy.took(now.timeIntervalSince(sent))
            return answered(reply, sent: sent, now: now, jitter: jitter)
        case (.sending, .waited):
            return sendAgain(now: now)
        case (.checking(let need), .credential(let stored)):
            return refused(need, stored, now: now)
        case (.noting(let outcome), .written):
            return finish(outcome)
        case (.storing(_, let outcome, _), .stored):
            return finish(outcome)
        case (.storing, .storedByAnother):
            return move(.checking(nil), .reread)
        case (.storing(let acquired, let outcome, let stores), .notStored):
            // What the server has just given may be all that keeps the login alive: not dropped lightly.
            guard stores < Self.maximumStores else { return fail(.notStored) }
            return move(.storing(acquired, outcome, stores: stores + 1), .wait(Self.storeWait))
        case (.storing(let acquired, _, _), .waited):
            return .store(acquired)
        default:
            preconditionFailure("an event that can't come in this state")
        }
    }

    // MARK: Before anything is sent

    private mutating func decide(_ credential: Credential, now: Date) -> Action {
        self.credential = credential
        if case .serve(let decision) = purpose {
            switch decision.verdict(credential, at: now) {
            case .serve(let token): return serve(token)
            case .fail(let failure) where !ask.resends: return fail(failure)
            case .reject(let token): return move(.noting(.lookAgain), .note(.rejected(token)))
            case .acquire, .fail: break
            }
        }
        guard credential.configuration.settings.grant.needsLogin else { return move(.sending, .send) }
        return decideLogin(credential, now: now)
    }

    private mutating func decideLogin(_ credential: Credential, now: Date) -> Action {
        guard let login = credential.state.login else {
            guard let token = credential.state.token(for: ask.access) ?? credential.state.tokens.first else {
                return fail(.loginNeeded(.never))
            }
            return fail(.loginNeeded(.notRenewable(rejected: token.rejected)))
        }
        if let ended = login.ended, !ask.resends { return fail(.loginNeeded(.ended(ended))) }
        if login.mayRotate(by: credential.configuration.settings), !host.owns(login), !ask.takesOver {
            return fail(.ownedElsewhere)
        }
        earlier = login.sending
        guard let unanswered = login.sending else {
            return begin(Login.Sending(began: now, boot: host.boot))
        }
        if let action = resume(unanswered, now: now) { return action }
        let isResend = unanswered.isResend || !isHarmless(unanswered, now: now)
        return begin(Login.Sending(began: unanswered.began, last: now, boot: host.boot, isResend: isResend))
    }

    /// Whether a refresh token whose answer is missing can be sent again without any danger to the login.
    private func isHarmless(_ sending: Login.Sending, now: Date) -> Bool {
        guard let credential, let login = credential.state.login else { return true }
        let settings = credential.configuration.settings
        return !login.mayRotate(by: settings) || isWithinGrace(sending, settings, now: now)
    }

    /// What to do in the place of sending a refresh token whose answer is missing; nil to send it.
    private func resumeVerdict(_ unanswered: Login.Sending, now: Date) -> CacheDecision.Verdict {
        guard let settings = credential?.configuration.settings, !isHarmless(unanswered, now: now) else { return .acquire }
        let isOpen = mayStillBeAnswered(unanswered, now: now)
        if ask.resends, !isOpen { return .acquire }
        let living = livingToken(now: now)
        let failure: TokenError
        if isForAPerson(unanswered, settings, living), !ask.resends {
            failure = .loginNeeded(.undecided(unanswered.began))
        } else if isOpen {
            failure = .outcomeUnknown(
                sent: unanswered.began, until: unanswered.last.addingTimeInterval(Self.answerLimit), status: nil)
        } else {
            failure = .outcomeUnknown(sent: unanswered.began, until: living?.expires, status: nil)
        }
        let verdict = storedToken(insteadOf: failure, now: now)
        if case .serve = verdict { return verdict }
        return isForAPerson(unanswered, settings, living) || isOpen || living != nil ? verdict : .acquire
    }

    private mutating func resume(_ unanswered: Login.Sending, now: Date) -> Action? {
        switch resumeVerdict(unanswered, now: now) {
        case .serve(let token): serve(token)
        case .fail(let failure): fail(failure)
        case .acquire, .reject: nil
        }
    }

    private func storedToken(insteadOf failure: TokenError, now: Date) -> CacheDecision.Verdict {
        guard case .serve(let decision) = purpose else { return .fail(failure) }
        return decision.instead(credential?.state.token(for: ask.access), of: failure, at: now)
    }

    /// The stored token that others can use the longest, for whatever scopes. To send the refresh token once more may end all
    /// of them, so that does not happen for a caller who wants another one.
    private func livingToken(now: Date) -> CachedToken? {
        let living = credential?.state.tokens.filter { token in
            token.rejected == nil
                && Freshness.isTolerable(sent: token.sent, expires: token.expires, for: TokenQuery(access: token.access), at: now)
        }
        return living?.max { $0.expires ?? .distantFuture < $1.expires ?? .distantFuture }
    }

    /// Whether only a person has the refresh token sent again: once is enough, the settings say so, or the stored token never
    /// ends.
    private func isForAPerson(_ sending: Login.Sending, _ settings: ClientSettings, _ living: CachedToken?) -> Bool {
        sending.isResend || settings.resend == .never || living.map { $0.expires == nil } ?? false
    }

    private func isWithinGrace(_ sending: Login.Sending, _ settings: ClientSettings, now: Date) -> Bool {
        switch settings.refreshTokenGrace {
        case nil: false
        case .untilSuccessorIsUsed: true
        case .seconds(let grace): (0..<Double(grace)).contains(now.timeIntervalSince(sending.began))
        }
    }

    /// A process of an earlier start of the machine is gone, and its connection with it.
    private func mayStillBeAnswered(_ sending: Login.Sending, now: Date) -> Bool {
        if let boot = sending.boot, let here = host.boot, boot != here { return false }
        // A clock that was set back a little makes the sending one of the future.
        return abs(now.timeIntervalSince(sending.last)) < Self.answerLimit
    }

    private mutating func begin(_ next: Login.Sending) -> Action {
        sending = next
        (isUncertain, journalsNext) = (false, false)
        return move(.beginning, .begin(next))
    }

    /// The same request once more, written down first where that tells how long an answer may still come.
    private mutating func sendAgain(now: Date) -> Action {
        guard let sending, let settings = credential?.configuration.settings else { return move(.sending, .send) }
        // The grace period, in which an answer that is missing does no harm, may have ended meanwhile.
        if isUncertain || earlier != nil, !sending.isResend, !isHarmless(sending, now: now) {
            return resendOnce(sending, settings, status: nil, now: now, maySend: true)
        }
        guard journalsNext else { return move(.sending, .send) }
        let wasUncertain = isUncertain
        defer { isUncertain = wasUncertain }
        return begin(Login.Sending(began: sending.began, last: now, boot: host.boot, isResend: sending.isResend))
    }

    // MARK: Answers

    private mutating func answered(_ reply: Reply, sent: Date, now: Date, jitter: Double) -> Action {
        switch reply {
        case .answer(let answer, let status, let isWhole):
            return answered(answer, status: status, isWhole: isWhole, sent: sent, now: now, jitter: jitter)
        case .failed(let failure):
            if failure.isUncertain, sending != nil || failure.isTransient {
                // The first time at once: the server is there.
                let wait = hasLostAnswer ? nil : 0.0
                hasLostAnswer = true
                return lost(.unreachable(failure), status: nil, after: wait, now: now, jitter: jitter)
            }
            guard failure.isTransient else { return giveUp(.unreachable(failure)) }
            return again(or: .unreachable(failure), now: now, jitter: jitter)
        case .misdated(let refusal):
            guard !redated, policy.again(after: 0, jitter: jitter) != nil else { return refused(refusal, status: 0, now: now) }
            redated = true
            return move(.sending, .send)
        case .unsendable(let failure):
            return giveUp(failure)
        }
    }

    private mutating func answered(
        _ answer: TokenAnswer, status: Int, isWhole: Bool, sent: Date, now: Date, jitter: Double
    ) -> Action {
        switch answer.result {
        case .success(let granted):
            let token = CachedToken(
                granted, access: ask.access, sent: sent, settings: credential?.configuration.settings)
            return store(acquired(token, answer, now: now), deliver(token))
        case .failure(let refusal):
            if sending != nil, let new = answer.refreshToken, credential?.state.login?.refreshToken.equals(new) == false {
                // The server has replaced the refresh token, whatever it says besides.
                return store(acquired(nil, answer, now: now), .fail(Self.onlyRefreshToken(refusal)))
            }
            return refusedOrFailed(refusal, status: status, isWhole: isWhole, now: now, jitter: jitter)
        }
    }

    private mutating func refusedOrFailed(
        _ refusal: TokenRefusal, status: Int, isWhole: Bool, now: Date, jitter: Double
    ) -> Action {
        switch refusal {
        case .transient(let status, let retryAfter):
            let failure: TokenError = status == 429 ? .busy(retryAfter: retryAfter) : .serverFailing(status: status)
            // 408, 429 and 503 say that nothing was done, and so does a 4xx; the others may come after the work.
            if status >= 500, status != 503 {
                return lost(failure, status: status, after: retryAfter.map(Double.init), now: now, jitter: jitter)
            }
            return again(after: retryAfter.map(Double.init), or: failure, now: now, jitter: jitter)
        case .unusable where !isWhole:
            return lost(Self.failure(refusal), status: status, after: 0, now: now, jitter: jitter)
        default:
            return refused(refusal, status: status, now: now)
        }
    }

    /// The server has spoken.
    private mutating func refused(_ refusal: TokenRefusal, status: Int, now: Date) -> Action {
        let needsLogin = credential?.configuration.settings.grant.needsLogin ?? false
        switch refusal {
        case .oauth(.invalidGrant) where sending != nil:
            return move(.checking(need(now: now)), .reread)
        case .oauth(.invalidClient) where isPublicClient:
            // There is no secret that could be wrong.
            guard sending != nil else { return giveUp(.refused(.invalidClient)) }
            return noteRefusal(.refresh(status: status), .refused(.invalidClient), now: now)
        case .oauth(.invalidClient):
            return noteRefusal(.client, .keyPairRefused, now: now)
        case .oauth(.invalidGrant) where !needsLogin:
            // A wrong password, or a key that the server does not know.
            return noteRefusal(.client, .refused(.invalidGrant), now: now)
        case .oauth(.unregistered(let status)) where sending != nil:
            return noteRefusal(.refresh(status: status), .refused(.unregistered(status: status)), now: now)
        default:
            return giveUp(Self.failure(refusal))
        }
    }

    private var isPublicClient: Bool {
        guard let settings = credential?.configuration.settings else { return false }
        return !settings.needsSecret && settings.grant != .password
    }

    /// The request may have been worked on, and what came of it is not known.
    /// - Parameter after: seconds to wait before the same again; nil for the policy's own.
    private mutating func lost(
        _ failure: TokenError, status: Int?, after: Double?, now: Date, jitter: Double
    ) -> Action {
        // Without a login nothing is at stake but a token that can be acquired again.
        guard let sending, let settings = credential?.configuration.settings else {
            return again(after: after, or: failure, now: now, jitter: jitter)
        }
        (isUncertain, hasLostAnswer) = (true, true)
        if isHarmless(sending, now: now) {
            guard let wait = policy.again(after: after, jitter: jitter) else {
                return move(.finished, storedToken(insteadOf: failure, now: now).action)
            }
            journalsNext = true
            return wait > 0 ? move(.sending, .wait(wait)) : sendAgain(now: now)
        }
        let maySend = policy.again(after: 0, jitter: jitter) != nil
        return resendOnce(sending, settings, status: status, now: now, maySend: maySend)
    }

    /// What to do about a sending after which the server may have replaced the refresh token, when the grace period is over.
    /// - Parameter maySend: whether there is time for one more.
    private mutating func resendOnce(
        _ lost: Login.Sending, _ settings: ClientSettings, status: Int?, now: Date, maySend: Bool
    ) -> Action {
        let living = livingToken(now: now)
        // One of another process, from before this acquisition; ours have been answered, or their connections are gone.
        let open = earlier.flatMap { mayStillBeAnswered($0, now: now) ? $0.last.addingTimeInterval(Self.answerLimit) : nil }
        let unknown = TokenError.outcomeUnknown(sent: lost.began, until: open ?? living?.expires, status: status)
        let verdict = storedToken(insteadOf: unknown, now: now)
        if case .serve = verdict { return move(.finished, verdict.action) }
        guard !isForAPerson(lost, settings, living) else { return fail(.loginNeeded(.undecided(lost.began))) }
        guard living == nil, open == nil, maySend else { return fail(unknown) }
        if isUncertain { earlier = lost }
        return begin(Login.Sending(began: lost.began, last: now, boot: host.boot, isResend: true))
    }

    /// Nothing was done by the server: the same again, if there is time.
    private mutating func again(
        after seconds: Double? = nil, or failure: TokenError, now: Date, jitter: Double
    ) -> Action {
        guard let wait = policy.again(after: seconds, jitter: jitter) else {
            return settled(storedToken(insteadOf: failure, now: now).outcome)
        }
        journalsNext = wait > 0
        return wait > 0 ? move(.sending, .wait(wait)) : sendAgain(now: now)
    }

    private mutating func giveUp(_ failure: TokenError) -> Action { settled(.fail(failure)) }

    /// An answer that is missing stays in the journal; one that says that nothing was done takes this sending out of it.
    private mutating func settled(_ outcome: Outcome) -> Action {
        guard let settling, !isUncertain else { return finish(outcome) }
        return move(.noting(outcome), .note(.settle(settling)))
    }

    private var settling: Settling? {
        guard sending != nil, let login = credential?.state.login else { return nil }
        return Settling(refreshToken: login.refreshToken, earlier: earlier)
    }

    private mutating func noteRefusal(_ cause: TokenState.Refusal.Cause, _ failure: TokenError, now: Date) -> Action {
        guard case .serve = purpose else { return settled(.fail(failure)) }
        return move(.noting(.fail(failure)), .note(.refusal(cause, settling: isUncertain ? nil : settling)))
    }

    /// What to tell a person whose refresh token is refused.
    private func need(now: Date) -> LoginNeed {
        if hasLostAnswer { return .answerLost(sending?.began ?? now) }
        return earlier.map { .interrupted($0.began) } ?? .ended(now)
    }

    /// The refresh token was refused, or spent by another. If another has been stored meanwhile, it was not the newest; else
    /// the login has ended (rule 5).
    private mutating func refused(_ need: LoginNeed?, _ stored: Credential, now: Date) -> Action {
        guard let need, let sent = credential?.state.login?.refreshToken, stored.state.login?.refreshToken.equals(sent) == true
        else {
            (sending, earlier, isUncertain, hasLostAnswer) = (nil, nil, false, false)
            state = .claimed
            return decide(stored, now: now)
        }
        // A proof of another client does not end the login: the client in use may still be good for it.
        guard case .serve = purpose else { return settled(.fail(.loginNeeded(need))) }
        return move(.noting(.fail(.loginNeeded(need))), .note(.endLogin(sent)))
    }

    // MARK: The end

    private func acquired(_ token: CachedToken?, _ answer: TokenAnswer, now: Date) -> AcquiredTokens {
        let settings = credential?.configuration.settings
        var acquired = AcquiredTokens(token: token, refreshToken: answer.refreshToken, received: now, owner: host.id)
        if case .serve(let decision) = purpose {
            acquired.isForced = decision.isForced(credential?.state.token(for: ask.access), at: now)
        } else {
            acquired.token = nil
        }
        acquired.life = answer.life.completed(by: settings)
        acquired.endsOlderTokens = sending != nil && settings?.olderTokensLive != true
        return acquired
    }

    private mutating func store(_ acquired: AcquiredTokens, _ outcome: Outcome) -> Action {
        // A proof without a login has nothing to store.
        guard acquired.token != nil || sending != nil else { return finish(outcome) }
        return move(.storing(acquired, outcome, stores: 1), .store(acquired))
    }

    /// A new token is handed out however soon it ends, so that a short-lived or repeated one makes no loop; but not as
    /// what it isn't.
    private func deliver(_ token: CachedToken) -> Outcome {
        if let asked = ask.minimumLifetime, let lifetime = token.lifetime, lifetime < Double(asked) {
            return .fail(.lifetimeTooShort(lifetime: Int(lifetime), asked: asked))
        }
        return .serve(token)
    }

    private mutating func finish(_ outcome: Outcome) -> Action {
        switch outcome {
        case .serve(let token): serve(token)
        case .fail(let failure): fail(failure)
        case .lookAgain: move(.claimed, .reread)
        }
    }

    private mutating func move(_ next: State, _ action: Action) -> Action {
        state = next
        return action
    }

    private mutating func serve(_ token: CachedToken) -> Action { move(.finished, .serve(token)) }
    private mutating func fail(_ failure: TokenError) -> Action { move(.finished, .fail(failure)) }

    static func failure(_ refusal: TokenRefusal) -> TokenError {
        switch refusal {
        case .oauth(.invalidClient): .keyPairRefused
        case .oauth(let code): .refused(code)
        case .redirected(let status): .redirected(status: status)
        case .unusable(let reason): .unusableAnswer(reason: reason)
        case .memory: .memory
        case .transient(429, let retryAfter): .busy(retryAfter: retryAfter)
        case .transient(let status, _): .serverFailing(status: status)
        }
    }

    static func onlyRefreshToken(_ refusal: TokenRefusal) -> TokenError {
        .onlyRefreshToken(reason: reason(refusal))
    }

    private static func reason(_ refusal: TokenRefusal) -> String {
        switch refusal {
        case .unusable(let reason): reason
        case .oauth(.registered(let code)): "an error (\(code))"
        case .oauth(.unregistered(let status)), .redirected(let status), .transient(let status, _): "the status \(status)"
        case .memory: "more than could be kept in locked memory"
        }
    }
}

extension CacheDecision.Verdict {
    fileprivate var outcome: Acquisition.Outcome {
        switch self {
        case .serve(let token): .serve(token)
        case .fail(let failure): .fail(failure)
        case .acquire, .reject: .lookAgain
        }
    }

    fileprivate var action: Acquisition.Action {
        switch self {
        case .serve(let token): .serve(token)
        case .fail(let failure): .fail(failure)
        case .acquire, .reject: .reread
        }
    }
}
