import Foundation
import Sodium
import Testing

@testable import OAuth
@testable import TokenEngine

private let start = Date(timeIntervalSince1970: 1_000_000)
private let refused = ScriptedTransport.Reply.status(400, #"{"error":"invalid_grant"}"#)

private func driver(_ store: MemoryStore, _ transport: ScriptedTransport, _ clock: ManualClock, boot: String? = "this")
    -> TokenDriver
{
    TokenDriver(store: store, transport: transport, clock: clock, host: Host(id: "here", boot: boot), jitter: { 1 })
}

/// A login whose refresh token rotates, with an access token that lives for `left` more seconds.
private func rotating(
    left: Double? = nil, grace: RefreshTokenGrace? = nil, _ change: (inout Credential) throws -> Void = { _ in }
) throws -> MemoryStore {
    let old = try left.map { try someToken("old", sent: 1_000_000 - 3600 + $0) }
    var credential = try someCredential {
        $0.configuration.settings.grant = .authorizationCode
        $0.configuration.settings.refreshTokenGrace = grace
        $0.state.tokens = [old].compactMap { $0 }
    }
    credential.state.login = Login(
        refreshToken: try Secret(utf8: "first"), since: start, renewed: start, rotation: .rotates, owner: "here")
    try change(&credential)
    return MemoryStore(["a": credential])
}

extension MemoryStore {
    fileprivate var login: Login? { peek("a").state.login }
}

@Suite struct UncertainOutcomeTests {
    /// Rule 4.
    @Test(arguments: [
        ScriptedTransport.Reply.failure(aLostAnswer), .status(500), .status(502), .status(504),
        .tooLarge("made up"),
    ])
    func `outside of the grace period the old token is served while it lives`(_ lost: ScriptedTransport.Reply) async throws {
        let store = try rotating(left: 40)
        let transport = ScriptedTransport(lost, .token("new", refresh: "second"))
        let clock = ManualClock()
        #expect(try await driver(store, transport, clock).token("a", TokenQuery()).token.revealed() == "old")
        #expect(transport.requests == 1)
        #expect(store.login?.sending?.began == start)
        // Nor is anything sent by the next call.
        #expect(try await driver(store, transport, clock).token("a", TokenQuery()).token.revealed() == "old")
        #expect(transport.requests == 1)
    }

    /// Rule 4: if the server has replaced it, the login is lost already; if not, this saves it.
    @Test func `when the old token has ended it is sent once more`() async throws {
        let store = try rotating()
        let transport = ScriptedTransport(.status(502), .token("new", refresh: "second"))
        #expect(try await driver(store, transport, ManualClock()).token("a", TokenQuery()).token.revealed() == "new")
        #expect(transport.requests == 2)
        #expect(store.login?.refreshToken.revealed() == "second")
        #expect(store.login?.sending == nil)
    }

    @Test func `it is sent once more and not twice`() async throws {
        let store = try rotating()
        let transport = ScriptedTransport(.status(502))
        let clock = ManualClock()
        for _ in 0..<3 {
            await #expect(throws: TokenError.loginNeeded(.undecided(start))) {
                try await driver(store, transport, clock).token("a", TokenQuery())
            }
            clock.advance(1000)
        }
        #expect(transport.requests == 2)
        #expect(store.login?.refreshToken.revealed() == "first")
        #expect(store.login?.ended == nil)
    }

    @Test func `a person can have it sent again when no answer can come any more`() async throws {
        let store = try rotating { $0.state.login?.sending = Login.Sending(began: start, boot: nil, isResend: true) }
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        let clock = ManualClock()
        var ask = TokenQuery()
        ask.resends = true
        clock.advance(184)
        let open = TokenError.outcomeUnknown(sent: start, until: start.addingTimeInterval(185), status: nil)
        await #expect(throws: open) { try await driver(store, transport, clock).token("a", ask) }
        #expect(transport.requests == 0)
        clock.advance(1)
        #expect(try await driver(store, transport, clock).token("a", ask).token.revealed() == "new")
    }

    @Test func `a person can have an ended login tried again`() async throws {
        let store = try rotating { $0.state.login?.ended = start }
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        var ask = TokenQuery()
        ask.resends = true
        #expect(try await driver(store, transport, ManualClock()).token("a", ask).token.revealed() == "new")
        #expect(store.login?.ended == nil)
    }

    @Test func `where resending is a persons to decide nothing is resent`() async throws {
        let store = try rotating { $0.configuration.settings.resend = .never }
        let transport = ScriptedTransport(.status(502))
        await #expect(throws: TokenError.loginNeeded(.undecided(start))) {
            try await driver(store, transport, ManualClock()).token("a", TokenQuery())
        }
        #expect(transport.requests == 1)
    }

    @Test(arguments: [RefreshTokenGrace.seconds(30), .untilSuccessorIsUsed])
    func `within the grace period it is sent again at once`(_ grace: RefreshTokenGrace) async throws {
        let store = try rotating(left: 40, grace: grace)
        let transport = ScriptedTransport(.failure(aLostAnswer), .token("new", refresh: "second"))
        #expect(try await driver(store, transport, ManualClock()).token("a", TokenQuery()).token.revealed() == "new")
        #expect(transport.requests == 2)
    }

    /// The old token serves those who do not want another one, and a replaced refresh token that comes again ends it.
    @Test(arguments: [TokenQuery(mode: .fresh), TokenQuery(minimumLifetime: 50)])
    func `nobody who wants another token risks the one that lives`(_ ask: TokenQuery) async throws {
        let store = try rotating(left: 40)
        let transport = ScriptedTransport(.status(502), .token("new", refresh: "second"))
        let clock = ManualClock()
        let expires = start.addingTimeInterval(40)
        await #expect(throws: TokenError.outcomeUnknown(sent: start, until: expires, status: 502)) {
            try await driver(store, transport, clock).token("a", ask)
        }
        clock.advance(20)
        // Nor when no answer can come any more: the machine has started anew.
        await #expect(throws: TokenError.outcomeUnknown(sent: start, until: expires, status: nil)) {
            try await driver(store, transport, clock, boot: "next").token("a", ask)
        }
        #expect(transport.requests == 1)
        clock.advance(20)
        #expect(try await driver(store, transport, clock, boot: "next").token("a", ask).token.revealed() == "new")
    }

    @Test func `nor the one that lives for other scopes`() async throws {
        let store = try rotating(left: 40)
        let transport = ScriptedTransport(.status(502), .token("new", refresh: "second"))
        let clock = ManualClock()
        let ask = TokenQuery(access: RequestedAccess(scopes: ["other"]))
        let expires = start.addingTimeInterval(40)
        await #expect(throws: TokenError.outcomeUnknown(sent: start, until: expires, status: 502)) {
            try await driver(store, transport, clock).token("a", ask)
        }
        #expect(transport.requests == 1)
        clock.advance(40)
        #expect(try await driver(store, transport, clock, boot: "next").token("a", ask).token.revealed() == "new")
    }

    @Test func `a token that never ends leaves the resend to a person`() async throws {
        let store = try rotating { $0.state.tokens = [try someToken("old", lifetime: nil)] }
        let transport = ScriptedTransport(.status(502), .token("new", refresh: "second"))
        for _ in 0..<2 {
            await #expect(throws: TokenError.loginNeeded(.undecided(start))) {
                try await driver(store, transport, ManualClock(), boot: nil).token("a", TokenQuery(mode: .fresh))
            }
        }
        #expect(try await driver(store, transport, ManualClock()).token("a", TokenQuery()).token.revealed() == "old")
        #expect(transport.requests == 1)
    }

    @Test func `a wait that outlasts the grace period ends in one resend`() async throws {
        let doubt = Login.Sending(began: start.addingTimeInterval(-20), boot: "before")
        let store = try rotating(grace: .seconds(30)) { $0.state.login?.sending = doubt }
        let transport = ScriptedTransport(.status(429, retryAfter: "20"), .failure(aLostAnswer), .token("new"))
        await #expect(throws: TokenError.loginNeeded(.undecided(doubt.began))) {
            try await driver(store, transport, ManualClock()).token("a", TokenQuery())
        }
        #expect(transport.requests == 2)
        #expect(store.login?.sending?.isResend == true)
    }

    /// Within the grace period a second sending does no harm; after it, the first may still be under way.
    @Test func `a wait that outlasts the grace period ends while another process's sending may be answered`() async throws {
        let doubt = Login.Sending(began: start.addingTimeInterval(-20), boot: "this")
        let store = try rotating(grace: .seconds(30)) { $0.state.login?.sending = doubt }
        let transport = ScriptedTransport(.status(429, retryAfter: "20"), .token("new"))
        let until = doubt.last.addingTimeInterval(185)
        await #expect(throws: TokenError.outcomeUnknown(sent: doubt.began, until: until, status: nil)) {
            try await driver(store, transport, ManualClock()).token("a", TokenQuery())
        }
        #expect(transport.requests == 1)
    }

    @Test func `a wait that outlasts the grace period leaves the old token alone`() async throws {
        let doubt = Login.Sending(began: start.addingTimeInterval(-20), boot: "this")
        let store = try rotating(left: 40, grace: .seconds(30)) { $0.state.login?.sending = doubt }
        let transport = ScriptedTransport(.status(429, retryAfter: "20"), .token("new"))
        #expect(try await driver(store, transport, ManualClock()).token("a", TokenQuery()).token.revealed() == "old")
        #expect(transport.requests == 1)
    }

    @Test func `an answer that is lost for longer than the grace period is not asked for again`() async throws {
        let store = try rotating(left: 59, grace: .seconds(30))
        let clock = ManualClock()
        let transport = ScriptedTransport(.failure(aLostAnswer), beforeAnswering: { clock.advance(31) })
        #expect(try await driver(store, transport, clock).token("a", TokenQuery()).token.revealed() == "old")
        #expect(transport.requests == 1)
    }

    /// A process died between sending and storing: its answer may still be on its way.
    @Test func `nothing is sent while an earlier sending may still be answered`() async throws {
        let store = try rotating { $0.state.login?.sending = Login.Sending(began: start, boot: "this") }
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        let clock = ManualClock()
        clock.advance(10)
        await #expect(
            throws: TokenError.outcomeUnknown(sent: start, until: start.addingTimeInterval(185), status: nil)
        ) { try await driver(store, transport, clock).token("a", TokenQuery()) }
        #expect(transport.requests == 0)
        clock.advance(176)
        #expect(try await driver(store, transport, clock).token("a", TokenQuery()).token.revealed() == "new")
    }

    /// As by a time server, in the middle of a refresh.
    @Test func `a clock that is set back a little makes no sending over`() async throws {
        let store = try rotating { $0.state.login?.sending = Login.Sending(began: start, boot: "this") }
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        let clock = ManualClock()
        clock.advance(-60)
        await #expect(
            throws: TokenError.outcomeUnknown(sent: start, until: start.addingTimeInterval(185), status: nil)
        ) { try await driver(store, transport, clock).token("a", TokenQuery()) }
        #expect(transport.requests == 0)
    }

    @Test func `a sending of an earlier start of the machine is over`() async throws {
        let store = try rotating { $0.state.login?.sending = Login.Sending(began: start, boot: "before") }
        let transport = ScriptedTransport(.token("new", refresh: "second"))
        #expect(try await driver(store, transport, ManualClock()).token("a", TokenQuery()).token.revealed() == "new")
    }

    @Test func `a server that has done nothing leaves an earlier doubt as it was`() async throws {
        let doubt = Login.Sending(began: start.addingTimeInterval(-1000), boot: nil)
        let store = try rotating { $0.state.login?.sending = doubt }
        await #expect(throws: TokenError.serverFailing(status: 503)) {
            try await driver(store, ScriptedTransport(.status(503)), ManualClock()).token("a", TokenQuery())
        }
        #expect(store.login?.sending == doubt)
    }

    /// DNS, connect and TLS failures come before the request's first byte.
    @Test func `a connection that was never made leaves no doubt`() async throws {
        let store = try rotating()
        await #expect(throws: TokenError.unreachable(aFailure)) {
            try await driver(store, ScriptedTransport(.failure(aFailure)), ManualClock()).token("a", TokenQuery())
        }
        #expect(store.login?.sending == nil)
    }

    @Test func `a login that another machine id owns before is adopted`() async throws {
        let store = try rotating { $0.state.login?.owner = "machine-id" }
        let host = Host(id: "here", former: ["machine-id"])
        let driver = TokenDriver(
            store: store, transport: ScriptedTransport(.token("new", refresh: "second")), clock: ManualClock(), host: host)
        #expect(try await driver.token("a", TokenQuery()).token.revealed() == "new")
        #expect(store.login?.owner == "here")
    }
}

