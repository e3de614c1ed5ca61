@testable import Access
import AgentProtocol
import Foundation
import HTTP
import Linux
import OAuth
import Sodium
import Synchronization
import TestSupport
import Testing
import TokenEngine
import Vault

@testable import Agent
@testable import Credentials
@testable import AgentProtocol

/// A clock that moves when told; nothing that sleeps by it wakes but by being cancelled.
final class StillClock: WallClock {
    private let time = Mutex(Date())
    func now() -> Date { time.withLock { $0 } }
    func advance(_ seconds: Double) { time.withLock { $0.addTimeInterval(seconds) } }
    func sleep(seconds: Double) async throws { try await Task.sleep(for: .seconds(3600)) }
}

/// Grants a token for everything, and counts.
final class GrantingServer: HTTPTransport {
    private let state = Mutex((requests: 0, refusal: EndpointAnswer?.none))
    private let atOnce = Mutex((now: 0, most: 0))
    let lifetime: Int
    let delay: Duration

    init(lifetime: Int = 3600, delay: Duration = .zero) {
        self.lifetime = lifetime
        self.delay = delay
    }

    var requests: Int { state.withLock { $0.requests } }
    /// How many requests it had to work on at the same time.
    var mostAtOnce: Int { atOnce.withLock { $0.most } }

    /// What it says instead from now on; nil for tokens again.
    func refuse(_ status: Int?, _ body: String = "{}") {
        state.withLock { $0.refusal = status.map { EndpointAnswer(status: $0, body: Array(body.utf8)) } }
    }

    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        let (number, refusal) = state.withLock { state in
            state.requests += 1
            return (state.requests, state.refusal)
        }
        if let refusal { return refusal }
        atOnce.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
        defer { atOnce.withLock { $0.now -= 1 } }
        if delay > .zero { try? await Task.sleep(for: delay) }
        let body = #"{"access_token":"made-up-token-\#(number)","expires_in":\#(lifetime),"scope":"read"}"#
        return EndpointAnswer(status: 200, body: Array(body.utf8))
    }
}

/// An agent in this process, on a socket in a temporary folder, with a vault that holds the credentials `a` and `b`.
final class AgentFixture: Sendable {
    let folder = TemporaryFolder()
    let clock = StillClock()
    let server: GrantingServer
    let key: Secret
    let vault: UnlockedVault
    let agent: AgentServer
    let socket: AgentSocket
    private let running: Task<Void, any Error>

    init(
        server: GrantingServer = GrantingServer(), limits: HTTPServer.Limits = .init(), unlocked: Bool = true,
        refresh: RefreshSettings = RefreshSettings(), accounts: Accounts = Accounts { _ in .unknown }
    ) async throws {
        self.server = server
        key = Secret(try SecretBytes.random(count: 32))
        let path = folder.file("vault")
        vault = try LockedVault.create(at: path, keys: [(.keyFile(key), "")], memory: nil)
        let local = CredentialService(vault: vault, transport: server)
        for name in ["a", "b"] { _ = try await local.add(name, try Self.credential(), verify: false) }
        let agent = AgentServer(
            vault: path, memory: nil, transport: server, host: .unnamed, clock: clock, limits: limits, refresh: refresh,
            accounts: accounts)
        self.agent = agent
        if unlocked { try agent.open(try LockedVault(path: path, memory: nil).unlock(with: .keyFile(key))) }
        let socket = AgentSocket(path: folder.file("s"))
        self.socket = socket
        let (ready, continuation) = AsyncStream<Void>.makeStream()
        running = Task {
            defer { continuation.finish() }
            try await agent.run(on: .path(socket.path)) { continuation.finish() }
        }
        for await _ in ready {}
    }

    deinit { agent.shutDown() }

    static func credential() throws -> NewCredential {
        let settings = ClientSettings(clientAuthentication: .post, tokenURL: try EndpointURL("https://example.com/token"))
        return NewCredential(
            provider: nil, settings: settings, client: ClientCredentials(id: "id", secret: try Secret(utf8: "made-up-secret")))
    }

    /// More credentials, in one commit.
    func addAll(_ names: [String]) throws {
        let new = try Self.credential()
        let now = clock.now()
        let configuration = CredentialConfiguration(
            provider: nil, settings: new.settings, keyPair: KeyPair(client: new.client, since: now))
        let record = try CredentialRecord.record(Credential(configuration, TokenState()))
        try vault.update { for name in names { try $0.add(name, record) } }
    }

    var client: AgentClient { AgentClient(socket: socket) }
    func ended() async throws { try await running.value }

    /// One exchange, as whatever program might make it.
    func ask(
        _ method: String, _ target: String, headers: [String] = [], body: String = ""
    ) async throws -> (status: Int, body: String) {
        let socket = socket
        var request = AgentRequest(method, target, body: Array(body.utf8))
        request.headers = headers
        let asked = request
        let result = await offThePool { Result { try socket.send(asked) } }
        let answer = try result.get()
        return (answer.status, String(decoding: answer.body, as: UTF8.self))
    }

    /// Bytes as they are, over a connection of its own; what comes back until the other side closes it.
    func raw(_ bytes: [UInt8], closing: Bool = true) async -> String {
        await offThePool { self.exchange(bytes, closing: closing) }
    }

    private func exchange(_ bytes: [UInt8], closing: Bool) -> String {
        let descriptor = connected()
        defer { close(descriptor) }
        _ = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        if closing { shutdown(descriptor, Int32(SHUT_WR)) }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 { answer += buffer[..<count] }
        return String(decoding: answer, as: UTF8.self)
    }

