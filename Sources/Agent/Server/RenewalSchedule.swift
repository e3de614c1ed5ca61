import Access
import AgentProtocol
import Credentials
import FoundationEssentials
import Glibc
import OAuth
import Synchronization
import TokenEngine
import Vault

/// Keeps the tokens valid that somebody has asked for lately, so that nobody waits for a server, and writes the sinks.
/// `RenewalPlans` says which token is renewed when.
///
/// When that fails, a token goes on being handed out while it is valid, and the next try comes later; a failure that only a
/// person can repair is tried again once an hour.
final class RenewalSchedule: Sendable {
    /// A credential nobody has asked for in so many seconds is left alone.
    static let interest = 86_400.0

    private struct SinkState {
        var written: [UInt8] = []
        var nextTry = Date.distantPast
        var failures = 0
        var isBusy = false
        /// The vault's generation in which the credential was found to be blocked, and the file removed.
        var blockedIn: UInt64?
    }

    private struct State {
        var failures: [String: RefreshFailure] = [:]
        var sinks: [Int: SinkState] = [:]
        var looked: (generation: UInt64, at: Date) = (0, .distantPast)
        var lookedForIdle = Date.distantPast
        /// When a login was used last so that it does not end of idleness.
        var used: [String: Date] = [:]
    }

    private let agent: CredentialService
    private let cache: TokenCache
    private let vault: UnlockedVault
    private let log: AuditLog
    private let clock: any WallClock
    private let settings: RefreshSettings
    private let state = Mutex(State())

    init(
        agent: CredentialService, cache: TokenCache, vault: UnlockedVault, log: AuditLog, clock: any WallClock,
        settings: RefreshSettings
    ) {
        (self.agent, self.cache, self.vault, self.log) = (agent, cache, vault, log)
        (self.clock, self.settings) = (clock, settings)
    }

    /// What could not be renewed, in the order of the names.
    var failures: [RefreshFailure] {
        state.withLock { $0.failures.values.sorted { $0.credential < $1.credential } }
    }

    /// Seconds until there is something to do: a second at most, for callers and other processes change what is due.
    var pause: Double {
        let next = cache.withPlans { $0.nextDue } ?? .distantFuture
        return min(1, max(0.2, next.timeIntervalSince(clock.now())))
    }

    /// Renews what is due, and returns when the connections that this has begun to use are free again.
    func run() async {
        if settings.keepsAllFresh { await planAll() }
        await useIdleLogins()
        let now = clock.now()
        let due = cache.withPlans { $0.begin(at: now, interest: settings.keepsAllFresh ? .infinity : Self.interest) }
        await withDiscardingTaskGroup { group in
            for entry in due { group.addTask { await self.renewAll(from: entry) } }
            for index in settings.sinks.indices { group.addTask { await self.write(index) } }
        }
    }

    /// Renews this token, and then what waits for the same server.
    private func renewAll(from first: RenewalPlans.Due) async {
        var due: RenewalPlans.Due? = first
        while let current = due, !Task.isCancelled {
            await renew(current)
            due = cache.withPlans { $0.next(after: current) }
        }
    }

    /// Every credential that can have a token without a person gets one; looked at once a minute if the vault has changed.
    private func planAll() async {
        let now = clock.now()
        guard let generation = try? vault.newestGeneration() else { return }
        let isDue = state.withLock { state in
            guard generation != state.looked.generation, abs(now.timeIntervalSince(state.looked.at)) >= 60 else { return false }
            state.looked = (generation, now)
            return true
        }
        guard isDue, let all = try? agent.list() else { return }
        for summary in all.compactMap(\.view) where summary.refusedSince == nil && summary.loginEnded == nil {
            guard summary.blockedSince == nil else { continue }
            guard !summary.settings.grant.needsLogin || summary.loggedInSince != nil else { continue }
            let server = summary.settings.tokenURL.host
            cache.withPlans { $0.plan(TokenKey(name: summary.name), at: server, now: now) }
        }
    }

