import Foundation
import OAuth
import Sodium
import Synchronization
import Testing

@testable import TokenEngine

private func driver(_ store: MemoryStore, _ transport: ScriptedTransport, _ clock: ManualClock = ManualClock()) -> TokenDriver {
    TokenDriver(store: store, transport: transport, clock: clock, host: Host(id: "here"), jitter: { 1 })
}

@Suite struct CachedTokenTests {
    @Test func aGoodTokenIsServedWithoutLockOrRequest() async throws {
        let store = MemoryStore(["a": try someCredential(someToken())])
        let transport = ScriptedTransport(.status(500))
        #expect(try await driver(store, transport).token("a", TokenQuery()).token.revealed() == "stored")
        #expect(transport.requests == 0)
        #expect(store.updates == 0)
    }

    @Test func anExpiredTokenIsRenewedAndStored() async throws {
        let store = MemoryStore(["a": try someCredential(someToken(sent: 0))])
        let transport = ScriptedTransport(.token("new"))
        #expect(try await driver(store, transport).token("a", TokenQuery()).token.revealed() == "new")
        #expect(store.peek("a").state.tokens.map { $0.token.revealed() } == ["new"])
    }

    /// Rule 9: a minute before the end, or a tenth of a short life.
    @Test(arguments: [
        (3600.0, 61.0, true), (3600, 59, false), (30, 3.5, true), (30, 2.5, false), (3, 0.5, true), (3, 0.2, false),
    ])
    func theMarginShrinksWithTheLifetime(_ lifetime: Double, _ left: Double, _ served: Bool) async throws {
        let store = MemoryStore(["a": try someCredential(someToken(sent: 1_000_000 - lifetime + left, lifetime: lifetime))])
        let token = try await driver(store, ScriptedTransport(.token("new"))).token("a", TokenQuery())
        #expect(token.token.revealed() == (served ? "stored" : "new"))
    }

    @Test func aTokenThatNeverSaysWhenItEndsIsServed() async throws {
        let store = MemoryStore(["a": try someCredential(someToken(sent: 0, lifetime: nil))])
        #expect(try await driver(store, ScriptedTransport(.token("new"))).token("a", TokenQuery()).token.revealed() == "stored")
    }

    @Test func theProvidersLifetimeCountsWhereTheServerIsSilent() async throws {
        let store = MemoryStore(["a": try someCredential { $0.configuration.settings.tokenLifetime = 100 }])
        let token = try await driver(store, ScriptedTransport(.token("new", expiresIn: nil))).token("a", TokenQuery())
        #expect(token.lifetime == 100)
    }

    /// Rule 9: an hour of network between asking and answer is an hour of the token's life.
    @Test func expiryCountsFromTheMomentTheRequestWasSent() async throws {
        let clock = ManualClock()
        let transport = ScriptedTransport(.token("new", expiresIn: 3600), beforeAnswering: { clock.advance(50) })
        let store = MemoryStore(["a": try someCredential()])
        let token = try await driver(store, transport, clock).token("a", TokenQuery())
        #expect(token.expires == Date(timeIntervalSince1970: 1_003_600))
    }

    /// Rule 9: what was bought while the clock was a day ahead is not believed for a day.
    @Test func aTokenFromTheFutureIsNotBelieved() async throws {
        let store = MemoryStore(["a": try someCredential(someToken(sent: 1_086_400))])
        #expect(try await driver(store, ScriptedTransport(.token("new"))).token("a", TokenQuery()).token.revealed() == "new")
    }

