import FoundationEssentials
public import OAuth
public import Sodium

/// Hands out tokens: drives the decisions of `TokenAcquisition`, and lets callers that want the same share one flight.
public actor TokenBroker {
    private let store: any TokenStore
    private let transport: any HTTPTransport
    private let clock: any WallClock
    private let host: String
    private let jitter: @Sendable () -> Double
    private let serverClocks = ServerClocks()
    private var flights: [FlightKey: Flight] = [:]
    private var launched = 0

    private struct FlightKey: Hashable {
        let name: String
        let ask: TokenAsk
    }

    private struct Flight {
        let number: Int
        let task: Task<CachedToken, any Error>
    }

    /// How long another process may hold a credential's lock before we give up, in seconds: longer than one exchange
    /// with a slow server takes.
    static let lockLimit = 120.0

    public init(
        store: any TokenStore, transport: any HTTPTransport, clock: any WallClock = SystemClock(),
        host: String = MachineIdentity.current, jitter: @escaping @Sendable () -> Double = { Random.unit() }
    ) {
        self.store = store
        self.transport = transport
        self.clock = clock
        self.host = host
        self.jitter = jitter
    }

    /// A valid access token, cached or new.
    /// - Throws: `TokenFailure`, what the store throws, or `CancellationError`, which ends this caller's wait and
    ///   nobody else's.
    public func token(_ name: String, _ ask: TokenAsk) async throws -> CachedToken {
        // A token that is good enough needs no flight.
        var decision = TokenAcquisition(ask: ask, host: host)
        let stored = try await store.credential(name)
        let first = decision.look(at: stored, now: clock.now())
        if case .serve(let token) = first { return token }
        let key = FlightKey(name: name, ask: ask)
        let flight = flights[key] ?? launch(key, decision, first)
        // The stream ends with the flight, or when this caller is cancelled.
        let (stream, continuation) = AsyncStream<Never>.makeStream()
        Task {
            _ = await flight.task.result
            continuation.finish()
        }
        for await _ in stream {}
        try Task.checkCancellation()
        return try await flight.task.value
    }

    /// Starts before the first suspension, so that nobody can start a second one meanwhile.
    private func launch(_ key: FlightKey, _ decision: TokenAcquisition, _ first: TokenAcquisition.Action) -> Flight {
        launched += 1
        let number = launched
        let flight = Flight(
            number: number,
            task: Task {
                defer { land(key, number) }
                return try await acquire(key.name, decision, first)
            })
        flights[key] = flight
        return flight
    }

    private func land(_ key: FlightKey, _ number: Int) {
        if flights[key]?.number == number { flights[key] = nil }
    }

    /// The thin shell around the decision.
    private nonisolated func acquire(
        _ name: String, _ begun: TokenAcquisition, _ first: TokenAcquisition.Action
    ) async throws -> CachedToken {
        var decision = begun
        var action = first
        let access = decision.ask.access
        var credential: Credential?
        var lock: (any Sendable)?
        var room: (any Sendable)?
        defer { withExtendedLifetime((lock, room)) {} }
        while true {
            let event: TokenAcquisition.Event
            switch action {
            case .serve(let token):
                return token
            case .fail(let failure):
                throw failure
            case .read:
                let stored = try await store.credential(name)
                credential = stored
                action = decision.look(at: stored, now: clock.now())
                continue
            case .lock:
                lock = try await waitForLock(name)
                event = lock == nil ? .lockTimedOut : .locked
            case .journal:
                let now = clock.now()
                room = try await store.reserveRoom()
                try await store.update(name) { $0.login?.spending = now }
                event = .written
            case .send:
                guard let credential else { preconditionFailure("nothing was read") }
                let sent = clock.now()
                event = .answered(try await send(credential, access, now: sent), sent: sent)
            case .commit(let token, let login):
                event = try await commit(name, token, login, in: room)
                room = nil
            case .wait(let seconds):
                try await clock.sleep(seconds: seconds)
                event = .waited
            case .forget(let token):
                try await store.update(name) { $0.forget(token) }
                event = .written
            case .endLogin(let refreshToken):
                let now = clock.now()
                try await store.update(name) { $0.endLogin(keptBy: refreshToken, at: now) }
                event = .written
            case .noteRefusal:
                if credential?.refusedSince == nil || credential?.login != nil {
                    let now = clock.now()
                    try await store.update(name) {
                        $0.refusedSince = $0.refusedSince ?? now
                        $0.login?.spending = nil
                    }
                }
                event = .written
            case .settle:
                try await store.update(name) { $0.login?.spending = nil }
                event = .written
            }
            action = decision.handle(event, now: clock.now(), jitter: jitter())
        }
    }

    /// Stores what was acquired, in the room that was taken for it where there is some.
    private nonisolated func commit(
        _ name: String, _ token: CachedToken, _ login: Login?, in room: (any Sendable)?
    ) async throws -> TokenAcquisition.Event {
        let now = clock.now()
        let change: @Sendable (inout Credential) -> Void = {
            $0.keep(token, now: now)
            if let login { $0.login = login }
        }
        do {
            if let room {
                try await store.update(name, in: room, change)
            } else {
                try await store.update(name, change)
            }
            return .written
        } catch {
            // Without a login nothing is lost but a token that can be bought again.
            guard login != nil else { throw error }
            return .notWritten
        }
    }

    /// Waits for the credential's lock; nil when the time is up.
    private nonisolated func waitForLock(_ name: String) async throws -> (any Sendable)? {
        var waited = 0.0
        var pause = 0.005
        while true {
            if let lock = try await store.tryLock(name) { return lock }
            guard waited < Self.lockLimit else { return nil }
            try await clock.sleep(seconds: pause)
            waited += pause
            pause = min(pause * 1.5, 0.1)
        }
    }

    /// Takes the credential's lock for a change that must not meet an acquisition, such as a rotation.
    /// - Throws: `TokenFailure.lockTimeout`.
    public nonisolated func withLock<R: Sendable>(_ name: String, _ body: () async throws -> R) async throws -> R {
        guard let lock = try await waitForLock(name) else { throw TokenFailure.lockTimeout }
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }

    // MARK: Without the store

    /// What proves that a credential works.
    public struct Proof: Sendable {
        public var token: CachedToken
        /// The login as it is after the proof, for the grants that have one.
        public var login: Login?
    }

    /// Acquires a token for a credential that need not be stored: the proof that it works. Where that spends a refresh
    /// token, the caller has made sure that the new one can be stored.
    /// - Throws: `TokenFailure`.
    public nonisolated func prove(_ credential: Credential) async throws -> Proof {
        let access = RequestedAccess()
        if credential.settings.grant.needsLogin, credential.login == nil { throw TokenFailure.loginNeeded(.never) }
        var exchange = Exchange()
        while true {
            let sent = clock.now()
            let answer = try await send(credential, access, now: sent)
            switch exchange.handle(answer, took: clock.now().timeIntervalSince(sent), jitter: jitter()) {
            case .send: continue
            case .wait(let seconds): try await clock.sleep(seconds: seconds)
            case .fail(let failure, _): throw failure
            case .done(let granted):
                let token = CachedToken(granted, access: access, sent: sent, fallbackLifetime: credential.settings.tokenLifetime)
                let login = credential.login?.renewed(by: granted.refreshToken, at: clock.now(), owner: host)
                return Proof(token: token, login: login)
            }
        }
    }

    /// Exchanges what a person's login has brought, a code, for tokens (RFC 6749 section 4.1.3, RFC 8628 section 3.4).
    /// Sent once: a code is spent by its first use.
    /// - Throws: `TokenFailure`; `noRefreshToken` where the server gave nothing to keep the login alive with.
    public nonisolated func logIn(_ credential: Credential, with grant: AuthorizationGrant) async throws -> Proof {
        let sent = clock.now()
        let request = try await request(credential, grant, RequestedAccess(), now: sent)
        var exchange = Exchange()
        let answer = await send(request, isDated: credential.settings.isDated)
        switch exchange.handle(answer, took: 0, jitter: 0) {
        case .done(let granted):
            if case .authorizationCode(_, _, _, let nonce?) = grant { try await IDToken.check(granted, nonce: nonce) }
            let token = CachedToken(
                granted, access: RequestedAccess(), sent: sent, fallbackLifetime: credential.settings.tokenLifetime)
            var brought: Secret?
            if case .refreshToken(let token) = grant { brought = token }
            guard let refreshToken = granted.refreshToken ?? brought else {
                // A token that never ends needs nothing to renew it; and some servers give nothing.
                guard token.expires == nil || credential.settings.noRefreshToken == true else {
                    throw TokenFailure.noRefreshToken
                }
                return Proof(token: token, login: nil)
            }
            return Proof(token: token, login: Login(refreshToken: refreshToken, since: sent, renewed: sent, owner: host))
        case .fail(let failure, _):
            throw failure
        case .send, .wait:
            throw TokenFailure.unreachable(
                .answerLost(host: credential.settings.tokenURL.host, reason: "the login could not be completed"))
        }
    }

    /// Asks for the codes of a login on another device (RFC 8628 section 3.1).
    /// - Throws: `TokenFailure`.
    public nonisolated func deviceCodes(_ credential: Credential) async throws -> DeviceCodes {
        let client = credential.keyPair.client
        let assertion = try await clientAssertion(credential, now: clock.now())
        guard let request = credential.settings.deviceAuthorizationRequest(client, clientAssertion: assertion) else {
            throw TokenFailure.noSuchEndpoint
        }
        let answer = try await answer(to: request)
        do throws(TokenRefusal) {
            guard (200..<300).contains(answer.status), let json = JSONValue(parsing: answer.body) else {
                _ = try answer.tokens(now: clock.now())
                throw .unusable(reason: "something that is no JSON object")
            }
            return try DeviceCodes(parsing: json)
        } catch {
            throw Exchange.failure(error)
        }
    }

    /// Sends one token request for a credential and reads the answer. Assertions are signed anew for each.
    private nonisolated func send(_ credential: Credential, _ access: RequestedAccess, now: Date) async throws(TokenFailure)
        -> Exchange.Answer
    {
        let grant: AuthorizationGrant
        switch credential.settings.grant {
        case .clientCredentials: grant = .clientCredentials
        case .password: grant = .password
        case .jwtBearer:
            let dated = now.addingTimeInterval(serverClocks.offset(credential.settings.tokenURL.host))
            grant = .jwtBearer(try await Assertion.asGrant(credential, access: access, now: dated))
        case .tokenExchange:
            return try await exchange(credential, access, now: now)
        case .authorizationCode, .refreshToken, .deviceCode:
            guard let login = credential.login else { throw .loginNeeded(.never) }
            grant = .refreshToken(login.refreshToken)
        }
        return await send(try await request(credential, grant, access, now: now), isDated: credential.settings.isDated)
    }

    /// Exchanges another credential's token (RFC 8693). A server that does not take it says `invalid_request` (section
    /// 2.2.2): a cached one may have been ended by others, so a new one is tried once.
    private nonisolated func exchange(
        _ credential: Credential, _ access: RequestedAccess, now: Date
    ) async throws(TokenFailure) -> Exchange.Answer {
        func exchange(_ mode: TokenAsk.Mode) async throws(TokenFailure) -> Exchange.Answer {
            let subjects = TokenSubject(store: store) { try await self.token($0, TokenAsk(mode: mode)) }
            guard let subject = try await subjects.fetch(credential.settings.subject) else { throw .noSuchEndpoint }
            let grant = AuthorizationGrant.tokenExchange(
                subject: subject, actor: try await subjects.fetch(credential.settings.actor))
            let request = try await request(credential, grant, access, now: now)
            return await send(request, isDated: credential.settings.isDated)
        }
        let answer = try await exchange(.cached)
        guard credential.settings.exchangesCachedToken,
            case .refused(.oauth(.registered(let code))) = answer, ["invalid_request", "invalid_grant"].contains(code)
        else { return answer }
        return try await exchange(.rejected)
    }

    private nonisolated func request(
        _ credential: Credential, _ grant: AuthorizationGrant, _ access: RequestedAccess, now: Date
    ) async throws(TokenFailure) -> EndpointRequest {
        credential.settings.tokenRequest(
            credential.keyPair.client, grant: grant, access: access,
            clientAssertion: try await clientAssertion(credential, now: now))
    }

    /// What proves the client in one request, for those that sign.
    private nonisolated func clientAssertion(_ credential: Credential, now: Date) async throws(TokenFailure) -> Secret? {
        guard credential.settings.clientAuthentication.signs else { return nil }
        let dated = now.addingTimeInterval(serverClocks.offset(credential.settings.tokenURL.host))
        return try await Assertion.ofClient(credential, now: dated)
    }

    /// The answer of an endpoint that is asked once.
    private nonisolated func answer(to request: EndpointRequest) async throws(TokenFailure) -> EndpointAnswer {
        do throws(TransportFailure) {
            return try await transport.send(request)
        } catch {
            throw .unreachable(error)
        }
    }

    /// - Parameter isDated: whether the request holds an assertion, which a wrong clock makes worthless.
    private nonisolated func send(_ request: EndpointRequest, isDated: Bool) async -> Exchange.Answer {
        do throws(TransportFailure) {
            let answer = try await transport.send(request)
            let now = clock.now()
            let wasWrong = serverClocks.learn(from: answer, of: request.host, at: now)
            do throws(TokenRefusal) {
                return .granted(try answer.tokens(now: now))
            } catch {
                if case .oauth = error, isDated, wasWrong { return .misdated(error) }
                return .refused(error)
            }
        } catch {
            return .failed(error)
        }
    }

    /// Asks the server whether a token is active (RFC 7662 section 2.2).
    /// - Throws: `TokenFailure`; `noSuchEndpoint` where it can't be asked.
    public nonisolated func isActive(_ token: Secret, of credential: Credential) async throws -> Bool {
        let client = credential.keyPair.client
        let assertion = try await clientAssertion(credential, now: clock.now())
        guard let request = credential.settings.introspectionRequest(client, token: token, clientAssertion: assertion) else {
            throw TokenFailure.noSuchEndpoint
        }
        let answer = try await answer(to: request)
        do throws(TokenRefusal) {
            guard (200..<300).contains(answer.status) else {
                _ = try answer.tokens(now: clock.now())
                throw .unusable(reason: "something that is no JSON object")
            }
            guard case .bool(let active) = JSONValue(parsing: answer.body)?.object?["active"] else {
                throw .unusable(reason: "no word on whether the token is active")
            }
            return active
        } catch {
            throw Exchange.failure(error)
        }
    }

    /// Revokes one token at the server (RFC 7009 section 2.2: also a token that is already dead is answered with 200).
    /// - Returns: false where the server has no endpoint for it.
    /// - Throws: `TokenFailure`.
    public nonisolated func revoke(_ token: Secret, hint: String, of credential: Credential) async throws -> Bool {
        let client = credential.keyPair.client
        let assertion = try await clientAssertion(credential, now: clock.now())
        guard let request = credential.settings.revocationRequest(client, token: token, hint: hint, clientAssertion: assertion)
        else { return false }
        let answer = try await answer(to: request)
        if (200..<300).contains(answer.status) { return true }
        do throws(TokenRefusal) {
            _ = try answer.tokens(now: clock.now())
        } catch .oauth(.invalidClient) {
            throw TokenFailure.keyPairRefused
        } catch .oauth(let code) {
            throw TokenFailure.refused(code)
        } catch {
            throw TokenFailure.serverFailing(status: answer.status)
        }
        return true
    }
}

