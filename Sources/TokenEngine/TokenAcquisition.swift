import FoundationEssentials
import OAuth

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
/// | rereading | stored, no use | sending: send |
/// | forgetting | written | sending: send |
/// | sending | answered, and the exchange goes on | sending: send or wait |
/// | sending | answered with a token | committing: commit |
/// | sending | failed for the moment, the stored one is still valid | finished: serve |
/// | sending | the key pair is refused | noting: note it |
/// | sending | failed | finished: fail |
/// | sending | waited | sending: send |
/// | noting | written | finished: fail, key pair refused |
/// | committing | written | finished: serve, or fail if it lives shorter than asked |
///
/// Any other event in a state is a mistake of the driver, and traps.
struct TokenAcquisition: Sendable {
    enum Event: Sendable {
        /// The token stored for this ask's access, if any.
        case stored(CachedToken?)
        case locked
        case lockTimedOut
        case answered(Exchange.Answer, sent: Date)
        case waited
        case written
    }

    enum Action: Sendable {
        case read
        case lock
        case send
        /// Seconds.
        case wait(Double)
        case forget(CachedToken)
        case commit(CachedToken)
        case noteRefusal
        case serve(CachedToken)
        case fail(TokenFailure)
    }

    enum State: Sendable {
        case reading
        case locking(seen: CachedToken?)
        case rereading(seen: CachedToken?)
        case lastLook(seen: CachedToken?)
        case forgetting
        case sending(Exchange, stored: CachedToken?)
        case committing(CachedToken)
        case noting
        case finished
    }

    let ask: TokenAsk
    /// Seconds, where the server does not say how long its tokens live.
    var fallbackLifetime: Int?
    private(set) var state = State.reading

    init(ask: TokenAsk) {
        self.ask = ask
    }

    /// What to do first.
    static let start = Action.read

    mutating func handle(_ event: Event, now: Date, jitter: Double) -> Action {
        switch (state, event) {
        case (.reading, .stored(let token)):
            if let token, ask.mode == .cached, Freshness.isGood(token, for: ask, at: now) { return serve(token) }
            return move(.locking(seen: token), .lock)
        case (.locking(let seen), .locked):
            return move(.rereading(seen: seen), .read)
        case (.locking(let seen), .lockTimedOut):
            return move(.lastLook(seen: seen), .read)
        case (.lastLook(let seen), .stored(let token)):
            if let token, isAnswer(token, seen: seen, at: now) || toleratesOld(token, at: now) { return serve(token) }
            return fail(.lockTimeout)
        case (.rereading(let seen), .stored(let token)):
            if let token, isAnswer(token, seen: seen, at: now) { return serve(token) }
            if let token, ask.mode == .rejected { return move(.forgetting, .forget(token)) }
            return move(.sending(Exchange(), stored: token), .send)
        case (.forgetting, .written):
            return move(.sending(Exchange(), stored: nil), .send)
        case (.sending(let exchange, let stored), .answered(let answer, let sent)):
            return answered(answer, sent: sent, exchange, stored: stored, now: now, jitter: jitter)
        case (.sending, .waited):
            return .send
        case (.committing(let token), .written):
            return deliver(token)
        case (.noting, .written):
            return fail(.keyPairRefused)
        default:
            preconditionFailure("an event that can't come in this state")
        }
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
        _ answer: Exchange.Answer, sent: Date, _ exchange: Exchange, stored: CachedToken?, now: Date, jitter: Double
    ) -> Action {
        var exchange = exchange
        switch exchange.handle(answer, took: now.timeIntervalSince(sent), jitter: jitter) {
        case .send:
            return move(.sending(exchange, stored: stored), .send)
        case .wait(let seconds):
            return move(.sending(exchange, stored: stored), .wait(seconds))
        case .done(let granted):
            let token = CachedToken(granted, access: ask.access, sent: sent, fallbackLifetime: fallbackLifetime)
            return move(.committing(token), .commit(token))
        case .fail(let failure, let isTransient):
            if isTransient, let stored, toleratesOld(stored, at: now) { return serve(stored) }
            if failure == .keyPairRefused { return move(.noting, .noteRefusal) }
            return fail(failure)
        }
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
