import Foundation
import HTTPTypes
import OAuth
import Sodium
import Synchronization
import TokenEngine

/// A clock that moves when told, and by every sleep.
final class ManualClock: WallClock {
    private let time: Mutex<(now: Date, slept: [Double])>

    init(_ seconds: Double = 1_000_000) {
        time = Mutex((Date(timeIntervalSince1970: seconds), []))
    }

    func now() -> Date { time.withLock { $0.now } }
    var slept: [Double] { time.withLock { $0.slept } }

    func advance(_ seconds: Double) { time.withLock { $0.now.addTimeInterval(seconds) } }

    func sleep(seconds: Double) async throws {
        try Task.checkCancellation()
        time.withLock {
            $0.now.addTimeInterval(seconds)
            $0.slept.append(seconds)
        }
        await Task.yield()
    }
}

/// Credentials in memory, with claims that can be held by others. It keeps the contract of the file: a claim whose room was
/// not taken stores no answer, and an answer that was not stored keeps its room.
final class MemoryStore: TokenStateStore {
    struct Missing: Error {}
    struct Full: Error {}

    private struct State {
        var credentials: [String: Credential]
        var held: Set<String> = []
        var reads = 0
        var updates = 0
        /// What fails from now on: taking room, and so many updates.
        var hasNoRoom = false
        var failingUpdates = 0
        /// Every state that was written, to see what was on the disk when.
        var written: [Credential] = []
    }

    private let state: Mutex<State>
    /// Called inside every attempt to claim, before it is decided.
    let onTryClaim: @Sendable (MemoryStore) -> Void

    init(_ credentials: [String: Credential], onTryClaim: @escaping @Sendable (MemoryStore) -> Void = { _ in }) {
        state = Mutex(State(credentials: credentials))
        self.onTryClaim = onTryClaim
    }

    var reads: Int { state.withLock { $0.reads } }
    var updates: Int { state.withLock { $0.updates } }
    var written: [Credential] { state.withLock { $0.written } }

    func peek(_ name: String) -> Credential { state.withLock { $0.credentials[name]! } }

    func credential(_ name: String) throws -> Credential {
        try state.withLock {
            $0.reads += 1
            guard let credential = $0.credentials[name] else { throw Missing() }
            return credential
        }
    }

    func refuseRoom(_ refuses: Bool = true) { state.withLock { $0.hasNoRoom = refuses } }
    func failUpdates(_ count: Int) { state.withLock { $0.failingUpdates = count } }

    /// As another program would write it.
    func write(_ name: String, _ change: (inout Credential) -> Void) {
        state.withLock {
            $0.updates += 1
            change(&$0.credentials[name]!)
        }
    }

    /// - Parameter hasRoom: whether room was reserved for it.
    fileprivate func commit(_ name: String, hasRoom: Bool = false, _ change: (inout TokenState) -> Bool) throws -> Bool {
        try state.withLock { state in
            if state.hasNoRoom, !hasRoom { throw Full() }
            guard state.failingUpdates == 0 else {
                state.failingUpdates -= 1
                throw Full()
            }
            guard var credential = state.credentials[name] else { throw Missing() }
            guard change(&credential.state) else { return false }
            state.updates += 1
            state.credentials[name] = credential
            state.written.append(credential)
            return true
        }
    }

    fileprivate func takeRoom() throws { if state.withLock({ $0.hasNoRoom }) { throw Full() } }

    func tryClaim(_ name: String) throws -> (any TokenClaim)? {
        onTryClaim(self)
        let isClaimed = try state.withLock { state in
            guard state.credentials[name] != nil else { throw Missing() }
            return state.held.insert(name).inserted
        }
        return isClaimed ? MemoryClaim(store: self, name: name, credential: try credential(name)) : nil
    }

    func hold(_ name: String) { state.withLock { _ = $0.held.insert(name) } }
    fileprivate func release(_ name: String) { state.withLock { _ = $0.held.remove(name) } }
}

final class MemoryClaim: TokenClaim {
    struct NoRoom: Error {}
    let store: MemoryStore
    let name: String
    let credential: Credential
    private let hasRoom = Mutex(false)

    fileprivate init(store: MemoryStore, name: String, credential: Credential) {
        (self.store, self.name, self.credential) = (store, name, credential)
    }

    deinit { store.release(name) }

    func reread() throws -> Credential { try store.credential(name) }

    func beginSending(_ sending: Login.Sending?) throws -> SendPermit {
        try store.takeRoom()
        hasRoom.withLock { $0 = true }
        guard let sending else { return SendPermit(refreshToken: nil) }
        guard let token = store.peek(name).state.login?.refreshToken else { throw TokenError.loginNeeded(.never) }
        _ = try store.commit(name) { state in
            state.login?.sending = sending
            return true
        }
        return SendPermit(refreshToken: token)
    }

