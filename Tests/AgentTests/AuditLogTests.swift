import Foundation
import LocalServer
import Sodium
import TestSupport
import Testing
import TokenEngine
import Vault

@testable import Agent

@Suite(.timeLimit(.minutes(2))) struct AuditLogTests {
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

    @Test func whatIsWrittenIsAChain() throws {
        let fixture = try Fixture()
        let log = fixture.log()
        #expect(try log.verify().lines == 0)
        try fixture.write(log, 3)
        try log.append([fixture.event("x"), fixture.event("y")])
        #expect(try log.verify() == (5, 0))
        let first = try #require(AuditEvent(line: Array(fixture.lines[0].utf8)))
        #expect(first == fixture.event("credential-0"))
        #expect(fixture.lines[4].contains(#""seq":5"#))
        // Another process goes on where this one ended, and this one where that.
        let other = AuditLog(vault: fixture.vault, path: fixture.path)
        try other.append([fixture.event("z")])
        try log.append([fixture.event("z")])
        #expect(try log.verify().lines == 7)
        #expect(FileManager.default.contents(atPath: fixture.path) != nil)
        #expect(try FileManager.default.attributesOfItem(atPath: fixture.path)[.posixPermissions] as? Int == 0o600)
    }

    /// A name or a reason can't end a line, or begin another member: every character is written as `JSONEncoder` writes it.
    @Test func aLineIsTheJSONThatFoundationWrites() throws {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let ascii = String(decoding: UInt8(0)...127, as: UTF8.self)
        let texts = [ascii, "", "ü€😀", "\u{7F}\u{80}\u{A0}\u{2028}\u{2029}\u{FEFF}\u{10FFFF}", #"","mac":"x\\"#]
        for text in texts {
            for time in [0, 1_000_000.999, 4_102_444_799, -1] {
                var event = AuditEvent(
                    time: Date(timeIntervalSince1970: time), event: .keyAdd, credential: text, outcome: text, uid: .max,
                    pid: .min, exe: text)
                (event.token, event.reason, event.previous) = (text, text, text)
                try expect(event, encoder)
            }
        }
        try expect(AuditEvent(time: Date(), event: .token, credential: nil, outcome: "done", uid: 0, pid: 1, exe: nil), encoder)
    }

    private func expect(_ event: AuditEvent, _ encoder: JSONEncoder) throws {
        struct Numbered: Encodable {
            let event: AuditEvent
            func encode(to encoder: any Encoder) throws {
                var container = encoder.container(keyedBy: Key.self)
                try container.encode(UInt64.max, forKey: .seq)
                try event.encode(to: encoder)
            }
            enum Key: CodingKey { case seq }
        }
        let line = event.json(sequence: .max)
        #expect(line == Array(try encoder.encode(Numbered(event: event))))
        #expect(!line.contains(UInt8(ascii: "\n")))
    }

    @Test(arguments: [0, 2, 5])
    func anEditedADroppedAndAnInsertedLineAreFound(_ index: Int) throws {
        for change in ["edit", "drop", "swap", "repeat", "forge"] {
            let fixture = try Fixture()
            let log = fixture.log()
            try fixture.write(log, 8)
            var lines = fixture.lines
            switch change {
            case "edit": lines[index] = lines[index].replacingOccurrences(of: "made-up", with: "another")
            case "drop": lines.remove(at: index)
            case "swap": lines.swapAt(index, index + 1)
            case "repeat": lines.insert(lines[index], at: index)
            default: lines[index] = lines[index].replacingOccurrences(of: #""uid":1"#, with: #""uid":7"#)
            }
            fixture.lines = lines
            #expect(throws: AuditLog.Flaw.self, "\(change)") { try log.verify() }
        }
    }

    /// Also by a process that has written no line itself, as a command that changes a credential.
    @Test func aCommitByAProcessThatHasWrittenNothingSealsTheHead() throws {
        let fixture = try Fixture()
        try fixture.write(fixture.log(), 5)
        let vault = try LockedVault(path: fixture.folder.file("vault"), memory: nil).unlock(with: .keyFile(try fixture.key.get()))
        let log = AuditLog(vault: vault, path: fixture.path)
        #expect(try log.verify() == (5, 0))
        try vault.update { try $0.add("a", Record(description: Array("{}".utf8), secrets: [:])) }
        #expect(try log.verify() == (5, 5))
        fixture.lines.removeLast()
        #expect(throws: AuditLog.Flaw.truncated(has: 4, sealed: 5)) { try log.verify() }
    }

    /// A new file is begun by one of them, at a moment that the others don't choose.
    @Test func manyWritersGoOnInOneChain() async throws {
        let fixture = try Fixture()
        let event = fixture.event("x")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                // Each as a process of its own: it knows only what it has written itself.
                let log = fixture.log(rotationSize: 20_000)
                group.addTask {
                    for _ in 0..<100 { #expect(throws: Never.self) { try log.append([event]) } }
                }
            }
        }
        let rotations = AuditFiles.all(fixture.path).count - 1
        #expect(rotations > 2 && rotations < AuditLog.keptFiles)
        #expect(try fixture.log().verify().lines == 400 + rotations)
    }

    /// Whoever began it ended between putting the full file away and writing the first line of the next.
    @Test(arguments: [false, true])
    func aNewFileThatWasLeftEmpty(_ isThere: Bool) throws {
        let fixture = try Fixture()
        try fixture.write(fixture.log(), 3)
        try FileManager.default.moveItem(atPath: fixture.path, toPath: fixture.path + ".1")
        if isThere { #expect(FileManager.default.createFile(atPath: fixture.path, contents: nil)) }
        try fixture.write(fixture.log(), 2)
        #expect(try fixture.log().verify().lines == 3 + 1 + 2)
    }

    /// It may hold the only copy of a refresh token.
    @Test func aCommitWaitsForNobodyWhoWritesTheLog() throws {
        let fixture = try Fixture()
        try fixture.write(fixture.log(), 1)
        let writer = open(fixture.path, O_RDWR | O_CLOEXEC)
        defer { close(writer) }
        try #require(writer >= 0 && flock(writer, LOCK_EX) == 0)
        let log = fixture.log()
        try fixture.vault.update { try $0.add("a", Record(description: Array("{}".utf8), secrets: [:])) }
        #expect(try log.verify() == (1, 0))
    }

    @Test func aTruncatedTailIsFoundUpToTheSealedHead() throws {
        let fixture = try Fixture()
        let log = fixture.log()
        try fixture.write(log, 5)
        try log.seal()
        try fixture.write(log, 2)
        #expect(try log.verify() == (7, 5))
        // What came after the seal can be taken away unnoticed; what was sealed can't.
        fixture.lines = Array(fixture.lines.prefix(5))
        #expect(try log.verify() == (5, 5))
        fixture.lines = Array(fixture.lines.prefix(4))
        #expect(throws: AuditLog.Flaw.truncated(has: 4, sealed: 5)) { try log.verify() }
        unlink(fixture.path)
        #expect(throws: AuditLog.Flaw.truncated(has: 0, sealed: 5)) { try log.verify() }
    }

    @Test func everyCommitSealsTheHead() async throws {
        let fixture = try Fixture()
        let log = fixture.log()
        let agent = AuditedAgent(CredentialService(vault: fixture.vault, transport: GrantingServer()), log: log, caller: Caller(uid: getuid(), gid: 0, pid: getpid()))
        for name in ["a", "b", "c"] { _ = try await agent.add(name, AgentFixture.credential(), verify: false) }
        #expect(try log.verify() == (3, 2))
    }

    @Test func theChainGoesOnInTheNextFile() throws {
        let fixture = try Fixture()
        let log = fixture.log(rotationSize: 1000)
        try fixture.write(log, 100)
        #expect(AuditFiles.all(fixture.path).count == AuditLog.keptFiles + 1)
        let found = try log.verify()
        // The oldest files are gone, and their going breaks nothing.
        #expect(found.lines < 100 && found.lines > 40)
        try log.seal()
        #expect(try log.verify().sealed > 100)
        // A file that is missing in the middle does.
        unlink(fixture.path + ".3")
        #expect(throws: AuditLog.Flaw.self) { try log.verify() }
    }

    @Test func aTornLineIsNotWrittenOver() throws {
        let fixture = try Fixture()
        try fixture.write(fixture.log(), 2)
        let whole = fixture.lines
        try (whole.joined(separator: "\n") + "\n{\"half").write(toFile: fixture.path, atomically: false, encoding: .utf8)
        #expect(throws: VaultError.self) { try fixture.write(fixture.log(), 1) }
    }

    @Test func everyHandOutAndEveryFailureIsLogged() async throws {
        let fixture = try await AgentFixture()
        for _ in 0..<3 { _ = try await fixture.client.token("a", TokenAsk()) }
        let reasoned = AgentClient(socket: fixture.socket, reason: "a made-up reason: ü")
        let token = try await reasoned.token("a", TokenAsk())
        _ = try? await fixture.client.token("nobody", TokenAsk())
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
        #expect(try log.verify() == (7, 7))
    }

    /// Fail closed: what can't be logged does not happen.
    @Test func withoutALogNoToken() async throws {
        let fixture = try await AgentFixture()
        _ = try await fixture.client.token("a", TokenAsk())
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

    @Test func lockingByItselfIsLogged() async throws {
        let fixture = try await AgentFixture(unlocked: false)
        try await fixture.client.unlock(UnlockRequest(keyFile: fixture.key, ttl: 60, idle: nil))
        fixture.clock.advance(61)
        #expect(try await fixture.client.status().locked)
        let events = try AuditFiles.lines(fixture.folder.file("vault.log")).compactMap(AuditEvent.init(line:))
        #expect(events.map(\.event) == [.unlock, .lock])
    }

    /// Sixty-four callers, one chain.
    @Test func manyAtOnce() async throws {
        let fixture = try await AgentFixture()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<64 {
                group.addTask { for _ in 0..<5 { _ = try await fixture.ask("GET", "/v1/tokens/a") } }
            }
            try await group.waitForAll()
        }
        let log = AuditLog(vault: fixture.vault, path: fixture.folder.file("vault.log"))
        #expect(try log.verify().lines == 321)
    }
}
