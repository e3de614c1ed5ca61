import FoundationEssentials
import HTTPTypes
public import HummingbirdCore
public import LocalServer
import NIOCore
public import TokenEngine
public import Vault

/// The daemon that holds an unlocked vault: HTTP/1.1 with JSON over a Unix socket.
public final class AgentServer: Sendable {
    private let vault: AgentVault
    private let server: LocalServer
    private let stop = StopSignal()
    private let clock: any WallClock

    /// - Parameters:
    ///   - path: the vault's absolute path.
    ///   - describe: puts an error in words.
    public init(
        vault path: String, memory: GenerationMemory?, transport: any HTTPTransport, clock: any WallClock = SystemClock(),
        limits: LocalServer.Limits = .init(), describe: @escaping @Sendable (any Error) -> AgentProblem
    ) {
        self.clock = clock
        vault = AgentVault(path: path, memory: memory, transport: transport, clock: clock)
        let requests = AgentRequests(vault: vault, clock: clock, describe: describe)
        let stop = stop
        server = LocalServer(limits: limits, stop: stop) { channel in
            // The caller is known before the first byte is read.
            Caller.of(channel).map { caller in { try await Self.respond(requests, stop, to: $0, from: caller, $1, $2) } }
        }
    }

    /// Opens the vault from the start.
    /// - Parameters: seconds, both.
    public func open(_ unlocked: UnlockedVault, ttl: Double? = nil, idle: Double? = nil) {
        vault.open(unlocked, ttl: ttl, idle: idle)
    }

    public func lock() { vault.lock() }
    public func shutDown() { stop.signal() }

    /// Serves until it is shut down; the vault is locked then, and its keys are gone.
    /// - Parameter onReady: called when callers can connect.
    public func run(on socket: LocalServer.Address, onReady: @Sendable () -> Void = {}) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.lockWhenDue() }
            group.addTask { await self.sealTheLog() }
            defer { group.cancelAll() }
            try await server.run(on: socket) { _ in onReady() }
        }
        vault.lock()
    }

    private static func respond(
        _ requests: AgentRequests, _ stop: StopSignal, to request: Request, from caller: Caller,
        _ writer: consuming ResponseWriter,
        _ channel: any Channel
    ) async throws {
        guard AgentRequests.isShort(request) else {
            // Without reading the rest of it, however long that is.
            try await write(AgentRequests.tooLong, writer)
            return try await channel.close().get()
        }
        let answer = await requests.answer(request, from: caller)
        try await write(answer, writer)
        if answer.isLast { stop.signal() }
    }

    private static func write(_ answer: AgentRequests.Answer, _ writer: consuming ResponseWriter) async throws {
        var headers: HTTPFields = [.contentType: answer.type, .cacheControl: "no-store"]
        headers[.contentLength] = "\(answer.body.count)"
        let response = HTTPResponse(status: answer.status, headerFields: headers)
        try await writer.write(response: response, body: ResponseBody(byteBuffer: ByteBuffer(bytes: answer.body)))
    }

    /// At least once a minute while lines are written, the log's head goes into the vault.
    private func sealTheLog() async {
        while !Task.isCancelled {
            try? await clock.sleep(seconds: 60)
            try? vault.opened(isUse: false).log.seal()
        }
    }

    private func lockWhenDue() async {
        while !Task.isCancelled {
            try? await clock.sleep(seconds: 1)
            vault.lockIfDue()
        }
    }
}
