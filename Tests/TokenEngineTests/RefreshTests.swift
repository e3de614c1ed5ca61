import Foundation
import Sodium
import Synchronization
import TestSupport
import Testing

@testable import OAuth
@testable import TokenEngine

private let now = Date(timeIntervalSince1970: 1_000_000)

private func driver(_ store: MemoryStore, _ transport: ScriptedTransport, _ clock: ManualClock = ManualClock()) -> TokenDriver {
    TokenDriver(store: store, transport: transport, clock: clock, host: Host(id: "here"), jitter: { 1 })
}

/// A credential that is logged in with the refresh token `first`, and has no access token.
private func loggedIn(_ change: (inout Login) -> Void = { _ in }) throws -> Credential {
    var login = Login(
        refreshToken: try Secret(utf8: "first"), since: Date(timeIntervalSince1970: 0), renewed: Date(timeIntervalSince1970: 0),
        owner: "here")
    change(&login)
    return try someCredential {
        $0.configuration.settings.grant = .authorizationCode
        $0.configuration.settings.scopes = ["a"]
        $0.state.login = login
    }
}

private let refused = ScriptedTransport.Reply.status(400, #"{"error":"invalid_grant"}"#)

extension MemoryStore {
    fileprivate var refreshToken: String? { peek("a").state.login?.refreshToken.revealed() }
}

@Suite struct RefreshTests {
    /// Rule 7.
    @Test func withoutANewRefreshTokenTheOldOneStays() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let transport = ScriptedTransport(.token("new"))
        #expect(try await driver(store, transport).token("a", TokenQuery()).token.revealed() == "new")
        #expect(store.refreshToken == "first")
        #expect(store.peek("a").state.login?.rotation == .keeps)
        #expect(store.peek("a").state.login?.sending == nil)
    }

    /// Rule 7.
    @Test func aNewRefreshTokenTakesThePlaceOfTheOld() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        _ = try await driver(store, ScriptedTransport(.token("new", refresh: "second"))).token("a", TokenQuery())
        #expect(store.refreshToken == "second")
        #expect(store.peek("a").state.login?.rotation == .rotates)
    }

    /// Rule 7.
    @Test func scopesAreSentOnRefreshOnlyWhereAskedFor() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let transport = ScriptedTransport(.token("new"))
        let driver = driver(store, transport)
        _ = try await driver.token("a", TokenQuery())
        _ = try await driver.token("a", TokenQuery(access: RequestedAccess(scopes: ["b"])))
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
        await #expect(throws: MemoryStore.Full.self) { try await driver(store, transport).token("a", TokenQuery()) }
        #expect(transport.requests == 0)
        #expect(store.refreshToken == "first")
    }

    /// Rule 3: nor if the journal can't be written.
    @Test func withoutAJournalNothingIsSent() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        store.failUpdates(1)
        await #expect(throws: MemoryStore.Full.self) { try await driver(store, transport).token("a", TokenQuery()) }
        #expect(transport.requests == 0)
    }

    /// Rule 3: the journal is on the disk when the request goes out, the new token when the caller gets it.
    @Test func theJournalComesBeforeTheRequestAndTheCommitBeforeTheToken() async throws {
        let seen = Mutex<Date?>(nil)
        let box = Mutex<MemoryStore?>(nil)
        let transport = ScriptedTransport(
            .token("new", refresh: "second"),
            beforeAnswering: {
                let spending = box.withLock { $0?.peek("a").state.login?.sending?.began }
                seen.withLock { $0 = spending }
            })
        let store = MemoryStore(["a": try loggedIn()])
        box.withLock { $0 = store }
        _ = try await driver(store, transport).token("a", TokenQuery())
        #expect(seen.withLock { $0 } == now)
        #expect(store.written.map { $0.state.login?.refreshToken.revealed() } == ["first", "second"])
    }

    /// Rule 3: a commit that fails is tried again with the same new refresh token.
    @Test func aCommitThatFailsIsTriedAgain() async throws {
        let box = Mutex<MemoryStore?>(nil)
        let transport = ScriptedTransport(
            .token("new", refresh: "second"), beforeAnswering: { box.withLock { $0?.failUpdates(3) } })
        let store = MemoryStore(["a": try loggedIn()])
        box.withLock { $0 = store }
        let clock = ManualClock()
        #expect(try await driver(store, transport, clock).token("a", TokenQuery()).token.revealed() == "new")
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
        await #expect(throws: TokenError.notStored) { try await driver(store, transport).token("a", TokenQuery()) }
        #expect(store.peek("a").state.login?.sending?.began == now)
    }

    /// Rule 4: the same refresh token once more, at once.
    @Test func aLostAnswerIsAskedForAgainWithTheSameRefreshToken() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let transport = ScriptedTransport(.failure(aLostAnswer), .token("new", refresh: "second"))
        let clock = ManualClock()
        #expect(try await driver(store, transport, clock).token("a", TokenQuery()).token.revealed() == "new")
        #expect(transport.bodies.count == 2 && transport.bodies[0] == transport.bodies[1])
        #expect(clock.slept == [])
    }

    /// Rule 4: without a grace period, the person is told what really happened.
    @Test func aLostAnswerThatCostTheLoginIsToldAsSuch() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let transport = ScriptedTransport(.failure(aLostAnswer), refused)
        await #expect(throws: TokenError.loginNeeded(.answerLost(now))) {
            try await driver(store, transport).token("a", TokenQuery())
        }
        #expect(store.peek("a").state.login?.ended == now)
        #expect(store.refreshToken == "first")
    }

    @Test func anAnswerThatStaysLostStaysInTheJournal() async throws {
        let store = MemoryStore(["a": try loggedIn { $0.rotation = .keeps }])
        await #expect(throws: TokenError.unreachable(aLostAnswer)) {
            try await driver(store, ScriptedTransport(.failure(aLostAnswer))).token("a", TokenQuery())
        }
        #expect(store.peek("a").state.login?.sending?.began == now)
        #expect(store.peek("a").state.login?.ended == nil)
    }

    @Test func aDeathInTheMiddleIsToldAsSuch() async throws {
        let before = Date(timeIntervalSince1970: 900_000)
        let store = MemoryStore(["a": try loggedIn { $0.sending = Login.Sending(began: before, boot: nil) }])
        await #expect(throws: TokenError.loginNeeded(.interrupted(before))) {
            try await driver(store, ScriptedTransport(refused)).token("a", TokenQuery())
        }
    }

    @Test func aDeathInTheMiddleIsMendedWhereTheServerHasAGracePeriod() async throws {
        let store = MemoryStore([
            "a": try loggedIn { $0.sending = Login.Sending(began: Date(timeIntervalSince1970: 900_000), boot: nil) }
        ])
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        #expect(try await driver(store, transport).token("a", TokenQuery()).token.revealed() == "new")
        #expect(transport.bodies == ["grant_type=refresh_token&refresh_token=first"])
        #expect(store.peek("a").state.login?.sending == nil)
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
                        $0.state.login?.refreshToken = second
                        $0.state.tokens = [theirs]
                    }
                }
            })
        let store = MemoryStore(["a": try loggedIn()])
        box.withLock { $0 = store }
        #expect(try await driver(store, transport).token("a", TokenQuery()).token.revealed() == "theirs")
        #expect(store.refreshToken == "second")
        #expect(store.peek("a").state.login?.ended == nil)
    }

    /// Rule 5: mark, keep everything, and do not ask again in vain.
    @Test func aDeadLoginIsMarkedAndKept() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let transport = ScriptedTransport(refused)
        for _ in 0..<2 {
            await #expect(throws: TokenError.loginNeeded(.ended(now))) {
                try await driver(store, transport).token("a", TokenQuery())
            }
        }
        #expect(transport.requests == 1)
        #expect(store.refreshToken == "first")
        #expect(store.peek("a").state.login?.ended == now)
    }

    /// Rule 6.
    @Test func aRefusedKeyPairIsNoEndOfTheLogin() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        await #expect(throws: TokenError.keyPairRefused) {
            try await driver(store, ScriptedTransport(.status(401, #"{"error":"invalid_client"}"#))).token("a", TokenQuery())
        }
        #expect(store.peek("a").state.login?.ended == nil)
        #expect(store.peek("a").state.login?.sending == nil)
    }

    @Test func aServerThatFailsLeavesNoMarkInTheJournal() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        await #expect(throws: TokenError.serverFailing(status: 503)) {
            try await driver(store, ScriptedTransport(.status(503))).token("a", TokenQuery())
        }
        #expect(store.peek("a").state.login?.sending == nil)
    }

    @Test func withoutALoginNothingIsSent() async throws {
        let store = MemoryStore(["a": try someCredential { $0.configuration.settings.grant = .authorizationCode }])
        let transport = ScriptedTransport(.token("new"))
        await #expect(throws: TokenError.loginNeeded(.never)) { try await driver(store, transport).token("a", TokenQuery()) }
        #expect(transport.requests == 0)
    }

    @Test func aRotatingLoginOfAnotherMachineIsNotSpent() async throws {
        let store = MemoryStore(["a": try loggedIn { ($0.owner, $0.rotation) = ("there", .rotates) }])
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        await #expect(throws: TokenError.ownedElsewhere) { try await driver(store, transport).token("a", TokenQuery()) }
        #expect(transport.requests == 0)
        var ask = TokenQuery()
        ask.takesOver = true
        _ = try await driver(store, transport).token("a", ask)
        #expect(store.peek("a").state.login?.owner == "here")
    }

    @Test func oneThatDoesNotRotateMayBeShared() async throws {
        let store = MemoryStore(["a": try loggedIn { ($0.owner, $0.rotation) = ("there", .keeps) }])
        #expect(try await driver(store, ScriptedTransport(.token("new"))).token("a", TokenQuery()).token.revealed() == "new")
    }
}

