import FoundationEssentials
import OAuth
public import Sodium

/// Hands out tokens: drives the decisions of `TokenAcquisition`, and lets callers that want the same share one flight.
public actor TokenBroker {
    private let store: any TokenStore
    private let transport: any HTTPTransport
    private let clock: any WallClock
    private let jitter: @Sendable () -> Double
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
        jitter: @escaping @Sendable () -> Double = { Random.unit() }
    ) {
        self.store = store
        self.transport = transport
        self.clock = clock
        self.jitter = jitter
    }

    /// A valid access token, cached or new.
    /// - Throws: `TokenFailure`, what the store throws, or `CancellationError`, which ends this caller's wait and
    ///   nobody else's.
    public func token(_ name: String, _ ask: TokenAsk) async throws -> CachedToken {
        let key = FlightKey(name: name, ask: ask)
        let flight = flights[key] ?? launch(key)
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
    private func launch(_ key: FlightKey) -> Flight {
        launched += 1
        let number = launched
        let flight = Flight(
            number: number,
            task: Task {
                defer { land(key, number) }
                return try await acquire(key.name, key.ask)
            })
        flights[key] = flight
        return flight
    }

    private func land(_ key: FlightKey, _ number: Int) {
        if flights[key]?.number == number { flights[key] = nil }
    }

    /// The thin shell around the decision.
    private nonisolated func acquire(_ name: String, _ ask: TokenAsk) async throws -> CachedToken {
        var decision = TokenAcquisition(ask: ask)
        var action = TokenAcquisition.start
        var credential: Credential?
        var lock: (any Sendable)?
        defer { withExtendedLifetime(lock) {} }
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
                decision.fallbackLifetime = stored.settings.tokenLifetime
                event = .stored(stored.token(for: ask.access))
            case .lock:
                lock = try await waitForLock(name)
                event = lock == nil ? .lockTimedOut : .locked
            case .send:
                guard let credential else { preconditionFailure("nothing was read") }
                let sent = clock.now()
                event = .answered(await ask.request(of: credential, by: transport, now: sent), sent: sent)
            case .wait(let seconds):
                try await clock.sleep(seconds: seconds)
                event = .waited
            case .forget(let token):
                try await store.update(name) { $0.forget(token) }
                event = .written
            case .commit(let token):
                let now = clock.now()
                try await store.update(name) { $0.keep(token, now: now) }
                event = .written
            case .noteRefusal:
                if credential?.refusedSince == nil {
                    let now = clock.now()
                    try await store.update(name) { $0.refusedSince = $0.refusedSince ?? now }
                }
                event = .written
            }
            action = decision.handle(event, now: clock.now(), jitter: jitter())
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

    /// Acquires a token for a credential that need not be stored: the proof that it works.
    /// - Throws: `TokenFailure`.
    public nonisolated func prove(_ credential: Credential) async throws -> CachedToken {
        let ask = TokenAsk()
        var exchange = Exchange()
        while true {
            let sent = clock.now()
            let answer = await ask.request(of: credential, by: transport, now: sent)
            switch exchange.handle(answer, took: clock.now().timeIntervalSince(sent), jitter: jitter()) {
            case .send: continue
            case .wait(let seconds): try await clock.sleep(seconds: seconds)
            case .fail(let failure, _): throw failure
            case .done(let granted):
                return CachedToken(
                    granted, access: ask.access, sent: sent, fallbackLifetime: credential.settings.tokenLifetime)
            }
        }
    }

    /// Revokes one token at the server (RFC 7009 section 2.2: also a token that is already dead is answered with 200).
    /// - Returns: false where the server has no endpoint for it.
    /// - Throws: `TokenFailure`.
    public nonisolated func revoke(_ token: Secret, hint: String, of credential: Credential) async throws -> Bool {
        let client = credential.keyPair.client
        guard let request = credential.settings.revocationRequest(client, token: token, hint: hint) else { return false }
        let answer: EndpointAnswer
        do throws(TransportFailure) {
            answer = try await transport.send(request)
        } catch {
            throw TokenFailure.unreachable(error)
        }
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

extension TokenAsk {
    /// Sends one token request and reads its answer.
    fileprivate func request(
        of credential: Credential, by transport: any HTTPTransport, now: Date
    ) async -> Exchange.Answer {
        let request = credential.settings.tokenRequest(credential.keyPair.client, access: access)
        do throws(TransportFailure) {
            let answer = try await transport.send(request)
            do throws(TokenRefusal) {
                return .granted(try answer.tokens(now: now))
            } catch {
                return .refused(error)
            }
        } catch {
            return .failed(error)
        }
    }
}
