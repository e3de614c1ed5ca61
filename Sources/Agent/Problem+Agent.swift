import AgentProtocol
import Credentials
import FoundationEssentials

/// What the agent refuses by itself.
extension Problem {
    static let agentLocked = Problem("the agent is locked", hint: .unlock, .agentLocked)
    static func methodNotAllowed(_ allowed: String) -> Problem {
        Problem("this is asked for with \(allowed)", .methodNotAllowed)
    }
    static let noSuchRequest = Problem("the agent knows no such request", .noSuchRequest)
    static let badName = Problem("the name is not valid UTF-8 or not a name", .usage)
    static let ownerOnly = Problem(
        "only the agent's own user and root may do this", hint: "run it as that user", .ownerOnly)
    static func denied(_ name: String) -> Problem {
        Problem("no rule allows you to use \(PlainText.quoted(name))", hint: .askForRule(PlainText.of(name)), .denied)
    }
    /// There is a rule for them, which does not go so far.
    /// - Parameter allowed: nil where the credential's own scopes are the only ones.
    static func deniedScopes(_ name: String, _ wanted: [String], allowed: [String]?) -> Problem {
        let own = allowed.map { "only the scopes " + $0.joined(separator: " ") } ?? "no other scopes than the credential's own"
        return Problem(
            "your rule for \(PlainText.quoted(name)) allows \(PlainText.of(own))",
            hint: .askForScopes(PlainText.of(name), wanted.map(PlainText.of)), .denied)
    }
    static let unwatchable = Problem("the process that rotates can't be watched from here", .refused)
    static func beingRotated(_ name: String, _ since: Date) -> Problem {
        let since = UTCTime.text(Int(since.timeIntervalSince1970.rounded(.down)))
        return Problem(
            "the key pair of \(PlainText.quoted(name)) is being rotated, since \(since), and the old one is refused",
            hint: .waitForRotation(PlainText.of(name)), .beingRotated)
    }
    static func livesTooLong(longest: Int) -> Problem {
        Problem("tokens of this credential live longer than the \(longest) s that you are allowed", .denied)
    }
    static func grantedTooMuch(_ scopes: [String]) -> Problem {
        Problem(
            "the server has granted more than you are allowed: \(PlainText.of(scopes.prefix(5).joined(separator: " ")))",
            hint: "whoever keeps the vault can allow that, too, or have the server grant less", .denied)
    }
    static let tooManyRequests = Problem(
        "your processes ask too often", hint: "keep a token for as long as it is valid", .tooManyRequests)
    static let boundToken = Problem(
        "the token is bound to a key, and is of no use without a proof", hint: "ask for it as JSON", .usage)
    static let otherVault = Problem(
        "the agent serves another vault", hint: "leave --vault out, or name a key of that vault", .otherVault)
    static func tooManyGuesses(seconds: Int) -> Problem {
        Problem("the passphrase or key was wrong too often", hint: .tryAgain(after: seconds), .tooManyGuesses)
    }
}

/// What the refresher, and the command that it works for, refuse by themselves.
extension Problem {
    /// Nothing was sent: the same again is safe.
    static let refresherNotStarted = Problem(
        "the process that finishes what was begun could not be started", hint: "nothing was sent; try again", .tryAgain)
    static let refresherEnded = Problem(
        "the process that finishes what was begun has ended before it answered",
        hint: "try again; what it has stored is not lost", .tryAgain)
    static let refresherIsEnding = Problem(
        "the process that finishes what was begun was told to end, and begins nothing more", hint: "try again", .tryAgain)
    static let lockedMeanwhile = Problem(
        "claviger lock has been run meanwhile, and no token is handed out",
        hint: "what was acquired is stored; run the command again", .agentLocked)
}