@Suite struct RaceTests {
    /// A server whose refresh tokens rotate: one that comes twice is a reuse.
    private final class RotatingServer: HTTPTransport {
        private let state = Mutex((current: "first", requests: 0, reuses: 0))
        var counts: (requests: Int, reuses: Int) { state.withLock { ($0.requests, $0.reuses) } }

        func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
            let sent = FormEncoding.decode(String(decoding: request.body, as: UTF8.self)).first { $0.name == "refresh_token" }?
                .value
            await Task.yield()
            return state.withLock { state in
                state.requests += 1
                if sent != state.current { state.reuses += 1 }
                state.current = "made-up-\(state.requests)"
                let body = #"{"access_token":"token-\#(state.requests)","refresh_token":"\#(state.current)","expires_in":60}"#
                return EndpointAnswer(status: 200, body: Array(body.utf8))
            }
        }
    }

    /// Time moves when told; who waits for a lock gives the others a moment.
    private final class SteppedClock: WallClock {
        private let time = Mutex(Date(timeIntervalSince1970: 1_000_000))
        func now() -> Date { time.withLock { $0 } }
        func advance(_ seconds: Double) { time.withLock { $0.addTimeInterval(seconds) } }
        func sleep(seconds: Double) async throws { try await Task.sleep(for: .milliseconds(1)) }
    }

    /// Two drivers stand for two processes: they share the store and its lock, and nothing else.
    @Test func thirtyTwoTasksAndOneRotatingRefreshToken() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let server = RotatingServer()
        let clock = SteppedClock()
        let drivers = (0..<2).map { _ in
            TokenDriver(store: store, transport: server, clock: clock, host: Host(id: "here"), jitter: { 1 })
        }
        for round in 1...200 {
            let tokens = try await withThrowingTaskGroup(of: String.self) { group in
                for caller in 0..<32 {
                    group.addTask { try await drivers[caller % 2].token("a", TokenQuery()).token.revealed() }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(tokens == ["token-\(round)"])
            clock.advance(60)
        }
        #expect(server.counts.requests == 200)
        #expect(server.counts.reuses == 0)
    }
}

