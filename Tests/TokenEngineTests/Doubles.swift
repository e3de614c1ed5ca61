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

/// Credentials in memory, with locks that can be held.
final class MemoryStore: TokenStore {
    struct Missing: Error {}
    private let state: Mutex<(credentials: [String: Credential], held: Set<String>, reads: Int, updates: Int)>
    /// Called inside every attempt to lock, before it is decided.
    let onTryLock: @Sendable (MemoryStore) -> Void

    init(_ credentials: [String: Credential], onTryLock: @escaping @Sendable (MemoryStore) -> Void = { _ in }) {
        state = Mutex((credentials, [], 0, 0))
        self.onTryLock = onTryLock
    }

    var reads: Int { state.withLock { $0.reads } }
    var updates: Int { state.withLock { $0.updates } }

    func peek(_ name: String) -> Credential { state.withLock { $0.credentials[name]! } }

    func credential(_ name: String) async throws -> Credential {
        try state.withLock {
            $0.reads += 1
            guard let credential = $0.credentials[name] else { throw Missing() }
            return credential
        }
    }

    struct Full: Error {}
    /// What fails from now on: taking room, and so many updates.
    private let faults = Mutex<(noRoom: Bool, failingUpdates: Int)>((false, 0))
    /// Every state of the credential that was written, to see what was on the disk when.
    private let history = Mutex<[Credential]>([])

    func refuseRoom() { faults.withLock { $0.noRoom = true } }
    func failUpdates(_ count: Int) { faults.withLock { $0.failingUpdates = count } }
    var written: [Credential] { history.withLock { $0 } }

    func update(_ name: String, _ change: @Sendable (inout Credential) -> Void) async throws {
        let fails = faults.withLock { faults in
            defer { if faults.failingUpdates > 0 { faults.failingUpdates -= 1 } }
            return faults.failingUpdates > 0
        }
        if fails { throw Full() }
        write(name, change)
        history.withLock { $0.append(peek(name)) }
    }

    func reserveRoom() async throws -> any Sendable {
        if faults.withLock({ $0.noRoom }) { throw Full() }
        return 0
    }

    func update(_ name: String, in room: any Sendable, _ change: @Sendable (inout Credential) -> Void) async throws {
        try await update(name, change)
    }

    func write(_ name: String, _ change: (inout Credential) -> Void) {
        state.withLock {
            $0.updates += 1
            change(&$0.credentials[name]!)
        }
    }

    func tryLock(_ name: String) async throws -> (any Sendable)? {
        onTryLock(self)
        let taken = state.withLock { $0.held.insert(name).inserted }
        return taken ? Lock(store: self, name: name) : nil
    }

    func hold(_ name: String) { state.withLock { _ = $0.held.insert(name) } }
    private func release(_ name: String) { state.withLock { _ = $0.held.remove(name) } }

    private final class Lock: Sendable {
        let store: MemoryStore
        let name: String
        init(store: MemoryStore, name: String) { (self.store, self.name) = (store, name) }
        deinit { store.release(name) }
    }
}

/// Answers what it is told to, in order; the last answer repeats.
final class ScriptedTransport: HTTPTransport {
    enum Reply: Sendable {
        case token(String, expiresIn: Int? = 3600, refresh: String? = nil)
        case status(Int, String = "", retryAfter: String? = nil)
        case failure(TransportFailure)
        /// A refusal that says what time it is.
        case dated(Int, String, Date)
    }

    private let state: Mutex<(replies: [Reply], requests: [EndpointRequest])>
    private let beforeAnswering: @Sendable () async -> Void

    init(_ replies: Reply..., beforeAnswering: @escaping @Sendable () async -> Void = {}) {
        state = Mutex((replies, []))
        self.beforeAnswering = beforeAnswering
    }

    var requests: Int { state.withLock { $0.requests.count } }
    var bodies: [String] { state.withLock { $0.requests.map { String(decoding: $0.body, as: UTF8.self) } } }

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
    var credential = Credential(
        provider: nil, settings: ClientSettings(tokenURL: try EndpointURL("https://example.com/token")),
        keyPair: KeyPair(
            client: ClientIdentity(id: "id", secret: try Secret(utf8: "made-up")), since: Date(timeIntervalSince1970: 0)))
    credential.tokens = tokens
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
