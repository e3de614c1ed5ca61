public import AgentProtocol
import TokenEngine

extension Problem {
    /// What others than its keeper are told of why there is no token of a credential: what kind of trouble it is, and whom to ask.
    /// No host, no file and no other credential is named, and nothing is proposed that they can't do.
    /// - Parameters:
    ///   - error: a problem is what the agent says to anybody, and stays.
    ///   - keeper: the user who can mend it.
    public init(toOthers error: any Error, of name: String, keeper: String) {
        if let problem = error as? Problem {
            self = problem
            return
        }
        var cause = error
        // That it is another credential's is not for them, either.
        while case .noSubject(.failed(_, let inner))? = cause as? TokenError { cause = inner }
        let whole = Problem(describing: cause, of: name)
        // Only the block of the credential that they have named is told with its reason.
        if case .blocked(let block)? = error as? TokenError {
            self.init(
                "there is no token of \(PlainText.quoted(name)): it \(Self.words(block))",
                hint: .text("ask \(PlainText.of(keeper)), who keeps it"), .blocked)
            return
        }
        // What they have asked for themselves.
        if case .notShown(.secret)? = cause as? TokenError {
            self = whole
            return
        }
        guard let kind = Self.kind(whole.code) else {
            self = whole
            return
        }
        self.init(
            "there is no token of \(PlainText.quoted(name)): \(kind)\(Self.since(cause))",
            hint: .text("ask \(PlainText.of(keeper)), who keeps it"),
            whole.code)
    }

    private static func since(_ cause: any Error) -> String {
        guard case .stillRefused(let refusal)? = cause as? TokenError else { return "" }
        return ", since \(time(refusal.since))"
    }

    /// Nil for what passes by itself or is the caller's to change: its words name nothing.
    private static func kind(_ code: ProblemCode) -> String? {
        switch code {
        case .serverFailing, .rateLimited, .tryAgain, .lifetimeTooShort, .noSuchField, .tooManyRenewals, .outOfMemory: nil
        case .serverUnreachable: "its server can't be reached"
        case .unusableAnswer: "its server's answer can't be used"
        case .clientRefused: "its server does not accept the key pair"
        case .requestRefused: "its server refuses the request"
        case .loginRequired, .loginRefused: "somebody has to log in"
        case .ownedElsewhere: "its login belongs to another machine"
        case .notStored, .cannotWrite, .diskFull: "the vault or its log can't be written"
        case .blocked: "what it is made from is blocked"
        case .configuration, .noSuchFile: "a setting must be changed"
        default: "the agent can't have one"
        }
    }
}
