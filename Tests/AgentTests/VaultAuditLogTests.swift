import Access
import Foundation
import OAuth
import Sodium
import TestSupport
import Testing
import TokenEngine
import Vault

@testable import Agent
@testable import Credentials

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

    /// Also by a process that has written no line itself, as a command that changes a credential.
    @Test func `a commit by a process that has written nothing seals the head`() throws {
        let fixture = try Fixture()
        try fixture.write(fixture.log(), 5)
        let vault = try LockedVault(path: fixture.folder.file("vault"), memory: nil).unlock(with: .keyFile(try fixture.key.get()))
        let log = AuditLog(vault: vault, path: fixture.path)
        #expect(try log.verify(against: fixture.vault) == (5, 0))
        try vault.update(sealing: log) { try $0.add("a", Record(description: Array("{}".utf8), secrets: [:])) }
        #expect(try log.verify(against: fixture.vault) == (5, 5))
        fixture.lines.removeLast()
        #expect(throws: AuditChainError.truncated(has: 4, sealed: 5)) { try log.verify(against: fixture.vault) }
    }

    /// It may hold the only copy of a refresh token.
    @Test func `a commit does not wait for a process that writes the log`() throws {
        let fixture = try Fixture()
        try fixture.write(fixture.log(), 1)
        let writer = open(fixture.path, O_RDWR | O_CLOEXEC)
        defer { close(writer) }
        try #require(writer >= 0 && flock(writer, LOCK_EX) == 0)
        let log = fixture.log()
        try fixture.vault.update(sealing: log) { try $0.add("a", Record(description: Array("{}".utf8), secrets: [:])) }
        #expect(try log.verify(against: fixture.vault) == (1, 0))
    }

    @Test func `every commit seals the head`() async throws {
        let fixture = try Fixture()
        let log = fixture.log()
        let agent = AuditedService(
            CredentialService(vault: fixture.vault, log: log, transport: GrantingServer(), host: .unnamed), log: log, caller: .own
        )
        for name in ["a", "b", "c"] { _ = try await agent.add(name, AgentFixture.credential(), verify: false) }
        #expect(try log.verify(against: fixture.vault) == (3, 2))
        // A token's commit, a rename's, a removal's.
        _ = try await agent.token("a", TokenQuery())
        #expect(try log.verify(against: fixture.vault) == (4, 3))
        try await agent.rename("a", to: "d")
        #expect(try log.verify(against: fixture.vault) == (5, 4))
        try await agent.remove("d")
        #expect(try log.verify(against: fixture.vault) == (6, 5))
        let pair = ClientCredentials(id: "id-2", secret: try Secret(utf8: "made-up-secret-2"))
        _ = try await agent.rotate("b", .to(pair), verify: false)
        #expect(try log.verify(against: fixture.vault) == (7, 6))
        let rules = RuleStore(vault: fixture.vault, log: log)
        try rules.update(credential: "b") { $0.allow(.init(credential: "b", subject: .user(id: 1001, name: "alice"))) }
        #expect(try log.verify(against: fixture.vault) == (7, 7))
    }

    /// Another process has got further, and has sealed that.
    @Test func `a commit does not put an older head in the place of a newer one`() throws {
        let fixture = try Fixture()
        let (behind, ahead) = (fixture.log(), fixture.log())
        try fixture.write(behind, 2)
        try fixture.write(ahead, 3)
        let record = try Record(description: Array("{}".utf8), secrets: [:])
        try fixture.vault.update(sealing: ahead) { try $0.add("a", record) }
        #expect(behind.ownHead?.sequence == 2)
        try fixture.vault.update(sealing: behind) { try $0.add("b", record) }
        #expect(try ahead.verify(against: fixture.vault) == (5, 5))
    }

    @Test func `a commit that changes nothing seals nothing`() throws {
        let fixture = try Fixture()
        let log = fixture.log()
        try fixture.write(log, 2)
        try fixture.vault.update(sealing: log) { _ = $0.contains("a") }
        #expect(fixture.vault.generation == 1)
        #expect(try log.verify(against: fixture.vault) == (2, 0))
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
        #expect(try log.verify(against: fixture.vault) == (7, 7))
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
