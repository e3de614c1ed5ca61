import FoundationEssentials
import OAuth
import Sodium

/// What is said between an acquisition and the driver that performs it.
extension Acquisition {
    enum Purpose: Sendable {
        /// A caller wants a token.
        case serve(CacheDecision)
        /// A client has to be proven by a new token, which is not stored. What comes with it for the login is.
        case prove
    }

    enum Event: Sendable {
        case credential(Credential)
        case begun
        case answered(Reply, sent: Date)
        case waited
        case written
        case stored
        /// Another refresh token has taken the place of the one that was spent.
        case storedByAnother
        case notStored
    }

    enum Action: Sendable {
        case begin(Login.Sending)
        case send
        /// Seconds.
        case wait(Double)
        case store(AcquiredTokens)
        case note(Note)
        case reread
        case serve(CachedToken)
        case fail(TokenError)
    }

    /// What a server has answered to one request, or why it has not.
    enum Reply: Sendable {
        case answer(TokenAnswer, status: Int, isWhole: Bool)
        case failed(TransportFailure)
        /// Refused, and the answer's date says that our clock is wrong: the assertion was dated by it.
        case misdated(TokenRefusal)
        /// There is nothing to send: an assertion could not be signed, or a token to exchange not be had.
        case unsendable(TokenError)
    }

    /// What is written down without a token.
    enum Note: Sendable {
        case rejected(CachedToken)
        case refusal(TokenState.Refusal.Cause, settling: Settling?)
        case settle(Settling)
        case endLogin(Secret)
    }

    /// A sending that has been answered, and the one before it that has not.
    struct Settling: Sendable {
        let refreshToken: Secret
        let earlier: Login.Sending?
    }

    enum State: Sendable {
        case claimed
        case beginning
        case sending
        case storing(AcquiredTokens, Outcome, stores: Int)
        case checking(LoginNeed?)
        case noting(Outcome)
        case finished
    }

    enum Outcome: Sendable {
        case serve(CachedToken)
        case fail(TokenError)
        case lookAgain
    }
}