    func connected() -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: socket.path.utf8) }
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        precondition(status == 0, "\(errno) \(descriptor) \(socket.path)")
        return descriptor
    }
}

extension CredentialService {
    /// With a log that goes away with it.
    init(vault: UnlockedVault, transport: any HTTPTransport) {
        self.init(vault: vault, log: .scratch(vault), transport: transport, host: .unnamed)
    }
}

extension AuditLog {
    /// A log in a folder that goes away with it.
    static func scratch(_ vault: UnlockedVault) -> AuditLog {
        let folder = TemporaryFolder()
        let keys = AuditKeys(
            chain: { [folder] bytes in
                withExtendedLifetime(folder) { vault.hash(bytes, for: .auditChain) }
            },
            fingerprint: { vault.hash($0, for: .tokenFingerprint) }, sealed: { SealedHead.none }, owner: { nil })
        return AuditLog(path: folder.file("vault.log"), keys: keys)
    }
}

/// Runs what blocks where it blocks nobody: the agent under test needs the threads of the pool.
func offThePool<R: Sendable>(_ body: @escaping @Sendable () -> R) async -> R {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread { continuation.resume(returning: body()) }
    }
}

/// Both kinds of agent do the same.
@Suite(.timeLimit(.minutes(3))) struct TokenAgentTests {
    enum Kind: CaseIterable { case local, client }

    private func agent(_ kind: Kind) async throws -> (any TokenSource, AgentFixture) {
        let fixture = try await AgentFixture()
        switch kind {
        case .local: return (CredentialService(vault: fixture.vault, transport: fixture.server), fixture)
        case .client: return (fixture.client, fixture)
        }
    }

    @Test(arguments: Kind.allCases)
    func aTokenIsAcquiredOnceAndThenHandedOut(_ kind: Kind) async throws {
        let (agent, fixture) = try await agent(kind)
        let first = try await agent.token("a", TokenQuery())
        #expect(first.token.revealed() == "made-up-token-1")
        #expect(first.type == "Bearer" && first.scopes == ["read"])
        #expect(first.lifetime == 3600)
        #expect(try await agent.token("a", TokenQuery()).token.equals(first.token))
        #expect(fixture.server.requests == 1)
    }

    @Test(arguments: Kind.allCases)
    func theAskIsHeard(_ kind: Kind) async throws {
        let (agent, fixture) = try await agent(kind)
        defer { withExtendedLifetime(fixture) {} }
        func token(_ ask: TokenQuery) async throws -> String { try await agent.token("a", ask).token.revealed() }
        #expect(try await token(TokenQuery()) == "made-up-token-1")
        #expect(try await token(TokenQuery(mode: .fresh)) == "made-up-token-2")
        #expect(try await token(TokenQuery(mode: .rejected)) == "made-up-token-3")
        #expect(try await token(TokenQuery()) == "made-up-token-3")
        let access = RequestedAccess(scopes: ["x", "y"], audiences: ["https://api.example/?a=b&c"])
        #expect(try await token(TokenQuery(access: access)) == "made-up-token-4")
        #expect(try await token(TokenQuery(access: access)) == "made-up-token-4")
        #expect(try await token(TokenQuery(minimumLifetime: 3590)) == "made-up-token-3")
    }

    @Test(arguments: Kind.allCases)
    func listAndShowSayTheSame(_ kind: Kind) async throws {
        let (agent, fixture) = try await agent(kind)
        defer { withExtendedLifetime(fixture) {} }
        _ = try await agent.token("b", TokenQuery())
        #expect(try await agent.list().map(\.name) == ["a", "b"])
        let shown = try #require(await agent.credential("b").view)
        #expect(shown.clientID == "id" && shown.tokens.count == 1)
        #expect(try await agent.list().last?.view == shown)
        #expect(shown.settings.tokenURL.description == "https://example.com/token")
    }

    @Test(arguments: Kind.allCases)
    func whatIsNotThereIsRefused(_ kind: Kind) async throws {
        let (agent, fixture) = try await agent(kind)
        defer { withExtendedLifetime(fixture) {} }
        for name in ["nobody", "a b/c", "ü", ".."] {
            await #expect(throws: (any Error).self) { try await agent.token(name, TokenQuery()) }
            await #expect(throws: (any Error).self) { try await agent.credential(name) }
        }
    }
}

