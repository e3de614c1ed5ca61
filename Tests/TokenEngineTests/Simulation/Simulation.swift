import Foundation
import OAuth
import Sodium

@testable import TokenEngine

/// One machine with several processes, each with a driver as it is shipped, a store that they share, and one server. A seed
/// decides what happens, and in which order; the rules are checked with every event.
final class Simulation: @unchecked Sendable {
    struct Violation: Sendable {
        let rule: SimulationRule
        let seed: UInt64
        let details: String
    }

    static let name = "a"
    /// Within this many seconds every caller has an answer: a claim is waited for 200 s, a sending begins within 45 s, its
    /// answer takes up to 180 s, and ten commits up to 25 s.
    static let callLimit = 550.0
    private static let start = 1_000_000.0
    /// Seconds that may pass between the decision to send, the commit of the journal and the request.
    static let slowCommit = 3.0

    let seed: UInt64
    let fault: SeededFault?
    let plan: SimulationPlan
    let scheduler: SeededScheduler
    let server: SimulatedServer
    private(set) var disk: SimulatedDisk!
    private(set) var boot = 1
    private(set) var violation: Violation?
    private(set) var trace: [String] = []
    private let isTraced: Bool
    private var processes: [SimulatedProcess] = []
    private var started = 0
    private var crashesLeft: Int
    private var calls = 0
    private var clockOffset = 0.0
    /// So many commits fail from now on.
    private var failingCommits = 0
    /// Whether nothing has happened that could end a login.
    private var isUndisturbed = true

    init(seed: UInt64, fault: SeededFault? = nil, isTraced: Bool = false) {
        (self.seed, self.fault, self.isTraced) = (seed, fault, isTraced)
        scheduler = SeededScheduler(seed: seed)
        plan = SimulationPlan(&scheduler.generator)
        server = SimulatedServer(plan.rotation)
        crashesLeft = plan.crashes
        disk = SimulatedDisk(self, credential())
    }

    // MARK: The run

    func run() {
        note("\(plan)")
        for _ in 0..<plan.processes { startProcess() }
        scheduleCalls()
        if plan.failsToStore { scheduleFailures() }
        if plan.otherLogins { scheduler.after(scheduler.generator.within(0...plan.lifetime)) { self.logInElsewhere() } }
        scheduler.run()
        checkEnd()
    }

    private func credential() -> Credential {
        do {
            let session = server.logIn()
            var credential = try someCredential()
            credential.configuration.settings.grant = .authorizationCode
            credential.configuration.settings.refreshTokenRotates = plan.settingsRotate
            credential.configuration.settings.refreshTokenGrace = knownGrace
            credential.configuration.settings.resend = plan.resend
            credential.state = try state(session, hasToken: scheduler.generator.chance(0.7))
            return credential
        } catch {
            preconditionFailure("no locked memory for a token: \(error)")
        }
    }

    private var knownGrace: RefreshTokenGrace? { fault == .graceIsMadeUp ? .seconds(600) : plan.settingsGrace }

    private func state(_ session: (access: String, refresh: String), hasToken: Bool) throws -> TokenState {
        let login = Login(refreshToken: try Secret(utf8: session.refresh), since: now, renewed: now, owner: "here")
        let sent = now.timeIntervalSince1970
        return TokenState(
            login: login, tokens: hasToken ? [try someToken(session.access, sent: sent, lifetime: plan.lifetime)] : [])
    }

    private func scheduleCalls() {
        var time = 0.0
        for _ in 0..<plan.calls {
            switch scheduler.generator.below(4) {
            case 0, 1: time += scheduler.generator.within(0...1)
            case 2: time += scheduler.generator.within(0...30)
            default: time += plan.lifetime * scheduler.generator.within(0.8...1.1)
            }
            scheduler.after(time) { self.call() }
        }
    }

    private func scheduleFailures() {
        for _ in 0..<3 {
            scheduler.after(scheduler.generator.within(0...(plan.lifetime + 20))) {
                guard self.violation == nil else { return }
                self.failingCommits = 1 + self.scheduler.generator.below(12)
            }
        }
    }

    var now: Date { Date(timeIntervalSince1970: Self.start + scheduler.now + clockOffset) }

    func note(_ text: @autoclosure () -> String) {
        guard isTraced else { return }
        let time = String(Int(scheduler.now * 1000))
        trace.append(String(repeating: " ", count: max(0, 9 - time.count)) + time + " ms  " + text())
    }

    /// The first violation ends the run: what follows from it says nothing.
    func violate(_ rule: SimulationRule, _ details: @autoclosure () -> String) {
        guard violation == nil else { return }
        violation = Violation(rule: rule, seed: seed, details: details())
        note("VIOLATION: \(rule.rawValue): \(details())")
        for process in processes { process.isAlive = false }
    }

    // MARK: Processes

    private func startProcess() {
        guard violation == nil else { return }
        started += 1
        let process = SimulatedProcess(started, self, boot: boot)
        processes.append(process)
        note("process \(started) starts, boot \(boot)")
    }

