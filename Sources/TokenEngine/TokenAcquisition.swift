import FoundationEssentials
import OAuth
import Sodium

/// The decision for one ask: hand out what is stored, or acquire, under the credential's lock. Pure: it is told what
/// happened and says what to do next; it reads no clock, sends nothing and sleeps never.
///
/// | state | event | next state: action |
/// |---|---|---|
/// | reading | stored, good enough | finished: serve |
/// | reading | stored, not good enough | locking: lock |
/// | locking | locked | rereading: read |
/// | locking | lock timed out | lastLook: read |
/// | lastLook | stored, good enough or still valid | finished: serve |
/// | lastLook | stored, no use | finished: fail, lock timeout |
/// | rereading | stored, and another acquired it meanwhile | finished: serve |
/// | rereading | stored, and it was rejected | forgetting: forget |
/// | rereading | stored, no login, or one that has ended | finished: fail, a person must log in |
/// | rereading | stored, a rotating login of another machine | finished: fail, owned elsewhere |
/// | rereading | stored, a login | journaling: journal |
/// | rereading | stored, no login needed | sending: send |
/// | forgetting | written | rereading: read |
/// | journaling | written | sending: send |
/// | sending | answered, and the exchange goes on | sending: send or wait |
/// | sending | answered with a token | committing: commit |
/// | sending | the refresh token is refused | checking: read |
/// | sending | the key pair is refused | noting: note it |
/// | sending | failed for the moment, the stored one is still valid | as failed, but serve |
/// | sending | failed, and no refresh token can have been spent | finished: fail |
/// | sending | failed, and the server has spoken | settling: settle |
/// | settling | written | finished: fail or serve |
/// | sending | waited | sending: send |
/// | checking | stored, another refresh token than was sent | rereading, and on from there |
/// | checking | stored, the one that was sent | ending: mark the login as ended |
/// | ending | written | finished: fail, a person must log in |
/// | noting | written | finished: fail, key pair refused |
/// | committing | written | finished: serve, or fail if it lives shorter than asked |
/// | committing | not written | committing: wait, then commit again; after `maximumCommits`: fail, not stored |
/// | committing | waited | committing: commit |
///
/// Any other event in a state is a mistake of the driver, and traps. Where writing the journal fails, the driver ends
/// with that error: nothing was sent.
struct TokenAcquisition: Sendable {
    /// What the store has for an ask.
    struct Stored: Sendable {
        var token: CachedToken?
        var needsLogin = false
        var login: Login?
    }

    enum Event: Sendable {
        case stored(Stored)
        case locked
        case lockTimedOut
        case answered(Exchange.Answer, sent: Date)
        case waited
        case written
        case notWritten
    }

    enum Action: Sendable {
        case read
        case lock
        /// Make sure that the store can be written, and write down that the refresh token is about to be sent.
        case journal
        case send
        /// Seconds.
        case wait(Double)
        case forget(CachedToken)
        case commit(CachedToken, Login?)
        /// Mark the login as ended; it was kept alive by this refresh token.
        case endLogin(Secret)
        case noteRefusal
        /// Take the entry out of the journal: what was sent has been answered.
        case settle
        case serve(CachedToken)
        case fail(TokenFailure)
    }

    enum State: Sendable {
        case reading
        case locking(seen: CachedToken?)
        case rereading(seen: CachedToken?)
        case lastLook(seen: CachedToken?)
        case forgetting
        case journaling(Stored)
        case sending(Exchange, Stored)
        case checking(sent: Login, need: LoginNeed)
        case ending(LoginNeed)
        case committing(CachedToken, Login?, commits: Int)
        case noting
        case settling(Outcome)
        case finished
    }

    enum Outcome: Sendable {
        case serve(CachedToken)
        case fail(TokenFailure)
    }

    static let maximumCommits = 10
    static let commitWait = 0.5

    let ask: TokenAsk
    /// This machine.
    let host: String
    /// Seconds, where the server does not say how long its tokens live.
    var fallbackLifetime: Int?
    private(set) var state = State.reading

    init(ask: TokenAsk, host: String) {
        self.ask = ask
        self.host = host
    }

    /// The first thing to do is to read.
    mutating func handle(_ event: Event, now: Date, jitter: Double) -> Action {
        switch (state, event) {
        case (.reading, .stored(let stored)):
            if let token = stored.token, ask.mode == .cached, Freshness.isGood(token, for: ask, at: now) { return serve(token) }
            return move(.locking(seen: stored.token), .lock)
        case (.locking(let seen), .locked):
            return move(.rereading(seen: seen), .read)
        case (.locking(let seen), .lockTimedOut):
            return move(.lastLook(seen: seen), .read)
        case (.lastLook(let seen), .stored(let stored)):
            if let token = stored.token, isAnswer(token, seen: seen, at: now) || toleratesOld(token, at: now) {
                return serve(token)
            }
            return fail(.lockTimeout)
        case (.rereading(let seen), .stored(let stored)):
            return underLock(stored, seen: seen, now: now)
        case (.forgetting, .written):
            return move(.rereading(seen: nil), .read)
        case (.journaling(let stored), .written):
            return move(.sending(Exchange(), stored), .send)
        case (.sending(let exchange, let stored), .answered(let answer, let sent)):
            return answered(answer, sent: sent, exchange, stored, now: now, jitter: jitter)
        case (.sending, .waited):
            return .send
        case (.checking(let sent, let need), .stored(let stored)):
            return refused(sent, need: need, stored, now: now)
        case (.ending(let need), .written):
            return fail(.loginNeeded(need))
        case (.committing(let token, _, _), .written):
            return deliver(token)
        case (.committing(let token, let login, let commits), .notWritten):
            // What the server has just given may be all that keeps the login alive: not dropped lightly.
            guard commits < Self.maximumCommits else { return fail(.notStored) }
            return move(.committing(token, login, commits: commits + 1), .wait(Self.commitWait))
        case (.committing(let token, let login, _), .waited):
            return .commit(token, login)
        case (.noting, .written):
            return fail(.keyPairRefused)
        case (.settling(let outcome), .written):
            return finish(outcome)
        default:
            preconditionFailure("an event that can't come in this state")
        }
    }

