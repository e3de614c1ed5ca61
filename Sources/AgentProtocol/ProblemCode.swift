/// What kind of problem it is: a stable word for programs, the HTTP status of the agent's answer (RFC 9110 section 15), and
/// the exit status of a command (sysexits(3)). There is no other table of this kind.
public enum ProblemCode: CaseIterable, Sendable {
    // What was asked.
    case usage, noSuchRequest, methodNotAllowed, lifetimeTooShort, noSuchField
    // The vault, its keys, and files.
    case damaged, newerFormat, olderVault, noSuchVault, noSuchCredential, noSuchFile
    case wrongKey, tooManyGuesses, permissionsTooWide, alreadyExists, cannotCreate, cannotWrite, diskFull
    // The server, and the login at it.
    case serverUnreachable, serverFailing, unusableAnswer, rateLimited
    case clientRefused, requestRefused, loginRequired, loginRefused, ownedElsewhere, notStored
    // The agent.
    case noAgent, agentSilent, agentLocked, agentNotTrusted, otherVault, ownerOnly, denied, blocked, beingRotated,
        tooManyRequests,
        tooManyRenewals
    // Everything else.
    case configuration, refused, unavailable, tryAgain, outOfMemory, internalError
    // What only a command ends with; an agent never answers these.
    case checkFailed, notRunnable, commandNotFound, interrupted

    public var word: String { row.word }
    /// The status of the HTTP answer.
    public var status: Int { row.status }
    /// What a command ends with.
    public var exit: Int32 { row.exit }

    private var row: (word: String, status: Int, exit: Int32) {
        switch self {
        case .usage: ("invalid_request", 400, 64)
        case .noSuchRequest: ("no_such_request", 404, 64)
        case .methodNotAllowed: ("method_not_allowed", 405, 64)
        case .lifetimeTooShort: ("lifetime_too_short", 422, 64)
        case .noSuchField: ("no_such_field", 404, 66)

        case .damaged: ("damaged", 500, 65)
        case .newerFormat: ("newer_format", 500, 65)
        case .olderVault: ("older_vault", 500, 65)
        case .noSuchVault: ("no_such_vault", 500, 66)
        case .noSuchCredential: ("no_such_credential", 404, 66)
        case .noSuchFile: ("no_such_file", 500, 66)
        case .wrongKey: ("wrong_key", 403, 77)
        case .tooManyGuesses: ("too_many_guesses", 429, 75)
        case .permissionsTooWide: ("permissions_too_wide", 403, 77)
        case .alreadyExists: ("already_exists", 409, 73)
        case .cannotCreate: ("cannot_create", 500, 73)
        case .cannotWrite: ("cannot_write", 507, 74)
        case .diskFull: ("disk_full", 507, 74)

        case .serverUnreachable: ("server_unreachable", 502, 69)
        case .serverFailing: ("server_failing", 502, 69)
        case .unusableAnswer: ("unusable_answer", 502, 69)
        case .rateLimited: ("rate_limited", 503, 75)
        case .clientRefused: ("client_refused", 403, 77)
        case .requestRefused: ("request_refused", 403, 77)
        case .loginRequired: ("login_required", 403, 77)
        case .loginRefused: ("login_refused", 403, 77)
        case .ownedElsewhere: ("owned_elsewhere", 403, 77)
        case .notStored: ("answer_not_stored", 507, 74)

        case .noAgent: ("no_agent", 503, 69)
        case .agentSilent: ("agent_silent", 503, 75)
        case .agentLocked: ("agent_locked", 423, 77)
        case .agentNotTrusted: ("agent_not_trusted", 403, 77)
        case .otherVault: ("other_vault", 421, 78)
        case .ownerOnly: ("owner_only", 403, 77)
        case .denied: ("denied", 403, 77)
        case .blocked: ("blocked", 403, 77)
        case .beingRotated: ("being_rotated", 503, 75)
        case .tooManyRequests: ("too_many_requests", 429, 75)
        case .tooManyRenewals: ("too_many_renewals", 429, 75)

        case .configuration: ("configuration", 409, 78)
        case .refused: ("refused", 403, 77)
        case .unavailable: ("unavailable", 502, 69)
        case .tryAgain: ("try_again", 503, 75)
        case .outOfMemory: ("out_of_memory", 503, 69)
        case .internalError: ("internal_error", 500, 70)

        case .checkFailed: ("check_failed", 500, 1)
        // 126 and 127 as shells have them; 130 is 128 and SIGINT.
        case .notRunnable: ("not_runnable", 500, 126)
        case .commandNotFound: ("command_not_found", 500, 127)
        case .interrupted: ("interrupted", 500, 130)
        }
    }

    /// The code with this word. An agent of another version may have words that we do not know, or none: then one with the
    /// same exit status, and the same HTTP status if there is such a one.
    public init(word: String?, status: Int, exit: Int32) {
        let all = Self.allCases
        let named = word.flatMap { word in all.first { $0.word.utf8.elementsEqual(word.utf8) } }
        self =
            named ?? all.first { $0.exit == exit && $0.status == status } ?? all.first { $0.exit == exit } ?? .internalError
    }
}