    /// Uses the refresh tokens that would end if nobody did, whether somebody wants a token or not. Looked at once an hour; a login
    /// whose end does not move by that is used once a day at most.
    private func useIdleLogins() async {
        let now = clock.now()
        let isDue = state.withLock { state in
            guard abs(now.timeIntervalSince(state.lookedForIdle)) >= 3600 else { return false }
            state.lookedForIdle = now
            return true
        }
        guard isDue, let all = try? agent.list() else { return }
        for view in all.compactMap(\.view) where view.idleEnd(soonAt: now).map({ $0 > now }) ?? false {
            guard view.blockedSince == nil else { continue }
            let name = view.name
            guard now.timeIntervalSince(state.withLock { $0.used[name] } ?? .distantPast) >= 86_400 else { continue }
            state.withLock { $0.used[name] = now }
            do {
                let handout = try cache.keep(try await agent.token(name, TokenQuery(mode: .fresh)), of: name)
                state.withLock { $0.failures[name] = nil }
                await record(name, handout.token)
            } catch {
                note(error, name, under: name, "the login of \(name), which ends if it is not used, could not be renewed")
                await record(name, nil)
            }
        }
    }

    private func renew(_ due: RenewalPlans.Due) async {
        let name = due.key.name
        // Not what another process has renewed meanwhile.
        let left = due.expires.map { $0.timeIntervalSince(clock.now()) } ?? 0
        let ask = TokenQuery(access: due.key.access, minimumLifetime: max(0, Int(left)) + (due.expires == nil ? 0 : 1))
        do {
            let handout = try cache.keep(try await agent.token(name, ask), of: name)
            state.withLock { $0.failures[name] = nil }
            guard handout.sent != due.sent else { return postpone(due, by: max(1, left / 2)) }
            await record(name, handout.token)
        } catch VaultError.noSuchCredential {
            cache.withPlans { $0.forget(due.key) }
        } catch let error as TokenError where error.block != nil {
            // Whoever asks when it is unblocked has it planned anew.
            cache.withPlans { $0.forget(due.key) }
            state.withLock { $0.failures[name] = nil }
        } catch TokenError.lifetimeTooShort {
            // A server may hand out the same token until its end: that is no failure.
            postpone(due, by: max(1, left / 2))
        } catch {
            postpone(due, by: Self.pause(after: error, left: left) * Double.random(in: 0.8...1.2))
            note(error, name, under: name, "the token of \(name) could not be renewed")
            await record(name, nil)
        }
    }

    private func postpone(_ due: RenewalPlans.Due, by seconds: Double) {
        let then = clock.now().addingTimeInterval(seconds)
        cache.withPlans { $0.postpone(due, until: then) }
    }

    /// Seconds until the next try.
    /// - Parameter left: seconds until the token ends.
    static func pause(after error: any Error, left: Double) -> Double {
        if needsPerson(error) { return 3600 }
        let usual = min(60, max(5, left / 4))
        guard case .retry(let seconds?) = (error as? TokenError)?.remedy else { return usual }
        return max(usual, Double(seconds))
    }

    /// Whether trying again does not help until a person has done something.
    static func needsPerson(_ error: any Error) -> Bool {
        // What is wrong with the network may pass, also where it looks like a setting.
        guard let failure = error as? TokenError, !failure.isOfTheNetwork else { return false }
        return switch failure.remedy {
        case .logIn, .replaceSecret, .configure: true
        case .retry, .askOtherwise, .investigate: false
        }
    }

    /// Keeps what went wrong for the status, and tells of it once.
    /// - Parameter key: the credential's name, or the sink's.
    private func note(_ error: any Error, _ credential: String, under key: String, _ what: String) {
        let problem = Problem(describing: error, of: credential)
        let isNew = state.withLock { state in
            let old = state.failures[key]
            state.failures[key] = RefreshFailure(
                credential: credential, title: problem.title, hint: problem.hint?.text,
                since: old?.since ?? clock.now(), needsPerson: Self.needsPerson(error))
            return old?.title != problem.title
        }
        if isNew { settings.report("\(what): \(problem.title)") }
    }