@Suite(.timeLimit(.minutes(3))) struct AgentServerTests {
    /// While a server takes its time, the agent says so to whoever can read it: a client that gives up sooner waits on.
    @Test func `a slow answer is announced to those who ask for it`() async throws {
        let fixture = try await AgentFixture(server: GrantingServer(delay: .milliseconds(2500)))
        let patient = AgentSocket(path: fixture.socket.path, patience: 2.2)
        let answer = await offThePool { Result { try patient.send(.token("a")) } }
        #expect(try answer.get().status == 200)
        async let silent = fixture.raw(Array("GET /v1/tokens/a?fresh=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
        let old = "GET /v1/tokens/b HTTP/1.0\r\nHost: a\r\nClaviger-Interim: 102\r\n\r\n"
        #expect(await fixture.raw(Array(old.utf8)).hasPrefix("HTTP/1.1 200 "))
        #expect(await silent.hasPrefix("HTTP/1.1 200 "))
    }

    @Test func `an answer that is there at once is announced by nothing`() async throws {
        let fixture = try await AgentFixture()
        let request = Array("GET /v1/tokens/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nClaviger-Interim: 102\r\n\r\n".utf8)
        let first = await fixture.raw(request)
        // Once at the beginning, and again if it takes long on a busy machine.
        #expect(first.hasPrefix("HTTP/1.1 102 Processing\r\n\r\n"), "\(first)")
        let rest = first.split(separator: "HTTP/1.1 102 Processing\r\n\r\n", omittingEmptySubsequences: true)
        #expect(rest.count == 1 && rest[0].hasPrefix("HTTP/1.1 200 "), "\(first)")
        #expect(await fixture.raw(request).hasPrefix("HTTP/1.1 200 "))
    }

    @Test func aTokenComesInTheFormThatIsAskedFor() async throws {
        let fixture = try await AgentFixture()
        #expect(try await fixture.ask("GET", "/v1/tokens/a", headers: ["Accept: text/plain"]) == (200, "made-up-token-1"))
        let (status, body) = try await fixture.ask("GET", "/v1/tokens/a?min_ttl=10")
        #expect(status == 200)
        let members = try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
        #expect(Set(members.keys) == ["access_token", "token_type", "expires_in", "expires_at", "obtained_at", "scope"])
    }

    /// Not for any request, and for no parameter of one.
    @Test func noAnswerHoldsASecret() async throws {
        let fixture = try await AgentFixture()
        for target in ["/v1/credentials", "/v1/credentials/a", "/v1/status", "/v1/tokens/a", "/v1/secrets/a", "/", "/v1"] {
            for method in ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"] where !(method == "HEAD") {
                #expect(try await !fixture.ask(method, target).body.contains("made-up-secret"), "\(method) \(target)")
            }
        }
    }

    @Test(arguments: [
        ("/v1/tokens/a?min_ttl=x", 400), ("/v1/tokens/a?min_ttl=-1", 400), ("/v1/tokens/a?nonsense=1", 400),
        ("/v1/tokens/a?scope=%22", 400), ("/v1/tokens/", 400), ("/v1/tokens/%FF", 400), ("/v1/tokens/%zz", 400),
        ("/v1/tokens/" + String(repeating: "a", count: 600), 400),
        ("/v1/tokens/nobody", 404), ("/v1/tokens/../credentials/a", 404), ("/v1/tokens/a/b", 404), ("/v2/tokens/a", 404),
        ("/", 404),
    ])
    func badRequestsAreRefused(_ target: String, _ status: Int) async throws {
        let fixture = try await AgentFixture()
        let answer = try await fixture.ask("GET", target)
        #expect(answer.status == status, "\(answer.body)")
        #expect(answer.body.contains(#""title":"#))
        #expect(fixture.server.requests == 0)
    }

    @Test func aLockedAgentHandsOutNothing() async throws {
        let fixture = try await AgentFixture()
        _ = try await fixture.client.token("a", TokenQuery())
        try await fixture.client.lock()
        for target in ["/v1/tokens/a", "/v1/credentials", "/v1/credentials/a"] {
            #expect(try await fixture.ask("GET", target).status == 423)
        }
        #expect(try await fixture.client.status().locked)
        try await fixture.client.unlock(UnlockRequest(keyFile: fixture.key, ttl: nil, idle: nil))
        #expect(try await fixture.client.token("a", TokenQuery()).token.revealed() == "made-up-token-1")
    }

    @Test func itLocksWhenItsTimeIsUp() async throws {
        let fixture = try await AgentFixture(unlocked: false)
        try await fixture.client.unlock(UnlockRequest(keyFile: fixture.key, ttl: 3600, idle: 600))
        for _ in 0..<5 {
            fixture.clock.advance(599)
            #expect(try await fixture.ask("GET", "/v1/tokens/a").status == 200)
        }
        // Nobody asked for ten minutes; a status is no use of it.
        fixture.clock.advance(300)
        #expect(try await fixture.client.status().locked == false)
        fixture.clock.advance(300)
        #expect(try await fixture.ask("GET", "/v1/tokens/a").status == 423)
        // However much it is used, its life ends: also if the machine slept through the end.
        try await fixture.client.unlock(UnlockRequest(keyFile: fixture.key, ttl: 3600, idle: nil))
        fixture.clock.advance(86_400)
        #expect(try await fixture.ask("GET", "/v1/tokens/a").status == 423)
    }

    @Test func wrongKeysCostTime() async throws {
        let fixture = try await AgentFixture(unlocked: false)
        let wrong = Secret(try SecretBytes.random(count: 32))
        func unlock(_ key: Secret) async -> Int? {
            do {
                try await fixture.client.unlock(UnlockRequest(keyFile: key, ttl: nil, idle: nil))
                return nil
            } catch {
                return (error as? Problem)?.code.status
            }
        }
        for wait in [1.0, 2, 4, 8, 16, 32, 60, 60] {
            #expect(await unlock(wrong) == 403)
            #expect(await unlock(fixture.key) == 429)
            fixture.clock.advance(wait - 0.5)
            #expect(await unlock(fixture.key) == 429)
            fixture.clock.advance(1)
        }
        #expect(await unlock(fixture.key) == nil)
        #expect(await unlock(wrong) == 403)
        fixture.clock.advance(1)
        #expect(await unlock(fixture.key) == nil)
    }

    @Test(arguments: ["", "{", #"{"ttl":1}"#, #"{"key":"AAAA"}"#, String(repeating: "a", count: 100_000)])
    func whatIsNoKeyUnlocksNothing(_ body: String) async throws {
        let fixture = try await AgentFixture(unlocked: false)
        #expect(try await fixture.ask("POST", "/v1/unlock", body: body).status >= 400)
        #expect(try await fixture.client.status().locked)
    }

    @Test func theVaultThatIsMeantMustBeTheOne() async throws {
        let fixture = try await AgentFixture()
        let other = AgentClient(socket: fixture.socket, vault: "/another")
        await #expect(throws: Problem.otherVault) { try await other.token("a", TokenQuery()) }
        let same = AgentClient(socket: fixture.socket, vault: fixture.folder.file("vault"))
        #expect(try await same.token("a", TokenQuery()).token.revealed() == "made-up-token-1")
    }

    /// A commit by another process is seen by the very next request.
    @Test func anotherProcessesCommitIsSeenAtOnce() async throws {
        let fixture = try await AgentFixture()
        #expect(try await fixture.ask("GET", "/v1/tokens/a", headers: ["Accept: text/plain"]).body == "made-up-token-1")
        let other = CredentialService(
            vault: try LockedVault(path: fixture.folder.file("vault"), memory: nil).unlock(with: .keyFile(fixture.key)),
            transport: fixture.server)
        let pair = ClientCredentials(id: "id-2", secret: try Secret(utf8: "made-up-secret-2"))
        _ = try await other.rotate("a", .to(pair), verify: true)
        #expect(try await fixture.ask("GET", "/v1/tokens/a", headers: ["Accept: text/plain"]).body == "made-up-token-2")
        #expect(try await fixture.client.credential("a").view?.clientID == "id-2")
        // What was not changed is still handed out from memory.
        try await other.remove("a")
        #expect(try await fixture.ask("GET", "/v1/tokens/a").status == 404)
        _ = try await other.add("a", AgentFixture.credential(), verify: false)
        #expect(try await fixture.ask("GET", "/v1/tokens/a", headers: ["Accept: text/plain"]).body == "made-up-token-3")
    }

    @Test func aVaultThatIsGoneOrAnotherIsNotServed() async throws {
        let fixture = try await AgentFixture()
        let path = fixture.folder.file("vault")
        _ = try await fixture.client.token("a", TokenQuery())
        rename(path, path + ".away")
        #expect(try await fixture.ask("GET", "/v1/tokens/a").status == 500)
        _ = try LockedVault.create(at: path, keys: [(.keyFile(fixture.key), "")], memory: nil)
        #expect(try await fixture.ask("GET", "/v1/tokens/a").body.contains("is that of another vault"))
        rename(path + ".away", path)
        #expect(try await fixture.ask("GET", "/v1/tokens/a").status == 200)
    }

    @Test func aThousandCallersShareOneRequest() async throws {
        let fixture = try await AgentFixture(server: GrantingServer(delay: .milliseconds(200)))
        let tokens = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<1000 {
                group.addTask { try await fixture.ask("GET", "/v1/tokens/a", headers: ["Accept: text/plain"]).body }
            }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(tokens == ["made-up-token-1"])
        #expect(fixture.server.requests == 1)
    }

    @Test func itEndsWhenItIsTold() async throws {
        let fixture = try await AgentFixture()
        try await fixture.client.shutDown()
        try await fixture.ended()
        await #expect(throws: AgentSocket.Failure.self) { try await fixture.ask("GET", "/v1/status") }
    }
}

/// Callers that do what no caller should: nothing crashes, nobody else is disturbed.
@Suite(.timeLimit(.minutes(3))) struct HostileCallerTests {
    private func isWell(_ fixture: AgentFixture) async throws -> Bool {
        try await fixture.ask("GET", "/v1/tokens/a", headers: ["Accept: text/plain"]).body.hasPrefix("made-up-token")
    }

    @Test(arguments: [
        "", "\r\n\r\n", "GET", "GET / HTTP/1.1\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{0}\u{1}\u{2}\u{3}",
        "GET /v1/tokens/a HTTP/1.1\r\n\r\n",
        "POST /v1/unlock HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{}",
        "POST /v1/unlock HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/unlock HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        "GET /v1/tokens/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ])
    func halfRequests(_ text: String) async throws {
        let fixture = try await AgentFixture()
        _ = await fixture.raw(Array(text.utf8))
        #expect(try await isWell(fixture))
    }

    @Test func headersWithoutEnd() async throws {
        let fixture = try await AgentFixture()
        let answer = await fixture.raw(Array(("GET / HTTP/1.1\r\nX: " + String(repeating: "a", count: 200_000)).utf8))
        #expect(!answer.contains("200"))
        let many = (0..<1000).map { "X\($0): a\r\n" }.joined()
        #expect(await !fixture.raw(Array(("GET /v1/status HTTP/1.1\r\nHost: a\r\n" + many + "\r\n").utf8)).contains(" 200 "))
        #expect(try await isWell(fixture))
    }

    @Test(arguments: [
        "made up\r\n\r\n", "GET /v1/status HTTP/1.1\r\nHost\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
    ])
    func whatIsNoHTTPIsSaidOnce(_ text: String) async throws {
        let fixture = try await AgentFixture()
        let answer = await fixture.raw(Array(text.utf8), closing: false)
        #expect(answer.hasPrefix("HTTP/1.1 400 ") && answer.contains("this is no HTTP request"), "\(answer)")
        #expect(try await isWell(fixture))
    }

    @Test func aGigabyteOfBody() async throws {
        let fixture = try await AgentFixture()
        let sent = await offThePool {
            let descriptor = fixture.connected()
            defer { close(descriptor) }
            let head = Array("POST /v1/unlock HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n".utf8)
            _ = send(descriptor, head, head.count, Int32(MSG_NOSIGNAL))
            let part = [UInt8](repeating: 97, count: 1 << 16)
            var sent = 0
            // It stops reading, or closes, long before.
            while sent < 1 << 30 {
                let count = send(descriptor, part, part.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
                if count < 0 && errno == EAGAIN {
                    var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    if Glibc.poll(&poll, 1, 500) == 0 { break }
                    continue
                }
                if count <= 0 { break }
                sent += count
            }
            return sent
        }
        #expect(sent < 64 << 20)
        #expect(try await isWell(fixture))
    }

    @Test func aThousandPipelinedRequests() async throws {
        let fixture = try await AgentFixture()
        let request = "GET /v1/tokens/a HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n"
        let answer = await fixture.raw(Array(String(repeating: request, count: 1000).utf8))
        #expect(answer.components(separatedBy: "HTTP/1.1 200 OK").count == 1001)
        #expect(fixture.server.requests == 1)
    }

    /// Both are read, and the end behind them, before the first is answered.
    @Test func theLastAnswerGoesOutAlthoughNothingMoreCanBeAsked() async throws {
        let fixture = try await AgentFixture(server: GrantingServer(delay: .milliseconds(200)))
        let request = "GET /v1/tokens/a HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n"
        let answer = await fixture.raw(Array((request + request).utf8))
        #expect(answer.components(separatedBy: "HTTP/1.1 200 OK").count == 3, "\(answer)")
    }

    /// What is asked while an answer takes its time is not read until then.
    @Test func aFloodOfRequestsBehindASlowOne() async throws {
        let fixture = try await AgentFixture(server: GrantingServer(delay: .seconds(1)))
        let descriptor = await offThePool { fixture.connected() }
        defer { close(descriptor) }
        let slow = Array("GET /v1/tokens/b HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        let flood = Array(String(repeating: "GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n", count: 25_000).utf8)
        #expect(send(descriptor, slow, slow.count, Int32(MSG_NOSIGNAL)) == slow.count)
        // The agent has it once the server does.
        #expect(try await eventually { fixture.server.requests > 0 })
        var patience = timeval(tv_sec: 0, tv_usec: 200_000)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        let sent = await offThePool { send(descriptor, flood, flood.count, Int32(MSG_NOSIGNAL)) }
        #expect(sent < flood.count, "\(sent)")
        #expect(try await isWell(fixture))
    }

    /// Whoever does not read the answers can't fill the agent's memory with them.
    @Test func aFloodOfRequestsWhoseAnswersNobodyReads() async throws {
        let fixture = try await AgentFixture()
        let descriptor = await offThePool { fixture.connected() }
        defer { close(descriptor) }
        let flood = Array(String(repeating: "GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n", count: 25_000).utf8)
        var patience = timeval(tv_sec: 2, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        // Until nothing has moved for two seconds.
        let sent = await offThePool {
            var sent = 0
            while sent < flood.count {
                let part = Array(flood[sent..<min(sent + 4000, flood.count)])
                guard case let count = send(descriptor, part, part.count, Int32(MSG_NOSIGNAL)), count > 0 else { break }
                sent += count
            }
            return sent
        }
        #expect(sent < flood.count, "\(sent)")
        #expect(try await isWell(fixture))
        // When they are read, it goes on.
        let answers = await offThePool {
            var count = 0
            var buffer = [UInt8](repeating: 0, count: 65536)
            while count < 1 << 20, case let part = recv(descriptor, &buffer, buffer.count, 0), part > 0 { count += part }
            return count
        }
        #expect(answers >= 1 << 20)
    }

    /// Whatever each of them takes, the answers come in the order of the requests, and none behind the last.
    @Test func answersInTheOrderOfTheRequests() async throws {
        let fixture = try await AgentFixture(server: GrantingServer(delay: .milliseconds(100)))
        func get(_ target: String, _ more: String = "") -> String { "GET \(target) HTTP/1.1\r\nHost: a\r\n\(more)\r\n" }
        let slow = get("/v1/tokens/a") + get("/v1/status") + get("/v1/nothing") + get("/v1/tokens/b")
        func statuses(_ text: String) async -> [String] {
            let answer = await fixture.raw(Array(text.utf8), closing: false)
            return answer.components(separatedBy: "HTTP/1.1 ").dropFirst().map { String($0.prefix(3)) }
        }
        let tooLong = "POST /v1/unlock HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n"
        #expect(await statuses(slow + tooLong + get("/v1/status")) == ["200", "200", "404", "200", "413"])
        #expect(await statuses(slow + "no HTTP\r\n\r\n" + get("/v1/status")) == ["200", "200", "404", "200", "400"])
        let chunked = "POST /v1/unlock HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        #expect(await statuses(get("/v1/status") + chunked + get("/v1/status")) == ["200", "413"])
        let last = get("/v1/status", "Connection: close\r\n")
        #expect(await statuses(get("/v1/tokens/a?fresh=1") + last + get("/v1/status")) == ["200", "200"])
    }

    /// Whoever asks with HEAD reads no body, and would take it for the next answer.
    @Test func headHasNoBody() async throws {
        let fixture = try await AgentFixture()
        let requests = ["HEAD", "GET"].map { "\($0) /v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n" }
        let answers = await fixture.raw(Array(requests.joined().utf8)).components(separatedBy: "HTTP/1.1 404 ")
        #expect(answers.count == 3 && answers[1].hasSuffix("\r\n\r\n") && answers[2].hasSuffix("}"), "\(answers)")
    }

    /// It has been told that nothing more comes, and does not close.
    @Test func whoKeepsAConnectionThatIsOver() async throws {
        let fixture = try await AgentFixture()
        let descriptor = await offThePool { fixture.connected() }
        defer { close(descriptor) }
        let request = Array("GET /v1/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8)
        #expect(send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count)
        // The other end is gone when nothing can be sent any more.
        #expect(try await eventually { send(descriptor, [0], 1, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)) < 0 && errno == EPIPE })
    }

    /// It has as long for the last answer as for any other: more than for closing what is over.
    @Test func whoReadsTheLastAnswerSlowly() async throws {
        let fixture = try await AgentFixture()
        let descriptor = await offThePool { fixture.connected() }
        defer { close(descriptor) }
        func get(_ more: String = "") -> String { "GET /v1/status HTTP/1.1\r\nHost: a\r\n\(more)\r\n" }
        // More than a socket holds.
        let requests = Array((String(repeating: get(), count: 300) + get("Connection: close\r\n")).utf8)
        #expect(await offThePool { send(descriptor, requests, requests.count, Int32(MSG_NOSIGNAL)) } == requests.count)
        try await Task.sleep(for: .milliseconds(2500))
        let answer = await offThePool {
            var answer: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65536)
            while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 { answer += buffer[..<count] }
            return String(decoding: answer, as: UTF8.self)
        }
        #expect(answer.components(separatedBy: "HTTP/1.1 200 OK").count == 302)
    }

    /// Another process that writes the log, or was stopped while it did.
    @Test func whoHoldsTheLogHoldsUpTokensAlone() async throws {
        let fixture = try await AgentFixture()
        #expect(try await isWell(fixture))
        let path = fixture.folder.file("vault.log")
        let lines = try AuditFiles.lines(path).count
        let holder = open(path, O_RDWR | O_CLOEXEC)
        try #require(holder >= 0 && flock(holder, LOCK_EX) == 0)
        async let token = fixture.ask("GET", "/v1/tokens/a")
        async let other = fixture.ask("GET", "/v1/tokens/nobody")
        for _ in 0..<20 { #expect(try await fixture.ask("GET", "/v1/status").status == 200) }
        #expect(try AuditFiles.lines(path).count == lines)
        close(holder)
        #expect(try await token.status == 200)
        #expect(try await other.status == 404)
        #expect(try AuditFiles.lines(path).count == lines + 2)
        #expect(try AuditLog(vault: fixture.vault, path: path).verify(against: fixture.vault).lines == lines + 2)
    }

    /// Nobody who holds the log keeps the keys in memory.
    @Test func whoHoldsTheLogKeepsNobodyFromLocking() async throws {
        let fixture = try await AgentFixture()
        let holder = open(fixture.folder.file("vault.log"), O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(holder) }
        try #require(holder >= 0 && flock(holder, LOCK_EX) == 0)
        #expect(try await fixture.ask("POST", "/v1/lock").status == 204)
        #expect(try await fixture.ask("GET", "/v1/tokens/a").status == 423)
    }

    @Test func twoThousandIdleConnections() async throws {
        let fixture = try await AgentFixture()
        let connections = await offThePool { (0..<2000).map { _ in fixture.connected() } }
        defer { connections.forEach { close($0) } }
        #expect(try await isWell(fixture))
    }

    @Test func moreConnectionsThanThereMayBe() async throws {
        var limits = HTTPServer.Limits()
        limits.connections = 20
        limits.idle = 600
        let fixture = try await AgentFixture(limits: limits)
        let connections = await offThePool { (0..<20).map { _ in fixture.connected() } }
        // Once these are all noticed the next is closed at once; and when they go, there is room again.
        func becomes(_ wanted: Bool) async throws -> Bool {
            for _ in 0..<500 {
                if ((try? await isWell(fixture)) == true) == wanted { return true }
                try await Task.sleep(for: .milliseconds(10))
            }
            return false
        }
        #expect(try await becomes(false))
        connections.forEach { close($0) }
        #expect(try await becomes(true))
    }

    @Test func whoSaysNothingIsSentAway() async throws {
        var limits = HTTPServer.Limits()
        limits.idle = 1
        let fixture = try await AgentFixture(limits: limits)
        // Each ends by itself; else the time limit of this test ends it.
        #expect(await fixture.raw([], closing: false) == "")
        _ = await fixture.raw(Array("GET /v1/st".utf8), closing: false)
    }

    /// Whatever a connection is in the middle of when the agent ends, it is served or closed.
    @Test func connectionsThatAreMadeWhileItEnds() async throws {
        for _ in 0..<30 {
            let fixture = try await AgentFixture()
            let socket = fixture.socket
            async let served = withTaskGroup(of: Int.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        await offThePool {
                            var served = 0
                            while (try? socket.send(.token("a")))?.status == 200 { served += 1 }
                            return served
                        }
                    }
                }
                return await group.reduce(0, +)
            }
            #expect(try await eventually { fixture.server.requests > 0 })
            fixture.agent.shutDown()
            try await fixture.ended()
            _ = await served
            #expect(throws: AgentSocket.Failure.self) { try socket.send(.status()) }
        }
    }

    @Test func anIdleConnectionEndsWithTheAgent() async throws {
        let fixture = try await AgentFixture()
        let idle = await offThePool { fixture.connected() }
        defer { close(idle) }
        #expect(try await isWell(fixture))
        fixture.agent.shutDown()
        try await fixture.ended()
        var byte: UInt8 = 0
        #expect(recv(idle, &byte, 1, Int32(MSG_DONTWAIT)) == 0)
    }

    /// Sends requests of whatever user to an agent of the fixture's vault, without a socket.
    private struct Asker {
        let vault: AgentVault
        private let requests: AgentRequests

        init(_ fixture: AgentFixture, idle: Double? = nil, accounts: Accounts = Accounts { _ in .unknown }) throws {
            vault = AgentVault(
                path: fixture.folder.file("vault"), memory: nil, transport: fixture.server, host: .unnamed,
                clock: fixture.clock, refresh: RefreshSettings(), accounts: accounts)
            let unlocked = try LockedVault(path: vault.path, memory: nil).unlock(with: .keyFile(fixture.key))
            vault.open(unlocked, ttl: nil, idle: idle)
            requests = AgentRequests(vault: vault, clock: fixture.clock, shutDown: {})
        }

        func ask(_ uid: UInt32, _ target: String = "/v1/tokens/a", reason: String? = nil) async -> Int {
            await answer(uid, target, reason: reason).status
        }

        func answer(_ uid: UInt32, _ target: String, reason: String? = nil) async -> ServerResponse {
            let peer = ConnectionPeer.process(PeerProcess(uid: uid, gid: 1, pid: 1))
            let headers = reason.map { [("Claviger-Reason", $0)] } ?? []
            let request = ServerRequest(method: "GET", target: target, headers: headers, peer: peer)
            switch requests.replies(to: [request])[0] {
            case .now(let answer): return answer
            case .later(_, let work): return await work()
            }
        }
    }

    private let stranger = geteuid() + 70_000

    /// Lets the stranger have tokens.
    private func allow(
        _ credentials: String..., of fixture: AgentFixture, scopes: [String]? = nil
    ) throws {
        try RuleStore(vault: fixture.vault, log: .scratch(fixture.vault)).update { policy in
            for name in credentials {
                policy.allow(Rule(credential: name, subject: .user(id: stranger, name: "made-up"), scopes: scopes))
            }
        }
    }

    @Test(arguments: [true, false])
    func `what a rule allows is looked at once more before a token leaves`(_ staysAllowed: Bool) async throws {
        let fixture = try await AgentFixture(server: GrantingServer(delay: .milliseconds(300)))
        let asker = try Asker(fixture)
        let rules = RuleStore(vault: fixture.vault, log: .scratch(fixture.vault))
        try allow("a", of: fixture)
        async let status = asker.ask(stranger)
        while fixture.server.requests == 0 { try await Task.sleep(for: .milliseconds(5)) }
        if !staysAllowed { try rules.update { $0 = Policy() } }
        #expect(await status == (staysAllowed ? 200 : 403))
    }

    @Test func `whom rules are for is looked up again for other rules, and not for each new token`() async throws {
        let fixture = try await AgentFixture()
        try allow("a", of: fixture)
        let asked = Mutex<[String]>([])
        let accounts = Accounts { subject in
            asked.withLock { $0.append(subject.name) }
            return .number(subject.number)
        }
        let asker = try Asker(fixture, accounts: accounts)
        /// How often the name was looked up, when what was begun is done.
        func lookUps(_ marker: String) async throws -> Int {
            try #require(
                try await eventually {
                    accounts.look(for: [.user(id: 1, name: marker)], isNew: true, at: fixture.clock.now())
                    return asked.withLock { $0.contains(marker) }
                })
            return asked.withLock { asked in asked.count { $0 == "made-up" } }
        }
        #expect(await asker.ask(stranger) == 200)
        let before = try await lookUps("one")
        #expect(before > 0)
        for _ in 0..<3 {
            _ = try await CredentialService(vault: fixture.vault, transport: fixture.server).token("a", TokenQuery(mode: .fresh))
            #expect(await asker.ask(stranger) == 200)
        }
        #expect(try await lookUps("two") == before)
        try allow("b", of: fixture)
        #expect(
            try await eventually {
                let status = await asker.ask(stranger)
                return status == 200 && asked.withLock { asked in asked.count { $0 == "made-up" } } > before
            })
    }

    @Test func `a token that comes after lock is stored and not handed out`() async throws {
        let fixture = try await AgentFixture(server: GrantingServer(delay: .milliseconds(2000)))
        async let answer = fixture.ask("GET", "/v1/tokens/a")
        while fixture.server.requests == 0 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(try await fixture.ask("POST", "/v1/lock").status == 204)
        #expect(try await answer.status == ProblemCode.agentLocked.status)
        #expect(try CredentialService(vault: fixture.vault, transport: fixture.server).show("a").tokens.count == 1)
    }

    /// Asks until it is refused, or so often.
    private func flood(_ asker: Asker, _ uid: UInt32, atMost most: Int = 10_000) async -> Int {
        for count in 0..<most where await asker.ask(uid, reason: String(repeating: "%CC%81", count: 500)) == 429 { return count }
        return most
    }

    @Test func `nobody can fill the log until others' lines are gone`() async throws {
        let fixture = try await AgentFixture()
        let asker = try Asker(fixture)
        let path = fixture.folder.file("vault.log")
        #expect(await flood(asker, stranger) < 100)
        // Whoever no rule names shares what is left: nothing.
        #expect(await asker.ask(stranger + 1) == 429)
        #expect(try Path.status(of: path).size < 2 * UInt64(RateLimit.strangers.burst))
        // Those whom a rule names have more of it, and the owner is never held up.
        try allow("a", of: fixture)
        #expect(await flood(asker, stranger) > 300)
        #expect(await asker.ask(geteuid()) == 200)
        #expect(try Path.status(of: path).size < 2 * UInt64(RateLimit.user.burst))
        let events = try AuditFiles.lines(path).compactMap(AuditEvent.init)
        #expect(events.count { $0.outcome == "too often" } == 2)
        fixture.clock.advance(2)
        #expect(await asker.ask(stranger) == 200)
    }

    @Test func `the list and what is shown of a credential cost others something, too`() async throws {
        for target in ["/v1/credentials", "/v1/credentials/a"] {
            let fixture = try await AgentFixture()
            let asker = try Asker(fixture)
            var count = 0
            while count < 1000, await asker.ask(stranger, target) != 429 { count += 1 }
            #expect(count < 100, "\(target)")
        }
    }

    @Test func `what is denied does not keep an idle vault open`() async throws {
        let fixture = try await AgentFixture()
        try allow("b", of: fixture)
        for (uid, target, keepsOpen) in [
            (stranger, "/v1/tokens/a", false), (stranger, "/v1/credentials/a", false), (stranger, "/v1/status", false),
            (stranger + 1, "/v1/credentials", false), (stranger, "/v1/tokens/b", true), (stranger, "/v1/credentials", true),
            (stranger, "/v1/credentials/b", true), (geteuid(), "/v1/tokens/a", true), (geteuid(), "/v1/status", false),
        ] {
            let asker = try Asker(fixture, idle: 60)
            fixture.clock.advance(40)
            _ = await asker.ask(uid, target)
            fixture.clock.advance(40)
            #expect((asker.vault.status.locked) == !keepsOpen, "\(uid) \(target)")
        }
    }

    @Test(arguments: ["fresh=1", "rejected=1", "min_ttl=3599"])
    func `others can force one new token a minute, and the owner ten`(_ query: String) async throws {
        let fixture = try await AgentFixture(server: GrantingServer(lifetime: 3600))
        try allow("a", of: fixture)
        let asker = try Asker(fixture)
        #expect(await asker.ask(stranger) == 200)
        fixture.clock.advance(10)
        let target = "/v1/tokens/a?" + query
        #expect(await asker.ask(stranger, target) == 200)
        fixture.clock.advance(10)
        for _ in 0..<5 { #expect(await asker.ask(stranger, target) == 429) }
        #expect(await asker.ask(stranger) == 200)
        #expect(fixture.server.requests == 2)
        for _ in 0..<9 {
            #expect(await asker.ask(geteuid(), target) == 200)
            fixture.clock.advance(2)
        }
        #expect(await asker.ask(geteuid(), target) == 429)
        fixture.clock.advance(61)
        #expect(await asker.ask(stranger, target) == 200)
    }

    /// API keys stand in parameters and headers, and say more than a token.
    @Test func `others see neither the client nor what its requests say`() async throws {
        let fixture = try await AgentFixture()
        let service = CredentialService(vault: fixture.vault, transport: fixture.server)
        let before = try service.show("a")
        var settings = before.settings
        settings.parameters = [Parameter("made-up-name", "canary-1")]
        settings.headers = [Parameter("X-Api-Key", "canary-2")]
        settings.authorizationParameters = [Parameter("login_hint", "canary-3")]
        (settings.secretParameters, settings.secretHeaders) = (["canary-6"], ["canary-7"])
        settings.revocationURL = try EndpointURL("https://canary-4.example.com")
        settings.apiURL = try EndpointURL("https://api.example.com")
        let edit = SettingsEdit(
            before: .init(clientID: before.clientID, settings: before.settings),
            after: .init(clientID: "canary-5", settings: settings),
            secretFields: SecretFields(
                parameters: [SecretField("canary-6", try Secret(utf8: "canary-secret"))],
                headers: [SecretField("canary-7", try Secret(utf8: "canary-secret"))]))
        _ = try await service.edit("a", edit, verify: false)
        try allow("a", of: fixture)
        let asker = try Asker(fixture)
        for target in ["/v1/credentials", "/v1/credentials/a"] {
            let theirs = String(decoding: await asker.answer(stranger, target).body, as: UTF8.self)
            #expect(theirs.contains("https://api.example.com") && !theirs.contains("canary"), "\(theirs)")
            let ours = String(decoding: await asker.answer(geteuid(), target).body, as: UTF8.self)
            #expect((1...7).allSatisfy { ours.contains("canary-\($0)") } && !ours.contains("canary-secret"))
        }
    }

    /// The server grants "read", whatever is asked for.
    @Test func `a token that is good for more than a rule says is not handed out`() async throws {
        let fixture = try await AgentFixture()
        let asker = try Asker(fixture)
        for (scopes, status) in [(["r"], 403), (["r", "read"], 200), (nil, 200)] {
            try allow("a", of: fixture, scopes: scopes)
            #expect(await asker.ask(stranger) == status, "\(scopes ?? [])")
        }
        let outcomes = try AuditFiles.lines(fixture.folder.file("vault.log")).compactMap(AuditEvent.init).map(\.outcome)
        #expect(outcomes.suffix(3) == ["denied", "done", "done"])
    }

    @Test func `scopes in whatever order, and however often, are one request`() async throws {
        let fixture = try await AgentFixture()
        try allow("a", of: fixture, scopes: ["r", "w", "x", "read"])
        let asker = try Asker(fixture)
        for scopes in ["r%20w", "w%20r", "w%20r%20w", "r&scope=w", "w&scope=r&scope=w"] {
            #expect(await asker.ask(stranger, "/v1/tokens/a?scope=" + scopes) == 200)
        }
        #expect(fixture.server.requests == 1)
    }

    @Test func callersThatDieInTheMiddle() async throws {
        let fixture = try await AgentFixture(server: GrantingServer(delay: .milliseconds(50)))
        for _ in 0..<50 {
            let descriptor = await offThePool { fixture.connected() }
            let request = Array("GET /v1/tokens/b?fresh=1 HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            _ = send(descriptor, request, request.count, Int32(MSG_NOSIGNAL))
            close(descriptor)
        }
        #expect(try await isWell(fixture))
    }
}