    /// Rule 9: after a day of suspend, the wall clock counts.
    @Test func aDayOfSuspendEndsAToken() async throws {
        let clock = ManualClock()
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.token("first"), .token("second"))
        let driver = driver(store, transport, clock)
        #expect(try await driver.token("a", TokenQuery()).token.revealed() == "first")
        clock.advance(86_400)
        #expect(try await driver.token("a", TokenQuery()).token.revealed() == "second")
    }

    /// Rule 9: no loop when the server hands out the same token again, even one about to end.
    @Test func theSameTokenAgainIsServedAfterOneRequest() async throws {
        let store = MemoryStore(["a": try someCredential(someToken("same", sent: 996_405))])
        let transport = ScriptedTransport(.token("same", expiresIn: 5))
        #expect(try await driver(store, transport).token("a", TokenQuery()).token.revealed() == "same")
        #expect(transport.requests == 1)
    }

    @Test func leastLifetimeIsKeptOrRefused() async throws {
        let store = MemoryStore(["a": try someCredential(someToken(sent: 997_000))])
        let transport = ScriptedTransport(.token("new"))
        let driver = driver(store, transport)
        #expect(try await driver.token("a", TokenQuery(minimumLifetime: 500)).token.revealed() == "stored")
        #expect(try await driver.token("a", TokenQuery(minimumLifetime: 700)).token.revealed() == "new")
        await #expect(throws: TokenError.lifetimeTooShort(lifetime: 3600, asked: 7200)) {
            try await driver.token("a", TokenQuery(minimumLifetime: 7200))
        }
        #expect(transport.requests == 2)
    }

    @Test func eachSetOfScopesHasItsOwnToken() async throws {
        let store = MemoryStore(["a": try someCredential(someToken())])
        let transport = ScriptedTransport(.token("scoped"))
        let driver = driver(store, transport)
        let ask = TokenQuery(access: RequestedAccess(scopes: ["x"]))
        #expect(try await driver.token("a", ask).token.revealed() == "scoped")
        #expect(try await driver.token("a", ask).token.revealed() == "scoped")
        #expect(try await driver.token("a", TokenQuery()).token.revealed() == "stored")
        #expect(transport.requests == 1)
    }

    @Test func eachAudienceHasItsOwnToken() async throws {
        let store = MemoryStore(["a": try someCredential(someToken()) { $0.configuration.settings.audiences = ["own"] }])
        let transport = ScriptedTransport(.token("other"))
        let ask = TokenQuery(access: RequestedAccess(audiences: ["x", "y"]))
        #expect(try await driver(store, transport).token("a", ask).token.revealed() == "other")
        #expect(try await driver(store, transport).token("a", ask).token.revealed() == "other")
        #expect(transport.bodies == ["grant_type=client_credentials&audience=x&audience=y"])
    }

    @Test func freshBuysANewOne() async throws {
        let store = MemoryStore(["a": try someCredential(someToken())])
        #expect(
            try await driver(store, ScriptedTransport(.token("new"))).token("a", TokenQuery(mode: .fresh)).token.revealed()
                == "new"
        )
    }

    /// Rule 10, also when the new one can't be had.
    @Test func `a rejected token is marked, and not served again`() async throws {
        let store = MemoryStore(["a": try someCredential(someToken())])
        await #expect(throws: TokenError.serverFailing(status: 503)) {
            try await driver(store, ScriptedTransport(.status(503))).token("a", TokenQuery(mode: .rejected))
        }
        #expect(store.peek("a").state.tokens.first?.rejected == Date(timeIntervalSince1970: 1_000_000))
        #expect(
            try await driver(store, ScriptedTransport(.token("new"))).token("a", TokenQuery(mode: .rejected)).token.revealed()
                == "new")
    }

    @Test func noMoreTokensAreKeptThanAreOfUse() async throws {
        let store = MemoryStore(["a": try someCredential()])
        let driver = driver(store, ScriptedTransport(.token("new")))
        for number in 0..<40 { _ = try await driver.token("a", TokenQuery(access: RequestedAccess(scopes: ["s\(number)"]))) }
        #expect(store.peek("a").state.tokens.count == 32)
    }
}

@Suite struct LockingTests {
    /// Rule 1: another process has acquired while we waited for the lock.
    @Test func afterTheLockTheStoreIsReadAgain() async throws {
        let fresh = try someToken("theirs")
        let store = MemoryStore(["a": try someCredential(someToken(sent: 0))]) { store in
            store.write("a") { $0.state.tokens = [fresh] }
        }
        let transport = ScriptedTransport(.token("ours"))
        #expect(try await driver(store, transport).token("a", TokenQuery()).token.revealed() == "theirs")
        #expect(transport.requests == 0)
    }

