import Access
import AgentProtocol
import Credentials
import Dispatch
import FoundationEssentials
import Glibc
import Sodium
import Synchronization
import TokenEngine
import Vault

/// The agent's vault: locked, or open for a while.
final class AgentVault: Sendable {
    /// Everything that exists only while the vault is open. When the last request in flight lets it go, the keys are
    /// wiped.
    final class Open: Sendable {
        let vault: UnlockedVault
        let agent: CredentialService
        let cache: TokenCache
        let log: AuditLog
        let renewals: RenewalSchedule
        private let accounts: Accounts
        private let clock: any WallClock
        private let lock: Lock

        /// Whether the vault was locked since; what is in flight still holds its keys.
        private final class Lock: Sendable {
            private let isLocked = Atomic(false)

            func close() { isLocked.store(true, ordering: .releasing) }

            func check() throws {
                if isLocked.load(ordering: .acquiring) { throw Problem.agentLocked }
            }
        }

        init(
            vault: UnlockedVault, logPath: String, transport: any HTTPTransport, host: Host, clock: any WallClock,
            refresh: RefreshSettings, accounts: Accounts
        ) {
            self.vault = vault
            cache = TokenCache(vault: vault)
            (self.accounts, self.clock) = (accounts, clock)
            log = AuditLog(vault: vault, path: logPath)
            let lock = Lock()
            self.lock = lock
            agent = CredentialService(
                vault: vault, log: log, transport: transport, clock: clock, host: host, mayBegin: { try lock.check() })
            renewals = RenewalSchedule(
                agent: agent, cache: cache, vault: vault, log: log, clock: clock, settings: refresh)
        }

        /// Begins nothing new and hands out nothing from now on. What was sent is finished, and its answer stored.
        func close() {
            lock.close()
            cache.wipe()
        }

        /// - Throws: `Problem.agentLocked`.
        func refuseIfClosed() throws { try lock.check() }

        private struct Flight: Hashable {
            let name: String
            let ask: TokenQuery
        }

        private let flights = Mutex<[Flight: Task<ServedToken, any Error>]>([:])

        /// A token that is not in the cache. Whoever asks for the same thing meanwhile gets the same answer, for no more
        /// than the wait.
        /// - Throws: what the agent throws.
        func acquire(_ name: String, _ ask: TokenQuery, at now: Date) async throws -> ServedToken {
            let flight = Flight(name: name, ask: ask)
            let task = flights.withLock { flights in
                // A proof is for one request, and is made for each.
                let isShared = ask.mode == .cached && ask.proof == nil
                if isShared, let task = flights[flight] { return task }
                let task = Task {
                    defer { if isShared { self.flights.withLock { $0[flight] = nil } } }
                    let token = try await self.agent.token(name, ask)
                    var handout = try self.cache.keep(token, of: name, asked: now)
                    if ask.field != nil { handout.fields = token.extras?.withBytes { $0.array() } }
                    handout.proof = token.proof?.revealed()
                    return handout
                }
                if isShared { flights[flight] = task }
                return task
            }
            return try await task.value
        }

        private struct KnownPolicy {
            var generation: UInt64 = 0
            var version = 0
            var rules = Policy()
            var current = Policy()
        }

        private let known = Mutex(KnownPolicy())

        /// The policy as it is in the vault now, without the rules of users and groups that are gone.
        func policy() throws -> Policy {
            let generation = try vault.newestGeneration()
            let version = accounts.version
            var policy = known.withLock { $0 }
            var isNew = false
            if policy.generation != generation {
                let rules = try RuleStore(vault: vault, log: log).read()
                // Most generations are new tokens: the users of rules that stayed are not looked up again for those.
                isNew = rules != policy.rules
                policy.rules = rules
            }
            accounts.look(for: policy.rules.rules.map(\.subject), isNew: isNew, at: clock.now())
            if policy.generation == generation, policy.version == version { return policy.current }
            (policy.generation, policy.version) = (generation, version)
            policy.current = policy.rules.current(by: accounts)
            let next = policy
            known.withLock { $0 = next }
            return next.current
        }

        /// Looks up whom the rules are for, before anybody asks; for no longer than two seconds.
        func learnAccounts() {
            guard let rules = try? RuleStore(vault: vault, log: log).read().rules, !rules.isEmpty else { return }
            let isDone = DispatchSemaphore(value: 0)
            accounts.look(for: rules.map(\.subject), isNew: true, at: clock.now()) { isDone.signal() }
            _ = isDone.wait(timeout: .now() + 2)
        }
    }

    fileprivate struct State {
        var open: Open?
        var locksAt: Date?
        /// Seconds without a request.
        var idle: Double?
        var lastUse = Date.distantPast
        var guesses = UnlockThrottle()
    }

    let path: String
    let since: Date
    private let memory: SeenGenerations?
    private let transport: any HTTPTransport
    private let host: Host
    private let clock: any WallClock
    private let refresh: RefreshSettings
    private let accounts: Accounts
    private let state = Mutex(State())
    private let lastTry = Mutex<Task<Void, Never>?>(nil)

    init(
        path: String, memory: SeenGenerations?, transport: any HTTPTransport, host: Host, clock: any WallClock,
        refresh: RefreshSettings, accounts: Accounts
    ) {
        self.path = path
        self.accounts = accounts
        self.refresh = refresh
        self.memory = memory
        self.transport = transport
        self.host = host
        self.clock = clock
        since = clock.now()
    }

