import Foundation
import Sodium
import Synchronization
import Testing

@testable import OAuth
@testable import TokenEngine

private let now = Date(timeIntervalSince1970: 1_000_000)

private func broker(_ store: MemoryStore, _ transport: ScriptedTransport, _ clock: ManualClock = ManualClock()) -> TokenBroker {
    TokenBroker(store: store, transport: transport, clock: clock, host: "here", jitter: { 1 })
}

/// A credential that is logged in with the refresh token `first`, and has no access token.
private func loggedIn(_ change: (inout Login) -> Void = { _ in }) throws -> Credential {
    var login = Login(
        refreshToken: try Secret(utf8: "first"), since: Date(timeIntervalSince1970: 0), renewed: Date(timeIntervalSince1970: 0),
        owner: "here")
    change(&login)
    return try someCredential {
        $0.settings.grant = .authorizationCode
        $0.settings.scopes = ["a"]
        $0.login = login
    }
}

private let refused = ScriptedTransport.Reply.status(400, #"{"error":"invalid_grant"}"#)

extension MemoryStore {
    fileprivate var refreshToken: String? { peek("a").login?.refreshToken.revealed() }
}

@Suite struct RefreshTests {
    /// Rule 7.
    @Test func withoutANewRefreshTokenTheOldOneStays() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let transport = ScriptedTransport(.token("new"))
        #expect(try await broker(store, transport).token("a", TokenAsk()).token.revealed() == "new")
        #expect(store.refreshToken == "first")
        #expect(store.peek("a").login?.rotates == false)
        #expect(store.peek("a").login?.spending == nil)
    }

    /// Rule 7.
    @Test func aNewRefreshTokenTakesThePlaceOfTheOld() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        _ = try await broker(store, ScriptedTransport(.token("new", refresh: "second"))).token("a", TokenAsk())
        #expect(store.refreshToken == "second")
        #expect(store.peek("a").login?.rotates == true)
    }

    /// Rule 7.
    @Test func scopesAreSentOnRefreshOnlyWhereAskedFor() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let transport = ScriptedTransport(.token("new"))
        let broker = broker(store, transport)
        _ = try await broker.token("a", TokenAsk())
        _ = try await broker.token("a", TokenAsk(access: RequestedAccess(scopes: ["b"])))
        #expect(
            transport.bodies == [
                "grant_type=refresh_token&refresh_token=first", "grant_type=refresh_token&refresh_token=first&scope=b",
            ])
    }

    /// Rule 3: nothing is sent if the answer could not be stored.
    @Test func withoutRoomOnTheDiskNothingIsSent() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        store.refuseRoom()
        await #expect(throws: MemoryStore.Full.self) { try await broker(store, transport).token("a", TokenAsk()) }
        #expect(transport.requests == 0)
        #expect(store.refreshToken == "first")
    }

    /// Rule 3: nor if the journal can't be written.
    @Test func withoutAJournalNothingIsSent() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        store.failUpdates(1)
        await #expect(throws: MemoryStore.Full.self) { try await broker(store, transport).token("a", TokenAsk()) }
        #expect(transport.requests == 0)
    }

    /// Rule 3: the journal is on the disk when the request goes out, the new token when the caller gets it.
    @Test func theJournalComesBeforeTheRequestAndTheCommitBeforeTheToken() async throws {
        let seen = Mutex<Date?>(nil)
        let box = Mutex<MemoryStore?>(nil)
        let transport = ScriptedTransport(
            .token("new", refresh: "second"),
            beforeAnswering: {
                let spending = box.withLock { $0?.peek("a").login?.spending }
                seen.withLock { $0 = spending }
            })
        let store = MemoryStore(["a": try loggedIn()])
        box.withLock { $0 = store }
        _ = try await broker(store, transport).token("a", TokenAsk())
        #expect(seen.withLock { $0 } == now)
        #expect(store.written.map { $0.login?.refreshToken.revealed() } == ["first", "second"])
    }

    /// Rule 3: a commit that fails is tried again with the same new refresh token.
    @Test func aCommitThatFailsIsTriedAgain() async throws {
        let box = Mutex<MemoryStore?>(nil)
        let transport = ScriptedTransport(
            .token("new", refresh: "second"), beforeAnswering: { box.withLock { $0?.failUpdates(3) } })
        let store = MemoryStore(["a": try loggedIn()])
        box.withLock { $0 = store }
        let clock = ManualClock()
        #expect(try await broker(store, transport, clock).token("a", TokenAsk()).token.revealed() == "new")
        #expect(store.refreshToken == "second")
        #expect(clock.slept == [0.5, 0.5, 0.5])
        #expect(transport.requests == 1)
    }

    @Test func aCommitThatNeverWorksIsSaidLoudly() async throws {
        let box = Mutex<MemoryStore?>(nil)
        let transport = ScriptedTransport(
            .token("new", refresh: "second"), beforeAnswering: { box.withLock { $0?.failUpdates(1000) } })
        let store = MemoryStore(["a": try loggedIn()])
        box.withLock { $0 = store }
        await #expect(throws: TokenFailure.notStored) { try await broker(store, transport).token("a", TokenAsk()) }
        #expect(store.peek("a").login?.spending == now)
    }

    /// Rule 4: the same refresh token once more, at once.
    @Test func aLostAnswerIsAskedForAgainWithTheSameRefreshToken() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let transport = ScriptedTransport(.failure(aLostAnswer), .token("new", refresh: "second"))
        let clock = ManualClock()
        #expect(try await broker(store, transport, clock).token("a", TokenAsk()).token.revealed() == "new")
        #expect(transport.bodies.count == 2 && transport.bodies[0] == transport.bodies[1])
        #expect(clock.slept == [])
    }

    /// Rule 4: without a grace period, the person is told what really happened.
    @Test func aLostAnswerThatCostTheLoginIsToldAsSuch() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let transport = ScriptedTransport(.failure(aLostAnswer), refused)
        await #expect(throws: TokenFailure.loginNeeded(.answerLost(now))) {
            try await broker(store, transport).token("a", TokenAsk())
        }
        #expect(store.peek("a").login?.ended == now)
        #expect(store.refreshToken == "first")
    }

    @Test func anAnswerThatStaysLostStaysInTheJournal() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        await #expect(throws: TokenFailure.unreachable(aLostAnswer)) {
            try await broker(store, ScriptedTransport(.failure(aLostAnswer))).token("a", TokenAsk())
        }
        #expect(store.peek("a").login?.spending == now)
        #expect(store.peek("a").login?.ended == nil)
    }

    @Test func aDeathInTheMiddleIsToldAsSuch() async throws {
        let before = Date(timeIntervalSince1970: 900_000)
        let store = MemoryStore(["a": try loggedIn { $0.spending = before }])
        await #expect(throws: TokenFailure.loginNeeded(.interrupted(before))) {
            try await broker(store, ScriptedTransport(refused)).token("a", TokenAsk())
        }
    }

    @Test func aDeathInTheMiddleIsMendedWhereTheServerHasAGracePeriod() async throws {
        let store = MemoryStore(["a": try loggedIn { $0.spending = Date(timeIntervalSince1970: 900_000) }])
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        #expect(try await broker(store, transport).token("a", TokenAsk()).token.revealed() == "new")
        #expect(transport.bodies == ["grant_type=refresh_token&refresh_token=first"])
        #expect(store.peek("a").login?.spending == nil)
    }

    /// Rule 5: another process has rotated meanwhile.
    @Test func aRefusedRefreshTokenThatIsNotTheNewestIsNoEnd() async throws {
        let box = Mutex<MemoryStore?>(nil)
        let theirs = try someToken("theirs")
        let second = try Secret(utf8: "second")
        let transport = ScriptedTransport(
            refused,
            beforeAnswering: {
                box.withLock {
                    $0?.write("a") {
                        $0.login?.refreshToken = second
                        $0.tokens = [theirs]
                    }
                }
            })
        let store = MemoryStore(["a": try loggedIn()])
        box.withLock { $0 = store }
        #expect(try await broker(store, transport).token("a", TokenAsk()).token.revealed() == "theirs")
        #expect(store.refreshToken == "second")
        #expect(store.peek("a").login?.ended == nil)
    }

    /// Rule 5: mark, keep everything, and do not ask again in vain.
    @Test func aDeadLoginIsMarkedAndKept() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let transport = ScriptedTransport(refused)
        for _ in 0..<2 {
            await #expect(throws: TokenFailure.loginNeeded(.ended(now))) {
                try await broker(store, transport).token("a", TokenAsk())
            }
        }
        #expect(transport.requests == 1)
        #expect(store.refreshToken == "first")
        #expect(store.peek("a").login?.ended == now)
    }

    /// Rule 6.
    @Test func aRefusedKeyPairIsNoEndOfTheLogin() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        await #expect(throws: TokenFailure.keyPairRefused) {
            try await broker(store, ScriptedTransport(.status(401))).token("a", TokenAsk())
        }
        #expect(store.peek("a").login?.ended == nil)
        #expect(store.peek("a").login?.spending == nil)
    }

    @Test func aServerThatFailsLeavesNoMarkInTheJournal() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        await #expect(throws: TokenFailure.serverFailing(status: 503)) {
            try await broker(store, ScriptedTransport(.status(503))).token("a", TokenAsk())
        }
        #expect(store.peek("a").login?.spending == nil)
    }

    @Test func withoutALoginNothingIsSent() async throws {
        let store = MemoryStore(["a": try someCredential { $0.settings.grant = .authorizationCode }])
        let transport = ScriptedTransport(.token("new"))
        await #expect(throws: TokenFailure.loginNeeded(.never)) { try await broker(store, transport).token("a", TokenAsk()) }
        #expect(transport.requests == 0)
    }

    @Test func aRotatingLoginOfAnotherMachineIsNotSpent() async throws {
        let store = MemoryStore(["a": try loggedIn { ($0.owner, $0.rotates) = ("there", true) }])
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        await #expect(throws: TokenFailure.ownedElsewhere) { try await broker(store, transport).token("a", TokenAsk()) }
        #expect(transport.requests == 0)
        var ask = TokenAsk()
        ask.takesOver = true
        _ = try await broker(store, transport).token("a", ask)
        #expect(store.peek("a").login?.owner == "here")
    }

    @Test func oneThatDoesNotRotateMayBeShared() async throws {
        let store = MemoryStore(["a": try loggedIn { $0.owner = "there" }])
        #expect(try await broker(store, ScriptedTransport(.token("new"))).token("a", TokenAsk()).token.revealed() == "new")
    }
}