@Suite struct ServerClockTests {
    private func signing() throws -> Credential {
        try someCredential { $0.configuration.settings.clientAuthentication = .clientSecretJWT }
    }

    /// When the assertion in a body was issued, in seconds since 1970.
    private func issued(_ body: String) throws -> Int {
        let text = try #require(FormEncoding.decode(body).first { $0.name == "client_assertion" }?.value)
        let part = String(text.split(separator: ".")[1]).replacing("-", with: "+").replacing("_", with: "/")
        let bytes = Data(base64Encoded: part + String(repeating: "=", count: (4 - part.count % 4) % 4)) ?? Data()
        let claims = try #require(JSONValue(parsing: Array(bytes))?.object)
        guard case .integer(let seconds) = claims["iat"] else { throw CancellationError() }
        return seconds
    }

    @Test func anAssertionOfAWrongClockIsDatedAnew() async throws {
        let store = MemoryStore(["a": try signing()])
        let theirs = now.addingTimeInterval(600)
        let transport = ScriptedTransport(.dated(401, #"{"error":"invalid_client"}"#, theirs), .token("new"))
        let driver = driver(store, transport)
        #expect(try await driver.token("a", TokenQuery()).token.revealed() == "new")
        #expect(try transport.bodies.map(issued) == [1_000_000, 1_000_600])
        // Learned: the next is right at once. What is stored is in our own time.
        _ = try await driver.token("a", TokenQuery(mode: .fresh))
        #expect(try issued(transport.bodies[2]) == 1_000_600)
        #expect(store.peek("a").state.tokens.first?.sent == now)
    }

    @Test func aRefusalThatTheClockDoesNotExplainIsFinal() async throws {
        let store = MemoryStore(["a": try signing()])
        let refusal = ScriptedTransport.Reply.dated(401, #"{"error":"invalid_client"}"#, now.addingTimeInterval(600))
        let transport = ScriptedTransport(refusal)
        await #expect(throws: TokenError.keyPairRefused) { try await driver(store, transport).token("a", TokenQuery()) }
        #expect(transport.requests == 2)
        store.write("a") { $0.state.refusal = nil }
        let right = ScriptedTransport(.dated(401, #"{"error":"invalid_client"}"#, now.addingTimeInterval(5)))
        await #expect(throws: TokenError.keyPairRefused) { try await driver(store, right).token("a", TokenQuery()) }
        #expect(right.requests == 1)
    }

    /// A proxy's `Date` may have been the wrong one.
    @Test func `where the time that was learned is refused, our own is tried`() async throws {
        let store = MemoryStore(["a": try signing()])
        let theirs = now.addingTimeInterval(600)
        let transport = ScriptedTransport(
            .dated(401, #"{"error":"invalid_client"}"#, theirs), .token("new"),
            .dated(401, #"{"error":"invalid_client"}"#, theirs), .token("newer"))
        let driver = driver(store, transport)
        _ = try await driver.token("a", TokenQuery())
        #expect(try await driver.token("a", TokenQuery(mode: .fresh)).token.revealed() == "newer")
        #expect(try transport.bodies.map(issued) == [1_000_000, 1_000_600, 1_000_600, 1_000_000])
    }

    @Test func aWrongClockIsNoReasonToSendASecretTwice() async throws {
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.dated(401, #"{"error":"invalid_client"}"#, now.addingTimeInterval(600)))
        await #expect(throws: TokenError.keyPairRefused) { try await driver(store, transport).token("a", TokenQuery()) }
        #expect(transport.requests == 1)
    }
}

@Suite struct LoginWithoutRefreshTokenTests {
    @Test(arguments: [true, false])
    func itEndsWithItsTokenWhereThatIsExpected(_ isExpected: Bool) async throws {
        var credential = try loggedIn()
        credential.configuration.settings.noRefreshToken = isExpected ? true : nil
        let grant = AuthorizationGrant.authorizationCode(
            try Secret(utf8: "code"), redirectURI: "http://127.0.0.1", verifier: try Secret(utf8: "v"), nonce: nil)
        let store = MemoryStore(["a": credential])
        let driver = driver(store, ScriptedTransport(.token("new")))
        guard isExpected else {
            await #expect(throws: TokenError.noRefreshToken) {
                try await driver.withClaim("a") { try await driver.logIn(with: grant, under: $0) }
            }
            return
        }
        try await driver.withClaim("a") { try await driver.logIn(with: grant, under: $0) }
        #expect(store.peek("a").state.login == nil)
        #expect(store.peek("a").state.tokens.first?.expires == now.addingTimeInterval(3600))
    }
}

/// A code is spent by its first use.
@Suite struct CodeExchangeTests {
    private func logIn(_ store: MemoryStore, _ replies: [ScriptedTransport.Reply]) async throws -> (ScriptedTransport, [Double]) {
        let (transport, clock) = (ScriptedTransport(replies), ManualClock())
        let secret = try Secret(utf8: "code")
        let grant = AuthorizationGrant.authorizationCode(secret, redirectURI: "http://127.0.0.1", verifier: secret, nonce: nil)
        let driver = driver(store, transport, clock)
        try? await driver.withClaim("a") { try await driver.logIn(with: grant, under: $0) }
        return (transport, clock.slept)
    }

    @Test(arguments: [408, 429, 503])
    func `a server that is busy is asked again`(_ status: Int) async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let (transport, slept) = try await logIn(store, [.status(status, retryAfter: "7"), .token("new", refresh: "second")])
        #expect(transport.requests == 2 && slept.contains(7))
        #expect(store.refreshToken == "second")
    }

    @Test func `a server that was not reached is asked again`() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let (transport, _) = try await logIn(store, [.failure(aFailure), .token("new", refresh: "second")])
        #expect(transport.requests == 2 && store.refreshToken == "second")
    }

    /// A second use of a code ends what its first use has given (RFC 6749 section 4.1.2).
    @Test(arguments: [ScriptedTransport.Reply.failure(aLostAnswer), .status(500), .status(502)])
    func `a code that may have been used is not sent again`(_ lost: ScriptedTransport.Reply) async throws {
        let store = MemoryStore(["a": try loggedIn()])
        let (transport, _) = try await logIn(store, [lost, .token("new", refresh: "second")])
        #expect(transport.requests == 1 && store.refreshToken == "first")
    }

    @Test func `a token that never ends needs nothing that renews it`() async throws {
        let store = MemoryStore(["a": try loggedIn()])
        _ = try await logIn(store, [.token("only", expiresIn: nil)])
        #expect(store.peek("a").state.login == nil)
        #expect(store.peek("a").state.tokens.map { $0.token.revealed() } == ["only"])
    }
}

@Suite struct DeviceLoginTests {
    /// RFC 8628 section 3.5: whoever asks for the person waits longer, and asks again himself.
    @Test func `slow_down ends one question of a device login`() async throws {
        let transport = ScriptedTransport(.status(400, #"{"error":"slow_down"}"#), .token("new", refresh: "first"))
        let driver = driver(MemoryStore(["a": try loggedIn()]), transport)
        let grant = AuthorizationGrant.deviceCode(try Secret(utf8: "made-up-code"))
        await #expect(throws: TokenError.refused(.registered("slow_down"))) {
            try await driver.withClaim("a") { try await driver.logIn(with: grant, under: $0) }
        }
        #expect(transport.requests == 1)
    }
}

@Suite struct IDTokenTests {
    private func answer(nonce: String?) -> ScriptedTransport {
        func part(_ text: String) -> String { Base64URL.encode(Array(text.utf8)) }
        let claims = nonce.map { #"{"nonce":"\#($0)"}"# } ?? "{}"
        let token = [part(#"{"alg":"none"}"#), part(claims), part("")].joined(separator: ".")
        return ScriptedTransport(
            .status(200, #"{"access_token":"new","refresh_token":"first","expires_in":60,"id_token":"\#(token)"}"#))
    }

    private func logIn(_ transport: ScriptedTransport) async throws -> String? {
        let grant = AuthorizationGrant.authorizationCode(
            try Secret(utf8: "code"), redirectURI: "http://127.0.0.1", verifier: try Secret(utf8: "v"), nonce: "ours")
        let store = MemoryStore(["a": try loggedIn()])
        let driver = driver(store, transport)
        try await driver.withClaim("a") { try await driver.logIn(with: grant, under: $0) }
        return store.peek("a").state.tokens.first?.token.revealed()
    }

    @Test func anIDTokenMustCarryOurNonce() async throws {
        #expect(try await logIn(answer(nonce: "ours")) == "new")
        await #expect(throws: TokenError.unusableAnswer(reason: "an ID token that belongs to another login")) {
            try await logIn(answer(nonce: "another"))
        }
        let lacking = "an ID token that lacks the nonce that was sent (claviger edit --nonce false takes one unseen)"
        for none in [nil, ""] {
            await #expect(throws: TokenError.unusableAnswer(reason: lacking)) { try await logIn(answer(nonce: none)) }
        }
    }

    @Test(
        arguments: [
            ("a.b.c.d.e", "is encrypted, so that its nonce can't be read"),
            ("made-up", "is no JWT, so that its nonce can't be read"),
            ("", nil),
        ] as [(String, String?)])
    func `one that can't be read is said to be that`(_ idToken: String, _ words: String?) async throws {
        let transport = ScriptedTransport(
            .status(200, #"{"access_token":"new","refresh_token":"first","expires_in":60,"id_token":"\#(idToken)"}"#))
        guard let words else {
            #expect(try await logIn(transport) == "new")
            return
        }
        let reason = "an ID token that \(words) (claviger edit --nonce false takes one unseen)"
        await #expect(throws: TokenError.unusableAnswer(reason: reason)) { try await logIn(transport) }
    }

    @Test func aServerThatSendsNoneIsLeftInPeace() async throws {
        #expect(try await logIn(ScriptedTransport(.token("new", refresh: "first"))) == "new")
    }
}

@Suite struct TokenExchangeTests {
    private func exchanging(_ source: ExchangedToken.Source, actor: ExchangedToken.Source? = nil) throws -> Credential {
        try someCredential {
            $0.configuration.settings.grant = .tokenExchange
            $0.configuration.settings.subject = ExchangedToken(
                source: source, type: ExchangedToken.registeredType("access_token"))
            $0.configuration.settings.actor = actor.map { ExchangedToken(source: $0, type: ExchangedToken.registeredType("jwt")) }
        }
    }

    /// RFC 8693 section 2.1.
    @Test func theTokenOfAnotherCredentialIsExchanged() async throws {
        let store = MemoryStore(["a": try exchanging(.credential(name: "b")), "b": try someCredential()])
        let transport = ScriptedTransport(.token("subject"), .token("exchanged"))
        #expect(try await driver(store, transport).token("a", TokenQuery()).token.revealed() == "exchanged")
        #expect(
            transport.bodies[1]
                == "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=subject"
                + "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token")
        // The subject's token was bought like any other, and is kept.
        #expect(store.peek("b").state.tokens.first?.token.revealed() == "subject")
    }

    @Test func theActorsTokenGoesWithIt() async throws {
        let store = MemoryStore([
            "a": try exchanging(.credential(name: "b"), actor: .credential(name: "c")),
            "b": try someCredential(try someToken("of-b")), "c": try someCredential(try someToken("of-c")),
        ])
        let transport = ScriptedTransport(.token("exchanged"))
        _ = try await driver(store, transport).token("a", TokenQuery())
        let parameters = FormEncoding.decode(transport.bodies[0])
        #expect(parameters.contains(Parameter("subject_token", "of-b")))
        #expect(parameters.contains(Parameter("actor_token", "of-c")))
        #expect(parameters.contains(Parameter("actor_token_type", "urn:ietf:params:oauth:token-type:jwt")))
    }

    @Test func theFileIsReadForEachExchange() async throws {
        let folder = TemporaryFolder()
        let path = folder.write("token", "one\n")
        let store = MemoryStore(["a": try exchanging(.file(path: path))])
        let transport = ScriptedTransport(.token("exchanged"))
        let driver = driver(store, transport)
        _ = try await driver.token("a", TokenQuery())
        _ = folder.write("token", "two")
        _ = try await driver.token("a", TokenQuery(mode: .fresh))
        #expect(transport.bodies.map { FormEncoding.decode($0)[1].value } == ["one", "two"])
    }

    @Test(arguments: ["", " \n", "two words", "a\u{1}b", String(repeating: "a", count: 1 << 17)])
    func aFileWithoutOneTokenIsRefused(content: String) async throws {
        let path = TemporaryFolder().write("token", content)
        let store = MemoryStore(["a": try exchanging(.file(path: path))])
        let transport = ScriptedTransport(.token("exchanged"))
        await #expect(throws: TokenError.noSubject(.file(path: path))) {
            try await driver(store, transport).token("a", TokenQuery())
        }
        #expect(transport.requests == 0)
    }

    @Test func noCircleOfExchangesIsWaitedFor() async throws {
        let store = MemoryStore([
            "a": try exchanging(.credential(name: "b")), "b": try exchanging(.credential(name: "a")),
            "own": try exchanging(.credential(name: "own")), "lost": try exchanging(.credential(name: "nobody")),
        ])
        let driver = driver(store, ScriptedTransport(.token("new")))
        for (name, failure) in [
            ("a", SubjectFailure.exchange(name: "b")), ("own", .exchange(name: "own")), ("lost", .missing(name: "nobody")),
        ] {
            await #expect(throws: TokenError.noSubject(failure)) { try await driver.token(name, TokenQuery()) }
        }
    }

    @Test func aSubjectThatIsNotTakenIsReplacedOnce() async throws {
        let stored = try someCredential(try someToken("dead"))
        let store = MemoryStore(["a": try exchanging(.credential(name: "b")), "b": stored])
        let refusal = ScriptedTransport.Reply.status(400, #"{"error":"invalid_request"}"#)
        let transport = ScriptedTransport(refusal, .token("alive"), .token("exchanged"))
        #expect(try await driver(store, transport).token("a", TokenQuery()).token.revealed() == "exchanged")
        #expect([0, 2].map { FormEncoding.decode(transport.bodies[$0])[1].value } == ["dead", "alive"])
        let stubborn = ScriptedTransport(refusal, .token("alive"), refusal)
        await #expect(throws: TokenError.refused(.registered("invalid_request"))) {
            try await driver(store, stubborn).token("a", TokenQuery(mode: .fresh))
        }
        #expect(stubborn.requests == 3)
    }

    @Test func whyTheSubjectHasNoTokenIsSaid() async throws {
        let store = MemoryStore(["a": try exchanging(.credential(name: "b")), "b": try someCredential()])
        let transport = ScriptedTransport(.status(401, #"{"error":"invalid_client"}"#))
        await #expect(throws: TokenError.noSubject(.failed(name: "b", .keyPairRefused))) {
            try await driver(store, transport).token("a", TokenQuery())
        }
    }
}
