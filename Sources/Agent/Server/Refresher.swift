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
///
/// A token is renewed in the last quarter of its life, each at a moment of its own, so that a thousand that were bought
/// together do not come back together. When that fails, it goes on being handed out while it is valid, and the next try
/// comes later; a failure that only a person can mend is tried again once an hour.
final class Refresher: Sendable {
    /// A credential nobody has asked for in so many seconds is left alone.
    static let interest = 86_400.0
    /// So many servers are asked at once.
    static let width = 16

    private struct SinkState {
        var written: [UInt8] = []
        var nextTry = Date.distantPast
        var failures = 0
        var isBusy = false
    }

    private struct State {
        var failures: [String: RefreshFailure] = [:]
        var sinks: [Int: SinkState] = [:]
        var looked: (generation: UInt64, at: Date) = (0, .distantPast)
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

    /// Does what is due, and returns when it is done.
    func run() async {
        if settings.keepsAllFresh { await takeUpAll() }
        let due = cache.due(at: clock.now(), since: settings.keepsAllFresh ? .infinity : Self.interest, atMost: Self.width)
        await withDiscardingTaskGroup { group in
            for entry in due { group.addTask { await self.renew(entry) } }
            for index in settings.sinks.indices { group.addTask { await self.write(index) } }
        }
    }

    /// Every credential that can have a token without a person gets one; looked at once a minute if the vault has changed.
    private func takeUpAll() async {
        let now = clock.now()
        guard let generation = try? vault.newestGeneration() else { return }
        let isDue = state.withLock { state in
            guard generation != state.looked.generation, abs(now.timeIntervalSince(state.looked.at)) >= 60 else { return false }
            state.looked = (generation, now)
            return true
        }
        guard isDue, let all = try? agent.list() else { return }
        for summary in all where summary.refusedSince == nil && summary.loginEnded == nil {
            guard !summary.settings.grant.needsLogin || summary.loggedInSince != nil else { continue }
            cache.takeUp(summary.name, at: now)
        }
    }

    private func renew(_ entry: TokenCache.Due) async {
        // Not what another process has renewed meanwhile.
        let left = entry.expires.map { $0.timeIntervalSince(clock.now()) } ?? 0
        let ask = TokenAsk(access: entry.access, minimumLifetime: max(0, Int(left)) + (entry.expires == nil ? 0 : 1))
        do {
            let token = try await agent.token(entry.name, ask)
            let handout = try cache.keep(token, of: entry.name)
            state.withLock { $0.failures[entry.name] = nil }
            cache.renewed(entry, at: clock.now())
            guard handout.sent != entry.sent else { return }
            await record(entry.name, handout.token)
        } catch {
            let problem = Problem(describing: error, of: entry.name)
            guard problem.code != .noSuchCredential else { return cache.giveUp(entry) }
            // A server may hand out the same token until its end: that is no failure.
            guard problem.code != .lifetimeTooShort else {
                return cache.renewed(entry, at: clock.now(), tryAgainIn: max(1, left / 2))
            }
            cache.renewed(entry, at: clock.now(), tryAgainIn: Self.pause(after: problem, left: left))
            note(problem, entry.name, under: entry.name, "the token of \(entry.name) could not be renewed")
            await record(entry.name, nil)
        }
    }

    /// Seconds until the next try.
    private static func pause(after problem: Problem, left: Double) -> Double {
        let usual = problem.code.needsPerson ? 3600 : min(60, max(5, left / 4))
        return usual * Double.random(in: 0.8...1.2)
    }

    /// Keeps what went wrong for the status, and tells of it once.
    /// - Parameter key: the credential's name, or the sink's.
    private func note(_ problem: Problem, _ credential: String, under key: String, _ what: String) {
        let isNew = state.withLock { state in
            let old = state.failures[key]
            state.failures[key] = RefreshFailure(
                credential: credential, title: problem.title, hint: problem.hint?.text,
                since: old?.since ?? clock.now(), needsPerson: problem.code.needsPerson)
            return old?.title != problem.title
        }
        if isNew { settings.report("\(what): \(problem.title)") }
    }

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
        defer { state.withLock { $0.sinks[index]?.isBusy = false } }
        do {
            let token: CachedToken
            if let cached = try cache.handout(sink.credential, TokenAsk(), at: now) {
                guard cached.token != known.written || !sink.isThere else { return }
                token = try await agent.token(sink.credential, TokenAsk())
            } else {
                token = try await agent.token(sink.credential, TokenAsk())
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
        } catch {
            let problem = Problem(describing: error, of: sink.credential)
            let pause = min(60, pow(2, Double(min(known.failures, 6))))
            state.withLock { state in
                state.sinks[index] = SinkState(
                    written: known.written, nextTry: now.addingTimeInterval(pause), failures: known.failures + 1)
            }
            note(problem, sink.credential, under: "sink " + sink.path, "\(sink.path) could not be written")
        }
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