    /// Rule 1 and 10: fifty callers that reject one token buy one new one.
    @Test(arguments: [TokenQuery.Mode.fresh, .rejected])
    func aNewerTokenAnswersADemandForANewOne(_ mode: TokenQuery.Mode) async throws {
        let fresh = try someToken("theirs", sent: 1_000_000.5)
        let store = MemoryStore(["a": try someCredential(someToken("rejected"))]) { store in
            store.write("a") { $0.state.tokens = [fresh] }
        }
        let transport = ScriptedTransport(.token("ours"))
        #expect(try await driver(store, transport).token("a", TokenQuery(mode: mode)).token.revealed() == "theirs")
        #expect(transport.requests == 0)
    }

    /// Rule 1: on time-out, one more look, then a retryable failure.
    @Test func aLockThatIsNeverFreeFailsRetryably() async throws {
        let store = MemoryStore(["a": try someCredential(someToken(sent: 0))])
        store.hold("a")
        let transport = ScriptedTransport(.token("new"))
        await #expect(throws: TokenError.lockTimeout) { try await driver(store, transport).token("a", TokenQuery()) }
        #expect(store.reads == 2)
        #expect(transport.requests == 0)
    }

    @Test func onTimeoutWhatAnotherStoredIsServed() async throws {
        let fresh = try someToken("theirs", sent: 1_000_100)
        let tries = Mutex(0)
        let store = MemoryStore(["a": try someCredential(someToken(sent: 0))]) { store in
            if tries.withLock({
                $0 += 1; return $0
            }) == 100 {
                store.write("a") { $0.state.tokens = [fresh] }
            }
        }
        store.hold("a")
        #expect(try await driver(store, ScriptedTransport(.token("x"))).token("a", TokenQuery()).token.revealed() == "theirs")
    }

    /// Whoever wants a new token is content with one that has come meanwhile, also when the time is up.
    @Test func `on time-out a new token that another stored is served to whoever demands one`() async throws {
        let fresh = try someToken("theirs", sent: 1_000_000.5)
        let tries = Mutex(0)
        let store = MemoryStore(["a": try someCredential(someToken("seen"))]) { store in
            if tries.withLock({
                $0 += 1; return $0
            }) == 100 {
                store.write("a") { $0.state.tokens = [fresh] }
            }
        }
        store.hold("a")
        let token = try await driver(store, ScriptedTransport(.token("x"))).token("a", TokenQuery(mode: .fresh))
        #expect(token.token.revealed() == "theirs")
    }