    func store(_ acquired: AcquiredTokens, _ permit: SendPermit) throws -> Bool {
        try inRoom { try store.commit(name, hasRoom: true) { $0.store(acquired, spent: permit.refreshToken) } }
    }

    func store(_ login: Login?, with token: CachedToken?, _ permit: SendPermit) throws {
        _ = try inRoom {
            try store.commit(name, hasRoom: true) { state in
                state.begin(login, with: token)
                return true
            }
        }
    }

    /// As a store would that gives a reservation up after the first failure.
    func loseRoom() { hasRoom.withLock { $0 = false } }

    private func inRoom<R>(_ body: () throws -> R) throws -> R {
        guard hasRoom.withLock({ $0 }) else { throw NoRoom() }
        let result = try body()
        hasRoom.withLock { $0 = false }
        return result
    }

    func update(_ change: @escaping @Sendable (inout TokenState) -> Void) throws {
        _ = try store.commit(name) { state in
            change(&state)
            return true
        }
    }
}

/// Answers what it is told to, in order; the last answer repeats.
final class ScriptedTransport: HTTPTransport {
    enum Reply: Sendable {
        case token(String, expiresIn: Int? = 3600, refresh: String? = nil)
        case status(Int, String = "", retryAfter: String? = nil)
        case failure(TransportFailure)
        /// The start of a body that is longer than the limit.
        case tooLarge(String)
        /// A refusal that says what time it is.
        case dated(Int, String, Date)
    }

    private let state: Mutex<(replies: [Reply], requests: [EndpointRequest])>
    private let beforeAnswering: @Sendable () async -> Void

    init(_ replies: [Reply]) {
        state = Mutex((replies, []))
        beforeAnswering = {}
    }

    init(_ replies: Reply..., beforeAnswering: @escaping @Sendable () async -> Void = {}) {
        state = Mutex((replies, []))
        self.beforeAnswering = beforeAnswering
    }

    var requests: Int { state.withLock { $0.requests.count } }
    var sent: [EndpointRequest] { state.withLock { $0.requests } }
    var bodies: [String] { sent.map { String(decoding: $0.body, as: UTF8.self) } }

    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        let reply = state.withLock { state in
            state.requests.append(request)
            return state.replies.count > 1 ? state.replies.removeFirst() : state.replies[0]
        }
        await beforeAnswering()
        switch reply {
        case .token(let token, let expiresIn, let refresh):
            let lifetime = expiresIn.map { #","expires_in":\#($0)"# } ?? ""
            let next = refresh.map { #","refresh_token":"\#($0)""# } ?? ""
            return EndpointAnswer(status: 200, body: Array(#"{"access_token":"\#(token)"\#(lifetime)\#(next)}"#.utf8))
        case .status(let status, let body, let retryAfter):
            var fields = HTTPFields()
            fields[.retryAfter] = retryAfter
            return EndpointAnswer(status: status, headerFields: fields, body: Array(body.utf8))
        case .dated(let status, let body, let date):
            var fields = HTTPFields()
            fields[.date] = Self.date(date)
            return EndpointAnswer(status: status, headerFields: fields, body: Array(body.utf8))
        case .tooLarge(let body):
            return EndpointAnswer(status: 200, body: Array(body.utf8), extent: .tooLarge)
        case .failure(let failure):
            throw failure
        }
    }
}

extension ScriptedTransport {
    private static func date(_ date: Date) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: "GMT")
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        return formatter.string(from: date)
    }
}

let aFailure = TransportFailure.noConnection(host: "example.com", reason: "made up")
let aLostAnswer = TransportFailure.answerLost(host: "example.com", reason: "made up")

func someCredential(_ tokens: CachedToken..., change: (inout Credential) -> Void = { _ in }) throws -> Credential {
    let configuration = CredentialConfiguration(
        provider: nil, settings: ClientSettings(tokenURL: try EndpointURL("https://example.com/token")),
        keyPair: KeyPair(
            client: ClientCredentials(id: "id", secret: try Secret(utf8: "made-up")), since: Date(timeIntervalSince1970: 0)))
    var credential = Credential(configuration, TokenState(tokens: tokens))
    change(&credential)
    return credential
}

/// A token sent for at `sent` seconds, that lives so long.
func someToken(
    _ text: String = "stored", sent: Double = 1_000_000, lifetime: Double? = 3600, access: RequestedAccess = RequestedAccess()
) throws -> CachedToken {
    let date = Date(timeIntervalSince1970: sent)
    return CachedToken(
        access: access, token: try Secret(utf8: text), type: "Bearer", scopes: nil, sent: date,
        expires: lifetime.map { date.addingTimeInterval($0) }, extras: nil)
}
