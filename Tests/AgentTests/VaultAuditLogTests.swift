import Access
import Foundation
import OAuth
import Sodium
import Synchronization
import TestSupport
import Testing
import TokenEngine
import Vault

@testable import Agent
@testable import Credentials

/// Grants a token and another refresh token, and does something before.
private final class AnsweringServer: HTTPTransport {
    private let before: @Sendable () -> Void
    init(before: @escaping @Sendable () -> Void) { self.before = before }

    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        before()
        let body = #"{"access_token":"made-up-token","expires_in":3600,"refresh_token":"made-up-next"}"#
        return EndpointAnswer(status: 200, body: Array(body.utf8))
    }
}

@Suite(.timeLimit(.minutes(2))) struct VaultAuditLogTests {
    private struct Fixture {
        let folder = TemporaryFolder()
        let key = Result { Secret(try SecretBytes.random(count: 32)) }
        let vault: UnlockedVault

        init() throws {
            vault = try LockedVault.create(at: folder.file("vault"), keys: [(.keyFile(try key.get()), "")], memory: nil)
        }

        var path: String { folder.file("vault.log") }
        func log(rotationSize: UInt64 = 1 << 20) -> AuditLog { AuditLog(vault: vault, path: path, rotationSize: rotationSize) }

        func event(_ name: String) -> AuditEvent {
            AuditEvent(
                time: Date(timeIntervalSince1970: 1_000_000), event: .token, credential: name, outcome: "done", uid: 1, pid: 2,
                exe: "/bin/made-up")
        }

        func write(_ log: AuditLog, _ count: Int) throws {
            for number in 0..<count { try log.append([event("credential-\(number)")]) }
        }

        var lines: [String] {
            get { (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: "\n").map(String.init) ?? [] }
            nonmutating set {
                try? (newValue.joined(separator: "\n") + "\n").write(toFile: path, atomically: false, encoding: .utf8)
            }
        }
    }

    /// How far the log is known to be whole.
    private func state(_ log: AuditLog, _ fixture: Fixture) throws -> [UInt64] {
        let report = try log.verify(against: fixture.vault)
        #expect(report.isWhole, "\(report.findings)")
        return [report.last ?? 0, report.sealed]
    }

    private func record() throws -> Record { try Record(description: Array("{}".utf8), secrets: [:]) }

    @Test func `a commit seals what is on the disk`() throws {
        let fixture = try Fixture()
        let log = fixture.log()
        try fixture.write(log, 5)
        try fixture.vault.update(sealing: log) { try $0.add("a", record()) }
        #expect(try state(log, fixture) == [5, 0])
        try log.synchronize()
        try fixture.vault.update(sealing: log) { try $0.add("b", record()) }
        #expect(try state(log, fixture) == [5, 5])
        fixture.lines.removeLast()
        #expect(try log.verify(against: fixture.vault).findings == [.missing(from: 5, to: 5)])
    }

    /// It may hold the only copy of a refresh token.
    @Test func `a commit does not wait for a process that writes the log`() throws {
        let fixture = try Fixture()
        let log = fixture.log()
        try fixture.write(log, 1)
        try log.synchronize()
        let writer = open(fixture.path, O_RDWR | O_CLOEXEC)
        defer { close(writer) }
        try #require(writer >= 0 && flock(writer, LOCK_EX) == 0)
        try fixture.vault.update(sealing: log) { try $0.add("a", record()) }
        #expect(try state(log, fixture) == [1, 1])
    }

    /// The vault vouches for the intent of each change in the commit that makes it.
    @Test func `every commit seals the head`() async throws {
        let fixture = try Fixture()
        let log = fixture.log()
        let agent = AuditedService(
            CredentialService(vault: fixture.vault, log: log, transport: GrantingServer(), host: .unnamed), log: log, caller: .own
        )
        for name in ["a", "b", "c"] { _ = try await agent.add(name, AgentFixture.credential(), verify: false) }
        #expect(try state(log, fixture) == [6, 5])
        // A token's commit waits for nothing, a rename's and a removal's have an intent before them.
        _ = try await agent.token("a", TokenQuery())
        #expect(try state(log, fixture) == [7, 5])
        try await agent.rename("a", to: "d")
        #expect(try state(log, fixture) == [9, 8])
        try await agent.remove("d")
        #expect(try state(log, fixture) == [11, 10])
        let pair = ClientCredentials(id: "id-2", secret: try Secret(utf8: "made-up-secret-2"))
        _ = try await agent.rotate("b", .to(pair), verify: false)
        #expect(try state(log, fixture) == [13, 12])
        try log.seal(in: fixture.vault)
        #expect(try state(log, fixture) == [13, 13])
    }

    /// Another process has got further, and has sealed that.
    @Test func `a commit does not put an older head in the place of a newer one`() throws {
        let fixture = try Fixture()
        let (behind, ahead) = (fixture.log(), fixture.log())
        try fixture.write(behind, 2)
        try behind.synchronize()
        try fixture.write(ahead, 3)
        try ahead.synchronize()
        try fixture.vault.update(sealing: ahead) { try $0.add("a", record()) }
        #expect(behind.durableHead?.sequence == 2)
        try fixture.vault.update(sealing: behind) { try $0.add("b", record()) }
        #expect(try state(ahead, fixture) == [5, 5])
    }

    @Test func `a commit that changes nothing seals nothing`() throws {
        let fixture = try Fixture()
        let log = fixture.log()
        try fixture.write(log, 2)
        try log.synchronize()
        try fixture.vault.update(sealing: log) { _ = $0.contains("a") }
        #expect(fixture.vault.generation == 1)
        #expect(try state(log, fixture) == [2, 0])
    }

    /// A log that is gone is missed for ever, however many changes come after it.
    @Test func `an erased log is missed after any number of changes`() throws {
        let fixture = try Fixture()
        func change(_ name: String) throws {
            let log = fixture.log()
            try log.recordChange(.add, of: name, caller: .own) {
                try fixture.vault.update(sealing: log) { try $0.add(name, record()) }
            }
        }
        for number in 0..<5 { try change("a\(number)") }
        unlink(fixture.path)
        for number in 0..<20 { try change("b\(number)") }
        let report = try fixture.log().verify(against: fixture.vault)
        guard report.findings.count == 1, case .recorded(.missing, 1, 9, _) = report.findings[0] else {
            Issue.record("\(report.findings)")
            return
        }
        #expect(report.sealed > 40)
    }

    /// The record with the head is damaged: the next commit replaces it, and does not hide that.
    @Test func `a head that can't be read is written down by whoever seals another`() throws {
        let fixture = try Fixture()
        let log = fixture.log()
        try fixture.write(log, 3)
        try log.seal(in: fixture.vault)
        try fixture.vault.update { $0.replace(only: .auditHead, with: try Record(description: Array("x".utf8), secrets: [:])) }
        #expect(try log.verify(against: fixture.vault).findings == [.seal])
        // A commit that had no time to look at the log.
        try fixture.vault.update(sealing: log) { try $0.add("a", record()) }
        #expect(try log.verify(against: fixture.vault).findings == [.seal])
        try fixture.write(log, 1)
        try log.seal(in: fixture.vault)
        let report = try log.verify(against: fixture.vault)
        guard report.findings.count == 1, case .recorded(.seal, _, _, _) = report.findings[0] else {
            Issue.record("\(report.findings)")
            return
        }
    }

    /// A refresh token that is sent is in the log before it is sent, and so is what has come of it before the token is known.
    @Test func `a refresh has its intent in the log before it is sent`() async throws {
        let fixture = try Fixture()
        let log = fixture.log()
        let seen = Mutex<[[String]]>([])
        let server = AnsweringServer { seen.withLock { $0.append(fixture.lines) } }
        let service = CredentialService(vault: fixture.vault, log: log, transport: server, host: .unnamed)
        var new = try AgentFixture.credential()
        new.settings.grant = .refreshToken
        new.refreshToken = try Secret(utf8: "made-up-refresh-token")
        _ = try await service.add("a", new, verify: false)
        _ = try await service.token("a", TokenQuery())
        #expect(seen.withLock { $0.map(\.count) } == [1])
        let events = fixture.lines.compactMap { AuditEvent(line: Array($0.utf8)) }
        #expect(events.map(\.event) == [.refresh, .refresh] && events.map(\.outcome) == ["begun", "done"])
        #expect(events.allSatisfy { $0.credential == "a" && $0.pid == getpid() })
        #expect(try state(log, fixture) == [2, 1])
        // Where the intent can't be written, nothing is sent.
        unlink(fixture.path)
        mkdir(fixture.path, 0o700)
        await #expect(throws: AuditError.self) { try await service.token("a", TokenQuery(mode: .fresh)) }
        #expect(seen.withLock { $0.count } == 1)
    }

    /// The log breaks while the server answers: what it has given is stored, and nothing is handed out.
    @Test func `a refresh token that was received does not wait for the log`() async throws {
        let fixture = try Fixture()
        let log = fixture.log()
        let server = AnsweringServer {
            unlink(fixture.path)
            mkdir(fixture.path, 0o700)
        }
        let service = CredentialService(vault: fixture.vault, log: log, transport: server, host: .unnamed)
        var new = try AgentFixture.credential()
        new.settings.grant = .refreshToken
        new.refreshToken = try Secret(utf8: "made-up-refresh-token")
        _ = try await service.add("a", new, verify: false)
        await #expect(throws: AuditError.self) { try await service.token("a", TokenQuery()) }
        let stored = try service.store.credential("a").state
        #expect(stored.login?.refreshToken.revealed() == "made-up-next")
        #expect(stored.tokens.count == 1)
    }

    @Test func `logs every token that is handed out, and every failure`() async throws {
        let fixture = try await AgentFixture()
        for _ in 0..<3 { _ = try await fixture.client.token("a", TokenQuery()) }
        let reasoned = AgentClient(socket: fixture.socket, reason: "a made-up reason: ü")
        let token = try await reasoned.token("a", TokenQuery())
        _ = try? await fixture.client.token("nobody", TokenQuery())
        try await fixture.client.lock()
        let events = try AuditFiles.lines(fixture.folder.file("vault.log")).compactMap(AuditEvent.init(line:))
        #expect(events.map(\.event) == [.unlock, .token, .token, .token, .token, .token, .lock])
        #expect(events.map(\.outcome) == ["done", "done", "done", "done", "done", "failed", "done"])
        #expect(events[4].reason == "a made-up reason: ü")
        #expect(events[4].pid == getpid() && events[4].uid == getuid() && events[4].exe?.isEmpty == false)
        // A token is named, always by the same name, and is not in the log itself.
        #expect(events[1].token?.count == 16 && events[1].token == events[4].token)
        #expect(fixture.folder.filesHolding(token.token.revealed()) == [])
        let log = AuditLog(vault: fixture.vault, path: fixture.folder.file("vault.log"))
        // Locking has sealed the head.
        let report = try log.verify(against: fixture.vault)
        #expect(report == AuditReport(lines: 7, first: 1, last: 7, sealed: 7))
    }

    /// Fail closed: what can't be logged does not happen.
    @Test func `without a log there is no token`() async throws {
        let fixture = try await AgentFixture()
        _ = try await fixture.client.token("a", TokenQuery())
        let log = fixture.folder.file("vault.log")
        unlink(log)
        mkdir(log, 0o700)
        #expect(try await fixture.ask("GET", "/v1/tokens/a").status == 500)
        // It locks all the same.
        try await fixture.client.lock()
        #expect(try await fixture.client.status().locked)
        rmdir(log)
        try await fixture.client.unlock(UnlockRequest(keyFile: fixture.key, ttl: nil, idle: nil))
        #expect(try await fixture.ask("GET", "/v1/tokens/a").status == 200)
    }

    @Test func `logs when it locks by itself`() async throws {
        let fixture = try await AgentFixture(unlocked: false)
        try await fixture.client.unlock(UnlockRequest(keyFile: fixture.key, ttl: 60, idle: nil))
        fixture.clock.advance(61)
        #expect(try await fixture.client.status().locked)
        let events = try AuditFiles.lines(fixture.folder.file("vault.log")).compactMap(AuditEvent.init(line:))
        #expect(events.map(\.event) == [.unlock, .lock])
    }

    /// Sixty-four callers, one chain.
    @Test func `many at once write one chain`() async throws {
        let fixture = try await AgentFixture()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<64 {
                group.addTask { for _ in 0..<5 { _ = try await fixture.ask("GET", "/v1/tokens/a") } }
            }
            try await group.waitForAll()
        }
        let log = AuditLog(vault: fixture.vault, path: fixture.folder.file("vault.log"))
        #expect(try log.verify(against: fixture.vault).lines == 321)
    }
}