/// The decision alone: every state with every event.
@Suite struct ExhaustiveDecisionTests {
    private static let states = [
        "reading", "locking", "rereading", "lastLook", "forgetting", "journaling", "sending", "checking", "ending", "committing",
        "noting", "settling", "finished",
    ]

    /// The events that each state takes, as the table in the documentation says.
    private static let taken: [String: Set<String>] = [
        "reading": ["stored"], "locking": ["locked", "lockTimedOut"], "rereading": ["stored"], "lastLook": ["stored"],
        "forgetting": ["written"], "journaling": ["written"], "sending": ["answered", "waited"], "checking": ["stored"],
        "ending": ["written"], "committing": ["written", "notWritten", "waited"], "noting": ["written"], "settling": ["written"],
        "finished": [],
    ]

    private func label(_ value: Any) -> String { String(String(describing: value).prefix { $0 != "(" }) }

    /// Walks every path that the events allow, to a depth that reaches every state, and looks at each step.
    @Test func everyStateTakesExactlyTheEventsOfTheTable() throws {
        let good = try someToken()
        let stale = try someToken("stale", sent: 0)
        let login = try #require(try loggedIn().login)
        var ended = login
        ended.ended = now
        let granted = TokenSet(
            accessToken: try Secret(utf8: "new"), tokenType: "Bearer", expiresIn: 3600, refreshToken: try Secret(utf8: "second"))
        let stored: [TokenAcquisition.Stored] = [
            .init(token: good), .init(token: stale), .init(), .init(token: nil, needsLogin: true, login: login),
            .init(token: stale, needsLogin: true, login: ended), .init(token: nil, needsLogin: true, login: nil),
        ]
        let answers: [Exchange.Answer] = [
            .granted(granted), .refused(.oauth(.invalidClient)), .refused(.oauth(.invalidGrant)),
            .refused(.transient(status: 503, retryAfter: nil)), .refused(.unusable(reason: "")), .failed(aFailure),
            .failed(aLostAnswer),
        ]
        let events: [TokenAcquisition.Event] =
            stored.map { .stored($0) } + [.locked, .lockTimedOut, .waited, .written, .notWritten]
            + answers.map { .answered($0, sent: now) }
        var reached: Set<String> = []
        var steps = 0

        func walk(_ machine: TokenAcquisition, depth: Int) {
            let state = label(machine.state)
            reached.insert(state)
            guard depth > 0 else { return }
            for event in events where Self.taken[state]!.contains(label(event)) {
                var next = machine
                let action = next.handle(event, now: now, jitter: 0)
                steps += 1
                // What is handed out ends it, and what ends it is handed out or said.
                let ends = ["serve", "fail"].contains(label(action))
                #expect((label(next.state) == "finished") == ends, "\(state), \(label(event)): \(label(action))")
                // A refresh token goes out only after the journal was written.
                if label(action) == "send", state == "rereading" || state == "forgetting" {
                    if case .sending(_, let stored) = next.state { #expect(!stored.needsLogin) }
                }
                walk(next, depth: depth - 1)
            }
        }
        for mode in [TokenAsk.Mode.cached, .fresh, .rejected] {
            walk(TokenAcquisition(ask: TokenAsk(mode: mode), host: "here"), depth: 7)
        }
        #expect(reached == Set(Self.states))
        #expect(steps > 1000)
    }
}