    /// It may die here, and sometimes the machine with it.
    func mayCrash(_ process: SimulatedProcess, _ place: @autoclosure () -> String, chance: Double = 0.04) {
        guard crashesLeft > 0, process.isAlive, scheduler.generator.chance(chance) else { return }
        crash(process, place())
    }

    private func crash(_ process: SimulatedProcess, _ place: String) {
        guard process.isAlive, violation == nil else { return }
        (crashesLeft, isUndisturbed) = (crashesLeft - 1, false)
        let isReboot = scheduler.generator.chance(0.25)
        note("process \(process.number) dies \(place)\(isReboot ? ", with the machine" : "")")
        for process in isReboot ? processes : [process] where process.isAlive { end(process) }
        if isReboot { boot += 1 }
        if fault == .clockJumpsBack { clockOffset -= 3600 }
        let pause = scheduler.generator.within(0...5)
        for index in 0..<(isReboot ? plan.processes : 1) {
            scheduler.after(pause + Double(index)) {
                self.startProcess()
                self.call()
            }
        }
    }

    private func end(_ process: SimulatedProcess) {
        process.isAlive = false
        for sending in server.openSendings(of: process) { sending.isUncertain = true }
        process.owed?.lose()
        process.owed = nil
        disk.lose(process)
    }

    /// While a request is under way.
    func mayCrashWithin(_ seconds: Double, _ process: SimulatedProcess) {
        guard crashesLeft > 0, scheduler.generator.chance(0.3) else { return }
        scheduler.after(scheduler.generator.within(0...(seconds * 1.1))) {
            guard self.crashesLeft > 0 else { return }
            self.crash(process, "while a request is under way")
        }
    }

    // MARK: Callers

    private func call() {
        let living = processes.filter(\.isAlive)
        guard violation == nil, !living.isEmpty else { return }
        let process = scheduler.generator.pick(living)
        calls += 1
        let (number, ask) = (calls, scheduler.generator.chance(0.1) ? nil : ask())
        note("call \(number) in process \(process.number): \(ask.map { "\($0.mode) \($0.access.scopes)" } ?? "a proof")")
        let caller = SimulatedCaller()
        let task = Task(executorPreference: process.executor) {
            do {
                self.answered(number, process, caller, .success(try await Self.acquire(ask, process.driver)))
            } catch {
                self.answered(number, process, caller, .failure(error))
            }
        }
        scheduler.after(Self.callLimit) {
            guard process.isAlive, !caller.isAnswered else { return }
            self.violate(.everyCallerIsAnswered, "call \(number)")
        }
        let isCancelled = scheduler.generator.chance(ask == nil ? 0.5 : 0.1)
        if isCancelled { scheduler.after(scheduler.generator.within(0...20)) { task.cancel() } }
    }

    /// - Parameter ask: nil for a proof, as of a rotation.
    private static func acquire(_ ask: TokenQuery?, _ driver: TokenDriver) async throws -> CachedToken {
        if let ask { return try await driver.token(name, ask) }
        return try await driver.withClaim(name) { try await driver.prove($0.credential.configuration, under: $0) }
    }

    private func ask() -> TokenQuery {
        var ask = TokenQuery()
        switch scheduler.generator.below(8) {
        case 0, 1: ask.mode = .fresh
        case 2:
            ask.mode = .rejected
            if scheduler.generator.chance(0.5) {
                ask.rejectedToken = disk.credential.state.tokens.first.map { TokenHash(of: $0.token) }
            }
        default: break
        }
        if scheduler.generator.chance(0.1) { ask.access.scopes = ["other"] }
        return ask
    }

    private func answered(
        _ number: Int, _ process: SimulatedProcess, _ caller: SimulatedCaller, _ result: Result<CachedToken, any Error>
    ) {
        caller.isAnswered = true
        guard process.isAlive else { return }
        switch result {
        case .success(let token):
            let text = token.token.revealed()
            note("call \(number): \(text)")
            if !server.hasIssued(text) { violate(.tokensAreGood, "call \(number) has \(text), which nobody issued") }
            if server.hasEndedLogin(ofAccess: text), isEndedByUs { violate(.tokensAreGood, "call \(number) has \(text)") }
            server.use(text)
        case .failure(let error):
            note("call \(number) fails: \(error)")
            checkDelay(error, number)
        }
    }

    private func checkDelay(_ error: any Error, _ number: Int) {
        guard case .outcomeUnknown(_, let until?, _) = error as? TokenError, disk.journaledBoot != boot,
            let last = disk.credential.state.login?.sending?.last, until == last.addingTimeInterval(Acquisition.answerLimit)
        else { return }
        violate(.bootEndsDoubt, "call \(number)")
    }

    private var isEndedByUs = false

    // MARK: Requests

    func begin(_ refreshToken: String, _ access: RequestedAccess, _ process: SimulatedProcess) -> SimulatedSending {
        let earlier = server.sendings(of: refreshToken)
        let sending = server.begin(refreshToken, process, boot: boot, at: scheduler.now)
        note("process \(process.number) sends \(refreshToken) (\(sending.number))")
        if let login = disk.credential.state.login, login.refreshToken.revealed() == refreshToken, login.sending == nil {
            violate(.journalComesFirst, "\(refreshToken)")
        }
        for open in earlier where open.isOpen && open.boot == boot {
            guard !server.isHarmless(after: open.began, at: scheduler.now - Self.slowCommit) else { continue }
            violate(.oneSendingAtATime, "\(refreshToken): sending \(sending.number) during \(open.number)")
        }
        checkResend(sending, after: earlier.filter(\.isUncertain), access)
        return sending
    }

