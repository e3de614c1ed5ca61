import OAuth
import TestSupport

/// What can happen in one run. The seed decides.
struct SimulationPlan {
    enum Rotation {
        case never
        /// Each use replaces the refresh token; the old one is accepted for so many more seconds.
        case always(grace: Double)
        case untilSuccessorIsUsed
    }

    let rotation: Rotation
    /// What the settings say of it: the truth, less than that, or nothing.
    let settingsRotate: Bool?
    let settingsGrace: RefreshTokenGrace?
    let resend: ResendPolicy?
    /// Of access tokens, in seconds.
    let lifetime: Double
    let losesAnswers: Bool
    let failsToStore: Bool
    let otherLogins: Bool
    let crashes: Int
    let processes: Int
    let calls: Int

    init(_ generator: inout SeededGenerator) {
        switch generator.below(6) {
        case 0: (rotation, settingsRotate) = (.never, generator.pick([nil, false]))
        case 1: (rotation, settingsRotate) = (.untilSuccessorIsUsed, generator.pick([nil, true]))
        case 2: (rotation, settingsRotate) = (.always(grace: generator.within(1...60).rounded()), generator.pick([nil, true]))
        default: (rotation, settingsRotate) = (.always(grace: 0), generator.pick([nil, true]))
        }
        let knowsGrace = generator.chance(0.8)
        settingsGrace =
            switch rotation {
            case .untilSuccessorIsUsed where knowsGrace: .untilSuccessorIsUsed
            case .always(let grace) where knowsGrace: .seconds(Int(grace))
            default: nil
            }
        resend = generator.chance(0.1) ? .never : nil
        lifetime = generator.pick([20, 60, 300, 3600])
        let isClean = generator.chance(0.25)
        losesAnswers = !isClean && generator.chance(0.6)
        failsToStore = !isClean && generator.chance(0.4)
        otherLogins = !isClean && generator.chance(0.2)
        crashes = isClean || generator.chance(0.2) ? 0 : 1 + generator.below(4)
        processes = 1 + generator.below(3)
        calls = 3 + generator.below(8)
    }

    var rotates: Bool { if case .never = rotation { false } else { true } }
}

/// What a simulation is to find: each changes the world around the driver so that a rule is broken.
enum SeededFault: String, CaseIterable, Sendable {
    /// One time in three, a claim is given although another holds it.
    case claimIsGrantedTwice
    /// Every process has claims of its own: a lock on a file system that does not share it.
    case claimsAreNotShared
    /// A store takes every answer, whatever refresh token it was given for.
    case storeIgnoresLineage
    /// A journal that was written, but not to the disk.
    case journalIsLostInACrash
    /// A permit to send is given before anything is written down.
    case permitComesWithoutAJournal
    /// A commit says that all is well, and has left out the refresh token.
    case commitDropsTheRefreshToken
    /// The settings promise a grace period that the server does not have.
    case graceIsMadeUp
    /// When a process dies, somebody sets the clock back by an hour.
    case clockJumpsBack
    /// After a restart of the machine, its boot has the name of the one before.
    case bootKeepsItsName
    /// The transport gives up after twenty seconds, and sends the same request again.
    case transportSendsAgain

    /// The rules that it breaks: one of them is what the simulation has to name.
    var rules: Set<SimulationRule> {
        switch self {
        case .claimIsGrantedTwice, .claimsAreNotShared: [.oneSendingAtATime, .noReuse]
        case .storeIgnoresLineage: [.lineage]
        case .permitComesWithoutAJournal: [.journalComesFirst]
        case .commitDropsTheRefreshToken: [.nothingIsDropped]
        case .bootKeepsItsName: [.bootEndsDoubt]
        case .journalIsLostInACrash: [.oneSendingAtATime, .resentOnce, .resentLate]
        case .graceIsMadeUp, .clockJumpsBack, .transportSendsAgain: [.oneSendingAtATime]
        }
    }
}

/// What must hold in every run.
enum SimulationRule: String, Sendable {
    case oneSendingAtATime = "no refresh token is sent while an earlier sending of it may still be answered"
    case journalComesFirst = "nothing is sent before it is written down"
    case resentOnce = "outside the grace period, a refresh token whose answer is missing is sent once more"
    case resentLate = "it is not sent once more while the stored access token lives"
    case nothingIsDropped = "a refresh token that has reached the client is stored"
    case lineage = "an answer takes the place of no other login"
    case everyCallerIsAnswered = "every caller gets a token or an error in time"
    case noReuse = "the server sees a replaced refresh token only where the answer that replaced it was lost"
    case tokensAreGood = "no token is served that the server has ended because of us"
    case endedMeansEnded = "a login is marked as ended only if the server has ended it"
    case bootEndsDoubt = "a sending of an earlier start of the machine holds nothing up"
    case loginSurvives = "where no answer is lost, no process dies and every commit succeeds, the login lives"
}