    // MARK: Opening

    /// Opens the vault. Keys are tried one after the other, and wrong ones make the next wait longer.
    /// - Throws: `Problem`, `VaultError`, `SodiumError`.
    func unlock(_ request: UnlockRequest) async throws {
        let task = lastTry.withLock { last in
            let previous = last
            let task = Task.detached {
                await previous?.value
                return Result { try self.tryToUnlock(request) }
            }
            last = Task { _ = await task.value }
            return task
        }
        try await task.value.get()
    }

    private func tryToUnlock(_ request: UnlockRequest) throws {
        let wait = state.withLock { $0.guesses.wait(at: clock.now()) }
        if let wait { throw Problem.tooManyGuesses(seconds: wait) }
        var isWrong = false
        defer {
            let now = clock.now()
            state.withLock { $0.guesses.note(wasWrong: isWrong, at: now) }
        }
        let key: UnlockKey
        if let passphrase = request.passphrase {
            key = .passphrase(try Secret(utf8: passphrase))
        } else if let bytes = request.key {
            key = unsafe .keyFile(try Secret(copying: Array(bytes).span.bytes))
        } else {
            throw Problem("neither a passphrase nor a key was sent", .usage)
        }
        do throws(VaultError) {
            let vault = try LockedVault(path: path, memory: memory).unlock(with: key)
            open(vault, ttl: request.ttl, idle: request.idle)
        } catch {
            isWrong = error == .wrongKey
            throw error
        }
    }

    /// A vault that is open stays open for those whom it is just answering; only its times are new.
    /// - Parameters: seconds, both.
    func open(_ vault: UnlockedVault, ttl: Double?, idle: Double?) {
        let now = clock.now()
        let isHeld = state.withLock { state in
            // One that can't be read is opened anew: an older vault may have been accepted.
            guard let held = state.open?.vault, held.isSameVault(as: vault), (try? held.newestGeneration()) != nil else {
                return false
            }
            state.locksAt = ttl.map { now.addingTimeInterval($0) }
            (state.idle, state.lastUse) = (idle, now)
            return true
        }
        if isHeld { return }
        let next = Open(
            vault: vault, logPath: path + ".log", transport: transport, host: host, clock: clock, refresh: refresh,
            accounts: accounts)
        next.learnAccounts()
        let old = state.withLock { state in
            defer {
                state.open = next
                state.locksAt = ttl.map { now.addingTimeInterval($0) }
                state.idle = idle
                state.lastUse = now
            }
            return state.open
        }
        old?.close()
    }

    // MARK: Locking

    /// Writes it down and seals the log. What can't be logged does not keep anybody from locking.
    /// - Parameter caller: who asked for it; nil for the agent itself.
    func lock(_ caller: Caller? = nil) {
        let old = state.withLock { state in
            defer { state.open = nil }
            return state.open
        }
        guard let old else { return }
        old.close()
        try? old.log.append([event(.lock, caller)], patience: 1)
        try? old.log.seal(in: old.vault)
    }

    func event(_ kind: AuditEvent.Kind, _ caller: Caller?) -> AuditEvent {
        AuditEvent(kind, by: caller ?? .own, at: clock.now())
    }

    /// Locks if the time is up, by the clock on the wall: a machine that slept has not stopped it.
    func lockIfDue() {
        let now = clock.now()
        if state.withLock({ $0.open != nil && $0.isDue(at: now) }) { lock() }
    }

    /// - Throws: `Problem.agentLocked`.
    func opened() throws -> Open {
        lockIfDue()
        guard let open = state.withLock({ $0.open }) else { throw Problem.agentLocked }
        return open
    }

    /// Somebody was permitted something: the vault is not idle.
    func isUsed() {
        let now = clock.now()
        state.withLock { $0.lastUse = now }
    }

    var status: AgentStatus {
        lockIfDue()
        return state.withLock { state in
            AgentStatus(
                locked: state.open == nil, vault: path, pid: getpid(), since: since,
                locksAt: state.open == nil ? nil : state.dueAt)
        }
    }
}

extension AgentVault.State {
    fileprivate var dueAt: Date? {
        [locksAt, idle.map { lastUse.addingTimeInterval($0) }].compactMap { $0 }.min()
    }

    fileprivate func isDue(at now: Date) -> Bool {
        // A clock that was set back would otherwise make an idle agent stay open.
        if idle != nil, now < lastUse.addingTimeInterval(-60) { return true }
        return dueAt.map { $0 <= now } ?? false
    }
}

/// Who guesses passphrases waits longer with each wrong one, up to a minute.
struct UnlockThrottle {
    private var wrong = 0
    private var nextAt = Date.distantPast

    /// - Returns: the seconds to wait, or nil to go on.
    func wait(at now: Date) -> Int? {
        // A clock that was set back must not lock everybody out.
        if now < nextAt, nextAt.timeIntervalSince(now) <= 60 { return Int(nextAt.timeIntervalSince(now).rounded(.up)) }
        return nil
    }

    mutating func note(wasWrong: Bool, at now: Date) {
        wrong = wasWrong ? wrong + 1 : 0
        nextAt = wasWrong ? now.addingTimeInterval(Double(min(1 << (min(wrong, 7) - 1), 60))) : .distantPast
    }
}