    private func checkResend(_ sending: SimulatedSending, after lost: [SimulatedSending], _ access: RequestedAccess) {
        guard plan.rotates, let first = lost.first, !isKnownHarmless(after: first.began) else { return }
        sending.isLate = true
        if lost.contains(where: \.isLate) || plan.resend == .never {
            violate(.resentOnce, "\(sending.refreshToken), sending \(sending.number)")
        }
        if let token = disk.credential.state.token(for: access), token.rejected == nil, !token.hasExpired(at: now),
            token.sent <= now.addingTimeInterval(Freshness.toleratedSkew)
        {
            violate(.resentLate, "\(sending.refreshToken), sending \(sending.number)")
        }
    }

    private func isKnownHarmless(after began: Double) -> Bool {
        switch knownGrace {
        case nil: false
        case .untilSuccessorIsUsed: true
        case .seconds(let grace): scheduler.now - began < Double(grace) + Self.slowCommit
        }
    }

    func work(_ sending: SimulatedSending) -> SimulatedServer.Result {
        let result = server.work(sending, at: scheduler.now) {
            let excuse = server.sendings(of: sending.refreshToken).contains { $0.hasReplaced && !$0.hasArrived }
            note("the server ends the login at sending \(sending.number)\(excuse ? "; an answer was lost" : "")")
            guard !excuse, sending.sender.isAlive else { return }
            isEndedByUs = true
            violate(.noReuse, "\(sending.refreshToken), sending \(sending.number)")
        }
        note("the server works on \(sending.number): \(result)")
        return result
    }

    /// What has come to the sender is all that it knows.
    func arrive(_ fate: SimulatedFate, _ result: SimulatedServer.Result?, _ answer: EndpointAnswer?, _ sending: SimulatedSending)
    {
        let process = sending.sender
        let text = answer.map { String(decoding: $0.body, as: UTF8.self) } ?? ""
        note("\(sending.number) is answered: \(answer.map { "\($0.status) \(text)" } ?? "nothing")")
        guard process.isAlive else { return }
        if case .granted(_, let refresh?) = result, text.contains("\"\(refresh)\"") {
            sending.hasArrived = true
            process.owed = OwedToken(refresh, sending)
        } else if answer == nil || answer?.isWhole == false || [500, 502, 504].contains(answer?.status ?? 0) {
            sending.isUncertain = true
        }
        switch fate {
        case .lost, .cut, .failing: isUndisturbed = false
        default: break
        }
    }

    // MARK: The store

    /// Whether this commit is one that fails.
    func failsToCommit() -> Bool {
        guard failingCommits > 0 else { return false }
        (failingCommits, isUndisturbed) = (failingCommits - 1, false)
        return true
    }

    func hasNoRoom() -> Bool {
        guard plan.failsToStore, scheduler.generator.chance(0.05) else { return false }
        isUndisturbed = false
        return true
    }

    /// A person logs in, and a program that takes no claim stores it.
    private func logInElsewhere() {
        guard violation == nil, let state = try? state(server.logIn(), hasToken: true) else { return }
        note("another program stores \(state.login?.refreshToken.revealed() ?? "")")
        disk.replace(state)
        isUndisturbed = false
    }

    func checkCommit(_ old: Login?, _ new: Login?) {
        guard let new, new.ended != nil, old?.ended == nil else { return }
        let token = new.refreshToken.revealed()
        if server.takes(token, at: scheduler.now) { violate(.endedMeansEnded, token) }
    }

    func claimEnds(_ process: SimulatedProcess) {
        guard process.isAlive, let owed = process.owed else { return }
        process.owed = nil
        // Another login has taken its place.
        guard disk.credential.state.login?.refreshToken.revealed() == owed.sending.refreshToken else { return }
        if owed.failures >= 10 { return owed.lose() }
        violate(.nothingIsDropped, "\(owed.refreshToken), after \(owed.failures) commits that failed")
    }

    private func checkEnd() {
        guard violation == nil, isUndisturbed, let login = disk.credential.state.login else { return }
        let token = login.refreshToken.revealed()
        if login.ended != nil || !server.takes(token, at: scheduler.now) { violate(.loginSurvives, token) }
    }
}

/// A caller of a driver.
final class SimulatedCaller: @unchecked Sendable {
    var isAnswered = false
}

/// A refresh token that has come in an answer and is to be stored.
final class OwedToken {
    let refreshToken: String
    let sending: SimulatedSending
    var failures = 0

    init(_ refreshToken: String, _ sending: SimulatedSending) { (self.refreshToken, self.sending) = (refreshToken, sending) }

    /// As if its answer had not come.
    func lose() { (sending.hasArrived, sending.isUncertain) = (false, true) }
}
