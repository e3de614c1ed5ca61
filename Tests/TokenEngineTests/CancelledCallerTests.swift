import Foundation
import OAuth
import Sodium
import Synchronization
import Testing

@testable import TokenEngine

/// Once a refresh token or a code has been sent, the work belongs to nobody who can be interrupted.
@Suite struct CancelledCallerTests {
    private let start = Date(timeIntervalSince1970: 1_000_000)

    private func loggedIn() throws -> MemoryStore {
        var credential = try someCredential { $0.configuration.settings.grant = .authorizationCode }
        credential.state.login = Login(
            refreshToken: try Secret(utf8: "first"), since: start, renewed: start, rotation: .rotates, owner: "here")
        return MemoryStore(["a": credential])
    }

    /// Runs `body` in a task that is cancelled while the server answers; the first commit of the answer fails.
    private func interrupted(
        _ store: MemoryStore, _ body: @escaping @Sendable (TokenDriver) async throws -> Void
    ) async throws {
        let task = Mutex<Task<Void, any Error>?>(nil)
        let transport = ScriptedTransport(.token("new", refresh: "second")) {
            store.failUpdates(1)
            while task.withLock({ $0?.cancel() }) == nil { await Task.yield() }
        }
        let driver = TokenDriver(store: store, transport: transport, clock: ManualClock(), host: Host(id: "here"))
        let started = Task { try await body(driver) }
        task.withLock { $0 = started }
        _ = await started.result
    }

    @Test func `a proof whose caller is cancelled stores the new refresh token`() async throws {
        let store = try loggedIn()
        try await interrupted(store) { driver in
            _ = try await driver.withClaim("a") { try await driver.prove($0.credential.configuration, under: $0) }
        }
        #expect(store.peek("a").state.login?.refreshToken.revealed() == "second")
    }

    @Test func `a login whose caller is cancelled is stored`() async throws {
        let store = try loggedIn()
        let code = try Secret(utf8: "code")
        try await interrupted(store) { driver in
            try await driver.withClaim("a") { try await driver.logIn(with: .deviceCode(code), under: $0) }
        }
        #expect(store.peek("a").state.login?.refreshToken.revealed() == "second")
    }

    @Test func `nothing is begun for a caller who is cancelled already`() async throws {
        let store = try loggedIn()
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        let driver = TokenDriver(store: store, transport: transport, clock: ManualClock(), host: Host(id: "here"))
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            try await driver.withClaim("a") { _ = try await driver.prove($0.credential.configuration, under: $0) }
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(transport.requests == 0)
    }

    private struct Ending: Error {}

    @Test func `who may begin nothing new sends nothing, and waits for no claim`() async throws {
        let store = try loggedIn()
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        let mayBegin = Mutex(true)
        let clock = ManualClock()
        let driver = TokenDriver(
            store: store, transport: transport, clock: clock, host: Host(id: "here"),
            mayBegin: { if !mayBegin.withLock({ $0 }) { throw Ending() } })
        let claim = try #require(try await store.tryClaim("a"))
        let waiting = Task { try await driver.token("a", TokenQuery()) }
        while clock.slept.isEmpty { await Task.yield() }
        mayBegin.withLock { $0 = false }
        await #expect(throws: Ending.self) { try await waiting.value }
        await #expect(throws: Ending.self) { _ = try await driver.prove(claim.credential.configuration, under: claim) }
        let code = try Secret(utf8: "code")
        await #expect(throws: Ending.self) { try await driver.logIn(with: .deviceCode(code), under: claim) }
        #expect(transport.requests == 0)
        #expect(store.peek("a").state.login?.sending == nil)
    }
}