    /// With the lock held and the store just read: nobody else can be acquiring.
    private mutating func underLock(_ stored: Stored, seen: CachedToken?, now: Date) -> Action {
        if let token = stored.token, isAnswer(token, seen: seen, at: now) { return serve(token) }
        if let token = stored.token, ask.mode == .rejected { return move(.forgetting, .forget(token)) }
        guard stored.needsLogin else { return move(.sending(Exchange(), stored), .send) }
        guard let login = stored.login else { return fail(.loginNeeded(.never)) }
        if let ended = login.ended { return fail(.loginNeeded(.ended(ended))) }
        if login.rotates, login.owner != host, !ask.takesOver { return fail(.ownedElsewhere) }
        return move(.journaling(stored), .journal)
    }

    /// Whether the stored token is what this ask wants: good enough, and where a new one was demanded, newer than the
    /// one seen before the lock was taken. Fifty callers that reject one token buy one new one.
    private func isAnswer(_ token: CachedToken, seen: CachedToken?, at now: Date) -> Bool {
        guard Freshness.isGood(token, for: ask, at: now) else { return false }
        return ask.mode == .cached || seen.map { !$0.isSame(as: token) } ?? true
    }

    private func toleratesOld(_ token: CachedToken, at now: Date) -> Bool {
        ask.mode == .cached && Freshness.isTolerable(token, for: ask, at: now)
    }

    private mutating func answered(
        _ answer: Exchange.Answer, sent: Date, _ exchange: Exchange, _ stored: Stored, now: Date, jitter: Double
    ) -> Action {
        var exchange = exchange
        switch exchange.handle(answer, took: now.timeIntervalSince(sent), jitter: jitter) {
        case .send:
            return move(.sending(exchange, stored), .send)
        case .wait(let seconds):
            return move(.sending(exchange, stored), .wait(seconds))
        case .done(let granted):
            let token = CachedToken(granted, access: ask.access, sent: sent, fallbackLifetime: fallbackLifetime)
            let login = stored.login?.renewed(by: granted.refreshToken, at: now, owner: host)
            return move(.committing(token, login, commits: 1), .commit(token, login))
        case .fail(.refused(.invalidGrant), _):
            guard let login = stored.login else { return fail(.refused(.invalidGrant)) }
            return move(.checking(sent: login, need: need(login, exchange, now: now)), .read)
        case .fail(let failure, let isTransient):
            if failure == .keyPairRefused { return move(.noting, .noteRefusal) }
            var outcome = Outcome.fail(failure)
            if isTransient, let token = stored.token, toleratesOld(token, at: now) { outcome = .serve(token) }
            // An answer that was lost stays in the journal.
            let isSettled = stored.login == nil || exchange.lostAnAnswer
            return isSettled ? finish(outcome) : move(.settling(outcome), .settle)
        }
    }

    private mutating func finish(_ outcome: Outcome) -> Action {
        switch outcome {
        case .serve(let token): serve(token)
        case .fail(let failure): fail(failure)
        }
    }

    /// What to tell a person whose refresh token is refused.
    private func need(_ login: Login, _ exchange: Exchange, now: Date) -> LoginNeed {
        if exchange.lostAnAnswer { return .answerLost(now) }
        return login.spending.map { .interrupted($0) } ?? .ended(now)
    }

    /// The refresh token was refused. If another has been stored meanwhile, it was not the newest; else the login ended.
    private mutating func refused(_ sent: Login, need: LoginNeed, _ stored: Stored, now: Date) -> Action {
        guard let login = stored.login, login.refreshToken.equals(sent.refreshToken) else {
            return underLock(stored, seen: nil, now: now)
        }
        return move(.ending(need), .endLogin(sent.refreshToken))
    }

    /// A new token is handed out however soon it ends, so that a short-lived or repeated one makes no loop; but not as
    /// what it isn't.
    private mutating func deliver(_ token: CachedToken) -> Action {
        if let asked = ask.minimumLifetime, let lifetime = token.lifetime, lifetime < Double(asked) {
            return fail(.lifetimeTooShort(lifetime: Int(lifetime), asked: asked))
        }
        return serve(token)
    }

    private mutating func move(_ next: State, _ action: Action) -> Action {
        state = next
        return action
    }

    private mutating func serve(_ token: CachedToken) -> Action { move(.finished, .serve(token)) }
    private mutating func fail(_ failure: TokenFailure) -> Action { move(.finished, .fail(failure)) }
}
