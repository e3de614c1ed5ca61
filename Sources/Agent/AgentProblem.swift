/// Why an agent did not do what it was asked for, as it travels (RFC 9457): in words for a person, with the exit code
/// that a command ends with.
public struct AgentProblem: Error, Codable, Equatable, Sendable {
    public var title: String
    public var hint: String?
    /// The status of the HTTP answer.
    public var status: Int
    /// An exit code of sysexits(3).
    public var exit: Int32

    public init(title: String, hint: String? = nil, status: Int, exit: Int32) {
        self.title = title
        self.hint = hint
        self.status = status
        self.exit = exit
    }

    /// The status that says the same as an exit code.
    public static func status(forExit code: Int32) -> Int {
        switch code {
        case 64: 400
        case 66: 404
        case 69: 502
        case 74: 507
        case 75: 503
        case 77: 403
        case 78: 409
        default: 500
        }
    }

    public static let locked = AgentProblem(
        title: "the agent is locked", hint: "claviger unlock opens its vault", status: 423, exit: 77)
    static let noSuchRequest = AgentProblem(title: "the agent knows no such request", status: 404, exit: 64)
    static let badName = AgentProblem(title: "the name is not valid UTF-8 or not a name", status: 400, exit: 64)
    static let notYours = AgentProblem(
        title: "only the agent's own user and root may do this", hint: "run it as that user", status: 403, exit: 77)
    static let denied = AgentProblem(
        title: "nothing allows you this", hint: "ask whoever keeps the vault for claviger allow NAME --user YOU", status: 403,
        exit: 77)
    static func livesTooLong(longest: Int) -> AgentProblem {
        AgentProblem(
            title: "tokens of this credential live longer than the \(longest) s that you are allowed", status: 403, exit: 77)
    }
    static let tooOften = AgentProblem(
        title: "your processes ask too often", hint: "keep a token for as long as it is valid", status: 429, exit: 75)
    static let otherVault = AgentProblem(
        title: "the agent serves another vault", hint: "leave --vault out, or name a key of that vault", status: 421, exit: 78)
    static func tooManyGuesses(seconds: Int) -> AgentProblem {
        AgentProblem(
            title: "the passphrase or key was wrong too often", hint: "try again in \(seconds) s", status: 429, exit: 75)
    }
}