    /// Beside the lines that say when a refresh token was sent.
    private func record(_ name: String, _ token: [UInt8]?) async {
        var event = AuditEvent(
            time: clock.now(), event: .refresh, credential: name, outcome: token == nil ? "failed" : "done", uid: getuid(),
            pid: getpid(), exe: nil)
        event.token = token.map(log.fingerprint)
        try? await log.appendInTurn(event)
    }

    // MARK: Sinks

    private func write(_ index: Int) async {
        let sink = settings.sinks[index]
        let now = clock.now()
        let taken = state.withLock { state -> SinkState? in
            let known = state.sinks[index] ?? SinkState()
            guard now >= known.nextTry, !known.isBusy else { return nil }
            state.sinks[index, default: SinkState()].isBusy = true
            return known
        }
        guard let known = taken else { return }
        let generation = try? vault.newestGeneration()
        defer { state.withLock { $0.sinks[index]?.isBusy = false } }
        if let blockedIn = known.blockedIn, blockedIn == generation, !sink.isThere { return }
        do {
            let token: CachedToken
            if let cached = try cache.handout(sink.credential, TokenQuery(), at: now) {
                guard cached.token != known.written || !sink.isThere else { return }
                token = try await agent.token(sink.credential, TokenQuery())
            } else {
                token = try await agent.token(sink.credential, TokenQuery())
            }
            let handout = try cache.keep(token, of: sink.credential, asked: now)
            var event = AuditEvent(
                time: now, event: .token, credential: sink.credential, outcome: "done", uid: getuid(), pid: getpid(), exe: nil)
            event.token = log.fingerprint(handout.token)
            event.reason = "sink " + sink.path
            try await log.appendInTurn(event)
            try sink.write(sink.render(token))
            state.withLock { $0.sinks[index] = SinkState(written: handout.token) }
            state.withLock { $0.failures["sink " + sink.path] = nil }
        } catch let error as TokenError where error.block != nil {
            remove(sink, index, known, because: error, in: generation)
        } catch {
            failed(sink, index, known, error, "could not be written")
        }
    }

    /// A token of a blocked credential must not go on being used: the file goes, and a program that reads it fails at once instead of
    /// sending nothing to its API. It comes back when the credential is unblocked.
    private func remove(_ sink: TokenSink, _ index: Int, _ known: SinkState, because block: TokenError, in generation: UInt64?) {
        do {
            try sink.remove()
            state.withLock { state in
                state.sinks[index] = SinkState(blockedIn: generation)
                state.failures["sink " + sink.path] = nil
            }
            if known.blockedIn == nil {
                settings.report("\(sink.path) is removed: \(Problem(describing: block, of: sink.credential).title)")
            }
        } catch {
            failed(sink, index, known, error, "holds a token of a blocked credential, and could not be removed")
        }
    }

    private func failed(_ sink: TokenSink, _ index: Int, _ known: SinkState, _ error: any Error, _ what: String) {
        let pause = min(60, pow(2, Double(min(known.failures, 6))))
        let then = clock.now().addingTimeInterval(pause)
        state.withLock { state in
            state.sinks[index] = SinkState(written: known.written, nextTry: then, failures: known.failures + 1)
        }
        note(error, sink.credential, under: "sink " + sink.path, "\(sink.path) \(what)")
    }
}

/// What an agent does by itself.
public struct RefreshSettings: Sendable {
    /// Whether tokens are kept valid that nobody asks for.
    public var keepsAllFresh = false
    public var sinks: [TokenSink] = []
    /// Is told once of each thing that goes wrong, in words for a person.
    public var report: @Sendable (String) -> Void = { _ in }

    public init() {}
}

extension TokenError {
    fileprivate var isOfTheNetwork: Bool { if case .unreachable = self { true } else { false } }
}