    @Test func theLockIsReleasedAfterSuccessAndFailure() async throws {
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.status(400, #"{"error":"invalid_scope"}"#), .token("new"))
        let driver = driver(store, transport)
        await #expect(throws: TokenError.refused(.registered("invalid_scope"))) { try await driver.token("a", TokenQuery()) }
        _ = try await driver.token("a", TokenQuery())
        #expect(try store.tryClaim("a") != nil)
    }
}

/// Lets callers in when it is opened.
private final class Gate: Sendable {
    private let state = Mutex<(open: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

    func pass() async {
        await withCheckedContinuation { continuation in
            let open = state.withLock { state in
                if !state.open { state.waiting.append(continuation) }
                return state.open
            }
            if open { continuation.resume() }
        }
    }

    func open() {
        let waiting = state.withLock { state in
            state.open = true
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

private final class Counter: Sendable {
    let count = Mutex(0)
}

@Suite struct SingleFlightTests {
    /// Rule 2.
    @Test func callersShareOneRequest() async throws {
        let gate = Gate()
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.token("new"), beforeAnswering: { await gate.pass() })
        let driver = driver(store, transport)
        let started = Counter()
        let tokens = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<32 {
                group.addTask {
                    started.count.withLock { $0 += 1 }
                    return try await driver.token("a", TokenQuery()).token.revealed()
                }
            }
            while transport.requests == 0 || started.count.withLock({ $0 }) < 32 { await Task.yield() }
            gate.open()
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(tokens == Array(repeating: "new", count: 32))
        #expect(transport.requests == 1)
        // Each caller looks once, and the one flight twice more: before it begins, and whether it was blocked meanwhile. Without sharing, the lock alone would also make one request of
        // them, by 32 flights.
        #expect(store.reads == 34)
    }

    /// Rule 2.
    @Test func oneCallersCancellationIsNobodyElses() async throws {
        let gate = Gate()
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.token("new"), beforeAnswering: { await gate.pass() })
        let driver = driver(store, transport)
        let first = Task { try await driver.token("a", TokenQuery()) }
        while transport.requests == 0 { await Task.yield() }
        let second = Task { try await driver.token("a", TokenQuery()) }
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        gate.open()
        #expect(try await second.value.token.revealed() == "new")
        #expect(transport.requests == 1)
        #expect(store.peek("a").state.tokens.count == 1)
    }

    @Test func aFailedFlightIsNotTheNextCallers() async throws {
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.status(400), .token("new"))
        let driver = driver(store, transport)
        await #expect(throws: TokenError.self) { try await driver.token("a", TokenQuery()) }
        #expect(try await driver.token("a", TokenQuery()).token.revealed() == "new")
    }
}

@Suite struct FailureTests {
    /// Rule 6.
    @Test func aRefusedKeyPairIsNotedUntilItWorksAgain() async throws {
        let store = MemoryStore(["a": try someCredential()])
        let refusal = ScriptedTransport.Reply.status(401, #"{"error":"invalid_client"}"#)
        let transport = ScriptedTransport(refusal, refusal, .token("new"))
        let clock = ManualClock()
        let driver = driver(store, transport, clock)
        for _ in 0..<2 {
            await #expect(throws: TokenError.keyPairRefused) { try await driver.token("a", TokenQuery()) }
            clock.advance(121)
        }
        #expect(store.peek("a").state.refusal?.since == Date(timeIntervalSince1970: 1_000_000))
        _ = try await driver.token("a", TokenQuery())
        #expect(store.peek("a").state.refusal == nil)
    }

    /// Rule 8: waits grow, and end.
    @Test(arguments: [408, 500, 503])
    func transientFailuresAreTriedAgainWithGrowingWaits(_ status: Int) async throws {
        let clock = ManualClock()
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.status(status))
        await #expect(throws: TokenError.serverFailing(status: status)) {
            try await driver(store, transport, clock).token("a", TokenQuery())
        }
        #expect(transport.requests == 4)
        #expect(clock.slept == [0.5, 1, 2])
    }

    @Test func aTransientFailureIsForgottenWhenTheNextTryWorks() async throws {
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.status(503), .failure(aFailure), .token("new"))
        #expect(try await driver(store, transport).token("a", TokenQuery()).token.revealed() == "new")
    }

