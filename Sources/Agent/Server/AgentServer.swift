public import Access
import Credentials
import FoundationEssentials
public import HTTP
import Linux
import Synchronization
public import TokenEngine
public import Vault

/// The daemon that holds an unlocked vault: HTTP/1.1 with JSON over a Unix socket.
public final class AgentServer: Sendable {
    private let vault: AgentVault
    private let server: HTTPServer
    private let stop = StopSignal()
    private let clock: any WallClock

    /// - Parameter path: the vault's absolute path.
    public init(
        vault path: String, memory: SeenGenerations?, transport: any HTTPTransport, host: Host,
        clock: any WallClock = SystemClock(),
        limits: HTTPServer.Limits = .init(), refresh: RefreshSettings = RefreshSettings(), accounts: Accounts = Accounts()
    ) {
        self.clock = clock
        vault = AgentVault(
            path: path, memory: memory, transport: transport, host: host, clock: clock, refresh: refresh, accounts: accounts)
        let stop = stop
        let requests = AgentRequests(vault: vault, clock: clock) { stop.signal() }
        server = HTTPServer(limits: limits, stop: stop, bodyLimit: AgentRequests.bodyLimit) { requests.replies(to: $0) }
    }

    /// Opens the vault from the start.
    /// - Parameters: seconds, both.
    /// - Throws: what the log throws if it can't be written.
    public func open(_ unlocked: UnlockedVault, ttl: Double? = nil, idle: Double? = nil) throws {
        vault.open(unlocked, ttl: ttl, idle: idle)
        try vault.opened().log.append([vault.event(.unlock, nil)])
    }

    public func lock() { vault.lock() }
    public func shutDown() { stop.signal() }

    /// Serves until it is shut down; the vault is locked then, and its keys are gone.
    /// - Parameter onReady: called when callers can connect.
    public func run(on socket: HTTPServer.Address, onReady: @Sendable () -> Void = {}) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.lockWhenDue() }
            group.addTask { await self.sealTheLog() }
            group.addTask { await self.keepFresh() }
            var place: OwnSocket?
            if case .path(let path) = socket { place = OwnSocket(path: path) }
            if let place { group.addTask { await self.endWithout(place) } }
            defer { group.cancelAll() }
            try await server.run(on: socket) { [place] _ in
                place?.isBound()
                onReady()
            }
            place?.remove()
        }
        vault.lock()
    }

    /// An agent that nobody can reach holds no keys: its folder may be removed at a log-out, and another agent be started in its
    /// place.
    private func endWithout(_ socket: OwnSocket) async {
        while !Task.isCancelled {
            try? await clock.sleep(seconds: 1)
            guard !socket.isGone else {
                vault.lock()
                return stop.signal()
            }
        }
    }

    /// At least once a minute while lines are written, the log's head goes into the vault.
    private func sealTheLog() async {
        while !Task.isCancelled {
            try? await clock.sleep(seconds: 60)
            guard let open = try? vault.opened() else { continue }
            try? open.log.seal(in: open.vault)
        }
    }

    /// One pass does not wait for the one before: a slow server keeps nobody else's tokens from being renewed.
    private func keepFresh() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                try? await clock.sleep(seconds: (try? vault.opened())?.renewals.pause ?? 1)
                group.addTask { await self.refresh() }
            }
        }
    }

    /// Renews what is due, and returns when that is done.
    func refresh() async {
        await (try? vault.opened())?.renewals.run()
    }

    private func lockWhenDue() async {
        while !Task.isCancelled {
            try? await clock.sleep(seconds: 1)
            vault.lockIfDue()
        }
    }
}

/// The socket that an agent has made, as long as it is that one.
private final class OwnSocket: Sendable {
    let path: String
    private let identity = Mutex<FileStatus.Identity?>(nil)

    init(path: String) { self.path = path }

    /// Call it when the server listens.
    func isBound() { identity.withLock { $0 = Path.identity(of: path) } }

    /// Whether there was a socket of ours, and now there is none, or another's.
    var isGone: Bool { identity.withLock { $0 != nil && $0 != Path.identity(of: path) } }

    func remove() { if identity.withLock({ $0 != nil }), !isGone { Path.remove(path) } }
}