@Suite struct OddAnswerTests {
    /// What is wrong with the rest of an answer does not cost the login.
    @Test(arguments: [
        (200, #"{"refresh_token":"second","expires_in":60}"#),
        (200, #"{"access_token":"bad\n","refresh_token":"second"}"#),
        (200, #"{"access_token":"x","expires_in":-1,"refresh_token":"second"}"#),
        (200, #"{"access_token":"x","token_type":"DPoP","refresh_token":"second"}"#),
        (400, #"{"error":"invalid_scope","refresh_token":"second"}"#),
        (500, #"{"refresh_token":"second"}"#),
    ])
    func `a new refresh token is stored, whatever is wrong with the rest`(_ status: Int, _ body: String) async throws {
        let store = try rotating()
        let driver = driver(store, ScriptedTransport(.status(status, body)), ManualClock())
        do {
            _ = try await driver.token("a", TokenQuery())
            Issue.record("a token came out of \(body)")
        } catch TokenError.onlyRefreshToken {}
        #expect(store.login?.refreshToken.revealed() == "second")
        #expect(store.login?.sending == nil)
    }

    @Test func `a new refresh token is stored, however long the answer is`() async throws {
        let store = try rotating()
        let transport = ScriptedTransport(.tooLarge(#"{"refresh_token":"second","x":"made up"#))
        await #expect(throws: TokenError.onlyRefreshToken(reason: "an answer that was cut off")) {
            try await driver(store, transport, ManualClock()).token("a", TokenQuery())
        }
        #expect(store.login?.refreshToken.revealed() == "second")
    }

    /// An odd answer to a code may hold a refresh token, too.
    @Test(arguments: [
        (200, #"{"refresh_token":"second","expires_in":60}"#),
        (200, #"{"access_token":"x","expires_in":-1,"refresh_token":"second"}"#),
        (500, #"{"refresh_token":"second"}"#), (429, #"{"refresh_token":"second"}"#),
    ])
    func `a login whose answer is odd keeps its refresh token`(_ status: Int, _ body: String) async throws {
        let secret = try Secret(utf8: "made-up")
        for grant in [
            AuthorizationGrant.authorizationCode(secret, redirectURI: "http://127.0.0.1", verifier: secret, nonce: nil),
            .refreshToken(secret), .deviceCode(secret),
        ] {
            let store = try rotating()
            let transport = ScriptedTransport(.status(status, body), .token("late"))
            let driver = driver(store, transport, ManualClock())
            do {
                try await driver.withClaim("a") { try await driver.logIn(with: grant, under: $0) }
                Issue.record("a token came out of \(body)")
            } catch TokenError.onlyRefreshToken {}
            #expect(transport.requests == 1)
            #expect(store.login?.refreshToken.revealed() == "second")
            #expect(store.peek("a").state.tokens.isEmpty)
        }
    }

    /// An ID token was asked for, to prove whose login it is.
    @Test func `a login whose answer lacks the proof that it is ours is none`() async throws {
        let secret = try Secret(utf8: "made-up")
        let store = try rotating()
        let driver = driver(store, ScriptedTransport(.status(200, #"{"refresh_token":"second"}"#)), ManualClock())
        let grant = AuthorizationGrant.authorizationCode(
            secret, redirectURI: "http://127.0.0.1", verifier: secret, nonce: "ours")
        await #expect(throws: TokenError.unusableAnswer(reason: "no access token")) {
            try await driver.withClaim("a") { try await driver.logIn(with: grant, under: $0) }
        }
        #expect(store.login?.refreshToken.revealed() == "first")
    }

    @Test func `a sending of the future is in no grace period`() async throws {
        let store = try rotating(grace: .seconds(60)) {
            $0.state.login?.sending = Login.Sending(began: start + 1000, last: start - 1000, boot: "this")
        }
        let transport = ScriptedTransport(.status(502))
        await #expect(throws: TokenError.self) { try await driver(store, transport, ManualClock()).token("a", TokenQuery()) }
        #expect(store.login?.sending?.isResend == true)
    }

    /// A public client has no secret that could be wrong.
    @Test func `a public client that is refused is not told that its key pair is wrong`() async throws {
        let store = try rotating { $0.configuration.settings.clientAuthentication = .none }
        let transport = ScriptedTransport(.status(401, #"{"error":"invalid_client"}"#))
        await #expect(throws: TokenError.refused(.invalidClient)) {
            try await driver(store, transport, ManualClock()).token("a", TokenQuery())
        }
        #expect(store.peek("a").state.refusal?.cause == .refresh(status: 401))
        #expect(store.login?.sending == nil && store.login?.ended == nil)
    }

    /// The answer before may have been lost after the work; the refusal says nothing about that one.
    @Test func `a refused client after a lost answer leaves the doubt in the journal`() async throws {
        let store = try rotating(grace: .seconds(60))
        let transport = ScriptedTransport(.failure(aLostAnswer), .status(401, #"{"error":"invalid_client"}"#))
        await #expect(throws: TokenError.keyPairRefused) {
            try await driver(store, transport, ManualClock()).token("a", TokenQuery())
        }
        #expect(store.login?.sending != nil)
    }

    /// The client in use may still be good for it.
    @Test func `a proof whose refresh token is refused does not end the login`() async throws {
        let store = try rotating()
        let driver = driver(store, ScriptedTransport(refused), ManualClock())
        await #expect(throws: TokenError.loginNeeded(.ended(start))) {
            try await driver.withClaim("a") { claim in
                _ = try await driver.prove(claim.credential.configuration, under: claim)
            }
        }
        #expect(store.login?.ended == nil && store.login?.sending == nil)
    }

    /// What a proof has brought for the login is stored, and its access token is not: it may be another client's.
    @Test func `a proof's access token is not stored`() async throws {
        let store = try rotating()
        let driver = driver(store, ScriptedTransport(.token("proof", refresh: "second")), ManualClock())
        let token = try await driver.withClaim("a") { try await driver.prove($0.credential.configuration, under: $0) }
        #expect(token.token.revealed() == "proof" && store.peek("a").state.tokens.isEmpty)
        #expect(store.login?.refreshToken.revealed() == "second")
    }

    @Test func `a refused refresh without a reason is told, and not tried on every call`() async throws {
        let store = try rotating()
        let transport = ScriptedTransport(.status(403))
        let clock = ManualClock()
        await #expect(throws: TokenError.refused(.unregistered(status: 403))) {
            try await driver(store, transport, clock).token("a", TokenQuery())
        }
        for _ in 0..<44 {
            await #expect(throws: TokenError.self) { try await driver(store, transport, clock).token("a", TokenQuery()) }
        }
        #expect(transport.requests == 1)
        #expect(store.peek("a").state.refusal?.cause == .refresh(status: 403))
        #expect(store.login?.ended == nil)
    }
}

@Suite struct RejectionTests {
    private func withoutRefreshToken() throws -> MemoryStore {
        MemoryStore([
            "a": try someCredential(someToken("only", lifetime: nil)) {
                $0.configuration.settings.grant = .authorizationCode
            }
        ])
    }

    /// What can't be acquired again is never forgotten.
    @Test func `a rejected token without a refresh token is kept and served`() async throws {
        let store = try withoutRefreshToken()
        let driver = driver(store, ScriptedTransport(.token("new")), ManualClock())
        await #expect(throws: TokenError.loginNeeded(.notRenewable(rejected: start))) {
            try await driver.token("a", TokenQuery(mode: .rejected))
        }
        #expect(store.peek("a").state.tokens.first?.rejected == start)
        #expect(try await driver.token("a", TokenQuery()).token.revealed() == "only")
    }

    @Test func `a rejected token that can be renewed is served to nobody, nor in the place of a failure`() async throws {
        var token = try someToken("dead")
        token.rejected = start
        let store = MemoryStore(["a": try someCredential(token)])
        let transport = ScriptedTransport(.status(400, #"{"error":"invalid_scope"}"#))
        let failing = driver(store, transport, ManualClock())
        await #expect(throws: TokenError.self) { try await failing.token("a", TokenQuery()) }
        let down = driver(store, ScriptedTransport(.failure(aFailure)), ManualClock())
        await #expect(throws: TokenError.unreachable(aFailure)) { try await down.token("a", TokenQuery()) }
    }

    @Test func `a token of the future is served in no failure's place`() async throws {
        let store = MemoryStore(["a": try someCredential(someToken(sent: 1_100_000))])
        let down = driver(store, ScriptedTransport(.failure(aFailure)), ManualClock())
        await #expect(throws: TokenError.unreachable(aFailure)) { try await down.token("a", TokenQuery()) }
    }

    @Test func `a clock that was set back makes nobody wait for a refusal, or a renewal, of the future`() async throws {
        let store = MemoryStore(["a": try someCredential(someToken())])
        store.write("a") { credential in
            credential.state.refusal = .init(cause: .client, since: start + 500, asked: start + 500, times: 3)
            credential.state.forcedRenewals = Array(repeating: start + 500, count: 20)
        }
        let driver = driver(store, ScriptedTransport(.token("new")), ManualClock())
        #expect(try await driver.token("a", TokenQuery(mode: .fresh)).token.revealed() == "new")
    }

    /// A rejection that can't lead to another token is not believed: it would keep the stored one from everybody.
    @Test func `where renewals are used up a rejection changes nothing`() async throws {
        let store = MemoryStore(["a": try someCredential(someToken())])
        store.write("a") { $0.state.forcedRenewals = [start] }
        let driver = driver(store, ScriptedTransport(.token("new")), ManualClock())
        var ask = TokenQuery(mode: .rejected)
        ask.forcedRenewalsPerMinute = 1
        let limited = ask
        await #expect(throws: TokenError.tooManyRenewals(wait: 60)) { try await driver.token("a", limited) }
        #expect(try await driver.token("a", TokenQuery()).token.revealed() == "stored")
    }

    @Test func `a longer life than the stored token has left is a renewal like every other that is forced`() async throws {
        let store = MemoryStore(["a": try someCredential(someToken())])
        let clock = ManualClock(1_000_100)
        let driver = driver(store, ScriptedTransport(.token("new", expiresIn: 3550)), clock)
        var ask = TokenQuery(minimumLifetime: 3545)
        ask.forcedRenewalsPerMinute = 1
        let limited = ask
        _ = try await driver.token("a", limited)
        clock.advance(10)
        await #expect(throws: TokenError.tooManyRenewals(wait: 50)) { try await driver.token("a", limited) }
        // One that ends anyway is renewed for everybody.
        clock.advance(3540)
        _ = try await driver.token("a", TokenQuery())
    }

    @Test func `three workers with one dead token buy one`() async throws {
        let store = MemoryStore(["a": try someCredential(someToken("dead"))])
        let transport = ScriptedTransport(.token("second"), .token("third"))
        let driver = driver(store, transport, ManualClock())
        var ask = TokenQuery(mode: .rejected)
        ask.rejectedToken = TokenHash(of: try Secret(utf8: "dead"))
        for _ in 0..<3 { #expect(try await driver.token("a", ask).token.revealed() == "second") }
        #expect(transport.requests == 1)
    }

    @Test func `forced renewals are limited, and failed ones do not count`() async throws {
        let store = MemoryStore(["a": try someCredential(someToken())])
        let clock = ManualClock()
        let failing = driver(store, ScriptedTransport(.status(400, #"{"error":"invalid_scope"}"#)), clock)
        for _ in 0..<20 { await #expect(throws: TokenError.self) { try await failing.token("a", TokenQuery(mode: .fresh)) } }
        let transport = ScriptedTransport(.token("new"))
        let driver = driver(store, transport, clock)
        for _ in 0..<10 { _ = try await driver.token("a", TokenQuery(mode: .fresh)) }
        await #expect(throws: TokenError.tooManyRenewals(wait: 60)) { try await driver.token("a", TokenQuery(mode: .fresh)) }
        #expect(transport.requests == 10)
        clock.advance(61)
        _ = try await driver.token("a", TokenQuery(mode: .fresh))
    }

    @Test func `a refused client is asked again after a growing while`() async throws {
        let store = MemoryStore(["a": try someCredential()])
        let transport = ScriptedTransport(.status(401, #"{"error":"invalid_client"}"#))
        let clock = ManualClock()
        let driver = driver(store, transport, clock)
        var asked: [Int] = []
        for second in 0..<3600 {
            let before = transport.requests
            _ = try? await driver.token("a", TokenQuery())
            if transport.requests > before { asked.append(second) }
            clock.advance(1)
        }
        #expect(asked == [0, 60, 180, 420, 900, 1800, 2700])
    }

    @Test func `a wrong password is remembered like a refused client`() async throws {
        let store = MemoryStore(["a": try someCredential { $0.configuration.settings.grant = .password }])
        let transport = ScriptedTransport(refused)
        let driver = driver(store, transport, ManualClock())
        for _ in 0..<44 { _ = try? await driver.token("a", TokenQuery()) }
        #expect(transport.requests == 1)
    }

    /// GitLab ends a login's older access tokens with each refresh.
    @Test(arguments: [true, false])
    func `a refresh for other scopes ends the older token unless the settings know better`(_ live: Bool) async throws {
        let store = try rotating(left: 3000) { $0.configuration.settings.olderTokensLive = live }
        let driver = driver(store, ScriptedTransport(.token("scoped", refresh: "second")), ManualClock())
        _ = try await driver.token("a", TokenQuery(access: RequestedAccess(scopes: ["b"])))
        #expect(store.peek("a").state.tokens.map { $0.token.revealed() } == (live ? ["old", "scoped"] : ["scoped"]))
    }

    @Test func `a replaced token is kept for a revocation until it ends`() async throws {
        let store = MemoryStore(["a": try someCredential(someToken("first"))])
        let clock = ManualClock()
        let driver = driver(store, ScriptedTransport(.token("second"), .token("third")), clock)
        _ = try await driver.token("a", TokenQuery(mode: .fresh))
        #expect(store.peek("a").state.replaced.map { $0.token.revealed() } == ["first"])
        clock.advance(3601)
        _ = try await driver.token("a", TokenQuery(mode: .fresh))
        #expect(store.peek("a").state.replaced.isEmpty)
    }
}

@Suite struct TokenHashTests {
    @Test(arguments: ["", "00", String(repeating: "g", count: 32), "+1" + String(repeating: "0", count: 30)])
    func `what is no hash is refused`(_ text: String) {
        #expect(TokenHash(hex: text) == nil)
    }

    /// The first half of what sha256sum(1) prints.
    @Test func `a hash is the first half of SHA-256`() throws {
        let hash = TokenHash(of: try Secret(utf8: "abc"))
        #expect(hash.hex == "ba7816bf8f01cfea414140de5dae2223")
        #expect(TokenHash(hex: hash.hex.uppercased()) == hash)
    }
}