    /// Rule 8.
    @Test func retryAfterIsHonoured() async throws {
        let clock = ManualClock()
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.status(429, retryAfter: "7"), .token("new"))
        _ = try await driver(store, transport, clock).token("a", TokenQuery())
        #expect(clock.slept == [7])
    }

    /// Rule 8: a server that takes 20 seconds to fail is not asked four times.
    @Test func theTimeLimitCountsTheServersTime() async throws {
        let clock = ManualClock()
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.failure(aLostAnswer), beforeAnswering: { clock.advance(20) })
        await #expect(throws: TokenError.unreachable(aLostAnswer)) {
            try await driver(store, transport, clock).token("a", TokenQuery())
        }
        #expect(transport.requests == 3)
    }

    @Test func aRetryAfterBeyondTheLimitIsPassedOn() async throws {
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.status(429, retryAfter: "600"))
        await #expect(throws: TokenError.busy(retryAfter: 600)) { try await driver(store, transport).token("a", TokenQuery()) }
        #expect(transport.requests == 1)
    }

    /// Rule 8: a token about to end is better than none, but not where a new one was demanded.
    @Test func whatIsStillValidIsServedWhenTheServerFails() async throws {
        let store = MemoryStore(["a": try someCredential(someToken(sent: 996_430))])
        let transport = ScriptedTransport(.status(503))
        #expect(try await driver(store, transport).token("a", TokenQuery()).token.revealed() == "stored")
        #expect(transport.requests == 4)
        await #expect(throws: TokenError.self) { try await driver(store, transport).token("a", TokenQuery(mode: .fresh)) }
        await #expect(throws: TokenError.self) { try await driver(store, transport).token("a", TokenQuery(minimumLifetime: 60)) }
    }

    @Test func aLostAnswerIsTriedAgainAtOnce() async throws {
        let clock = ManualClock()
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.failure(aLostAnswer), .token("new"))
        _ = try await driver(store, transport, clock).token("a", TokenQuery())
        #expect(clock.slept == [])
        #expect(transport.requests == 2)
    }

    @Test(arguments: [
        TransportFailure.certificate(host: "example.com", reason: "made up"),
        .configuration(reason: "made up"),
    ])
    func whatNoRetryMendsIsNotTriedAgain(_ failure: TransportFailure) async throws {
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.failure(failure))
        await #expect(throws: TokenError.unreachable(failure)) { try await driver(store, transport).token("a", TokenQuery()) }
        #expect(transport.requests == 1)
    }

    @Test func `an answer that is too long is not asked for again`() async throws {
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.tooLarge("made up"))
        await #expect(throws: TokenError.unreachable(.answerTooLarge(host: "example.com"))) {
            try await driver(store, transport).token("a", TokenQuery())
        }
        #expect(transport.requests == 1)
    }

    @Test func noFailureQuotesTheServer() async throws {
        let bodies = [
            "made-up-leak", #"{"error":"made-up-leak","error_description":"made-up-leak"}"#,
            #"{"access_token":"made-up-leak\n"}"#,
        ]
        for status in [200, 302, 400, 401, 403, 418, 500] {
            for body in bodies {
                let store = MemoryStore(["a": try someCredential()])
                do {
                    _ = try await driver(store, ScriptedTransport(.status(status, body))).token("a", TokenQuery())
                    Issue.record("a token came out of \(body)")
                } catch {
                    #expect(!"\(error)".contains("leak"))
                }
            }
        }
    }
}

@Suite struct RevocationTests {
    private func revoke(_ reply: ScriptedTransport.Reply, endpoint: String? = "https://example.com/revoke") async throws
        -> EndpointClient.Revocation
    {
        var configuration = try someCredential().configuration
        configuration.settings.revocationURL = try endpoint.map { try EndpointURL($0) }
        let client = EndpointClient(transport: ScriptedTransport(reply), clock: ManualClock())
        return try await client.revoke(try Secret(utf8: "made-up-token"), hint: "access_token", of: configuration)
    }

    @Test func `without an endpoint nothing is revoked`() async throws {
        #expect(try await revoke(.status(200), endpoint: nil) == .unsupported)
    }

    /// RFC 7009 section 2.2: what is dead already needs no error, and gets one from some servers.
    @Test(arguments: [
        (200, ""), (400, #"{"error":"invalid_token"}"#), (400, #"{"error":"invalid_grant"}"#),
    ])
    func `a token that the server calls dead is done`(_ status: Int, _ body: String) async throws {
        #expect(try await revoke(.status(status, body)) == .done)
    }

    @Test func `a server may be unable to revoke tokens of a kind`() async throws {
        #expect(try await revoke(.status(400, #"{"error":"unsupported_token_type"}"#)) == .unsupported)
    }

    @Test func `an answer without an end is none`() async throws {
        await #expect(throws: TokenError.unreachable(.answerTooLarge(host: "example.com"))) {
            try await revoke(.tooLarge("{}"))
        }
    }

    @Test func `a refused client and a failing server are told apart`() async throws {
        await #expect(throws: TokenError.keyPairRefused) { try await revoke(.status(401, #"{"error":"invalid_client"}"#)) }
        await #expect(throws: TokenError.serverFailing(status: 503)) { try await revoke(.status(503)) }
    }
}