extension EndpointAnswer {
    fileprivate func tokens(now: Date) throws(TokenRefusal) -> TokenSet {
        try TokenResponse.parse(status: status, body: body, retryAfter: headerFields[.retryAfter], now: now)
    }
}

extension TokenAcquisition {
    /// What follows from the credential as it is stored now.
    fileprivate mutating func look(at credential: Credential, now: Date) -> Action {
        fallbackLifetime = credential.settings.tokenLifetime
        let stored = Stored(
            token: credential.token(for: ask.access), needsLogin: credential.settings.grant.needsLogin, login: credential.login)
        return handle(.stored(stored), now: now, jitter: 0)
    }
}

extension EndpointRequest {
    /// As the settings' address names it.
    fileprivate var host: String {
        (try? EndpointURL("\(head.scheme ?? "")://\(head.authority ?? "")/"))?.host ?? ""
    }
}

extension ClientSettings {
    fileprivate var exchangesCachedToken: Bool {
        [subject, actor].contains { if case .credential = $0?.source { true } else { false } }
    }

    /// Whether its token requests hold an assertion, with a time in it.
    fileprivate var isDated: Bool { clientAuthentication.signs || grant == .jwtBearer }
}

extension Credential {
    /// Marks the login as ended, unless another refresh token has taken the place of this one.
    fileprivate mutating func endLogin(keptBy refreshToken: Secret, at now: Date) {
        guard login?.refreshToken.equals(refreshToken) == true else { return }
        login?.ended = now
        login?.spending = nil
    }
}
