import FoundationEssentials
import OAuth

/// One conversation with a token endpoint: send, and send again where that can help. Pure; whoever drives it sends,
/// waits, and reports back.
///
/// | what came back | first time | later |
/// |---|---|---|
/// | a token | done | done |
/// | 408, 429, 5xx | wait, send | wait, send; after `maximumSends`, or beyond the time limit: failed |
/// | no connection | wait, send | as above |
/// | the answer lost | send at once | as above |
/// | a refusal of an assertion that a wrong clock has dated | send at once | failed |
/// | a refusal, a bad certificate, an unusable answer | failed | failed |
struct Exchange: Sendable {
    enum Answer: Sendable {
        case granted(TokenSet)
        case refused(TokenRefusal)
        case failed(TransportFailure)
        /// Refused, and the answer's date says that our clock is wrong: the assertion was dated by it.
        case misdated(TokenRefusal)
    }

    enum Action: Sendable {
        case send
        /// Seconds.
        case wait(Double)
        case done(TokenSet)
        case fail(TokenFailure, isTransient: Bool)
    }

    static let maximumSends = 4
    /// No try begins later than this after the first one did, in seconds.
    static let timeLimit = 45.0
    static let firstWait = 0.5

    private(set) var sends = 1
    private var spent = 0.0
    private(set) var lostAnAnswer = false
    private var redated = false

    /// - Parameters:
    ///   - took: how long the answer took to come, in seconds.
    ///   - jitter: an even number in 0 ..< 1.
    mutating func handle(_ answer: Answer, took: Double, jitter: Double) -> Action {
        // A clock that was set back meanwhile takes nothing off.
        spent += max(0, took)
        switch answer {
        case .granted(let tokens):
            return .done(tokens)
        case .refused(.transient(let status, let retryAfter)):
            let failure: TokenFailure = status == 429 ? .busy(retryAfter: retryAfter) : .serverFailing(status: status)
            return again(after: retryAfter.map(Double.init), jitter: jitter, else: failure)
        case .refused(let refusal):
            return .fail(Self.failure(refusal), isTransient: false)
        case .misdated(let refusal):
            guard !redated else { return .fail(Self.failure(refusal), isTransient: false) }
            redated = true
            return again(after: 0, jitter: jitter, else: Self.failure(refusal))
        case .failed(let failure):
            switch failure {
            case .certificate, .answerTooLarge, .configuration:
                return .fail(.unreachable(failure), isTransient: false)
            case .answerLost where !lostAnAnswer:
                lostAnAnswer = true
                return again(after: 0, jitter: jitter, else: .unreachable(failure))
            case .answerLost, .noConnection:
                return again(after: nil, jitter: jitter, else: .unreachable(failure))
            }
        }
    }

    /// Exponential backoff with jitter, or as long as the server says, within the limits.
    private mutating func again(after asked: Double?, jitter: Double, else failure: TokenFailure) -> Action {
        let backoff = Self.firstWait * Double(1 << (sends - 1)) * (0.5 + jitter / 2)
        let wait = asked ?? backoff
        guard sends < Self.maximumSends, spent + wait <= Self.timeLimit else {
            return .fail(failure, isTransient: true)
        }
        sends += 1
        spent += wait
        return wait > 0 ? .wait(wait) : .send
    }

    static func failure(_ refusal: TokenRefusal) -> TokenFailure {
        switch refusal {
        case .oauth(.invalidClient): .keyPairRefused
        case .oauth(let code): .refused(code)
        case .redirected(let status): .redirected(status: status)
        case .unusable(let reason): .unusableAnswer(reason: reason)
        case .memory: .memory
        case .transient(let status, _): .serverFailing(status: status)
        }
    }
}
