import Foundation
import Sodium
import Synchronization
import TestSupport
import Testing
import TokenEngine

@testable import Access

@Suite(.timeLimit(.minutes(2))) struct AuditLogTests {
    private struct Fixture {
        let folder = TemporaryFolder()

        var path: String { folder.file("vault.log") }

        func log(rotationSize: UInt64 = 1 << 20) -> AuditLog {
            let keys = AuditKeys(
                chain: { SHA256.hash(Array("a made-up key".utf8) + $0) },
                fingerprint: { SHA256.hash(Array("another made-up key".utf8) + $0) })
            return AuditLog(path: path, keys: keys, rotationSize: rotationSize)
        }

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

    @Test func `what is written is a chain`() throws {
        let fixture = Fixture()
        let log = fixture.log()
        #expect(try log.verify(sealed: .none).lines == 0)
        try fixture.write(log, 3)
        try log.append([fixture.event("x"), fixture.event("y")])
        #expect(try log.verify(sealed: .none) == (5, 0))
        let first = try #require(AuditEvent(line: Array(fixture.lines[0].utf8)))
        #expect(first == fixture.event("credential-0"))
        #expect(fixture.lines[4].contains(#""seq":5"#))
        // Another process goes on where this one ended, and this one where that.
        let other = fixture.log()
        try other.append([fixture.event("z")])
        try log.append([fixture.event("z")])
        #expect(try log.verify(sealed: .none).lines == 7)
        #expect(FileManager.default.contents(atPath: fixture.path) != nil)
        #expect(try FileManager.default.attributesOfItem(atPath: fixture.path)[.posixPermissions] as? Int == 0o600)
    }

    /// A name or a reason can't end a line, or begin another member: every character is written as `JSONEncoder` writes it.
    @Test func `a line is the JSON that Foundation writes`() throws {
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
    func `finds an edited, a dropped and an inserted line`(_ index: Int) throws {
        for change in ["edit", "drop", "swap", "repeat", "forge"] {
            let fixture = Fixture()
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
            #expect(throws: AuditChainError.self, "\(change)") { try log.verify(sealed: .none) }
        }
    }

    /// A new file is begun by one of them, at a moment that the others don't choose.
    @Test func `many writers go on in one chain`() async throws {
        let fixture = Fixture()
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
        #expect(try fixture.log().verify(sealed: .none).lines == 400 + rotations)
    }

    /// Whoever began it ended between putting the full file away and writing the first line of the next.
    @Test(arguments: [false, true])
    func `goes on in a new file that was left empty`(_ isThere: Bool) throws {
        let fixture = Fixture()
        try fixture.write(fixture.log(), 3)
        try FileManager.default.moveItem(atPath: fixture.path, toPath: fixture.path + ".1")
        if isThere { #expect(FileManager.default.createFile(atPath: fixture.path, contents: nil)) }
        try fixture.write(fixture.log(), 2)
        #expect(try fixture.log().verify(sealed: .none).lines == 3 + 1 + 2)
    }

    @Test func `finds a truncated tail up to the sealed head`() throws {
        let fixture = Fixture()
        let log = fixture.log()
        try fixture.write(log, 5)
        let sealed = try #require(log.head())
        try fixture.write(log, 2)
        #expect(try log.verify(sealed: sealed) == (7, 5))
        // What came after the seal can be taken away unnoticed; what was sealed can't.
        fixture.lines = Array(fixture.lines.prefix(5))
        #expect(try log.verify(sealed: sealed) == (5, 5))
        fixture.lines = Array(fixture.lines.prefix(4))
        #expect(throws: AuditChainError.truncated(has: 4, sealed: 5)) { try log.verify(sealed: sealed) }
        unlink(fixture.path)
        #expect(throws: AuditChainError.truncated(has: 0, sealed: 5)) { try log.verify(sealed: sealed) }
    }

    @Test func `the chain goes on in the next file`() throws {
        let fixture = Fixture()
        let log = fixture.log(rotationSize: 1000)
        try fixture.write(log, 100)
        #expect(AuditFiles.all(fixture.path).count == AuditLog.keptFiles + 1)
        let found = try log.verify(sealed: .none)
        // The oldest files are gone, and their going breaks nothing.
        #expect(found.lines < 100 && found.lines > 40)
        #expect(try log.verify(sealed: #require(log.head())).sealed > 100)
        // A file that is missing in the middle does.
        unlink(fixture.path + ".3")
        #expect(throws: AuditChainError.self) { try log.verify(sealed: .none) }
    }

    @Test func `a torn line is not written over`() throws {
        let fixture = Fixture()
        try fixture.write(fixture.log(), 2)
        let whole = fixture.lines
        try (whole.joined(separator: "\n") + "\n{\"half").write(toFile: fixture.path, atomically: false, encoding: .utf8)
        #expect(throws: AuditError.torn(path: fixture.path)) { try fixture.write(fixture.log(), 1) }
    }

    // MARK: Recording

    private struct Denied: AuditedError {
        var isDenial: Bool
    }

    private var caller: Caller { Caller(uid: 7, gid: 8, pid: 9, exe: "/bin/made-up") }

    private func events(_ fixture: Fixture) throws -> [AuditEvent] {
        try AuditFiles.lines(fixture.path).compactMap(AuditEvent.init(line:))
    }

    @Test func `records who did what, why, and how it went`() async throws {
        let fixture = Fixture()
        let log = fixture.log()
        let token = try await log.record(
            .token, of: "a", caller: caller, reason: "made up", token: { (token: String) in Array(token.utf8) }
        ) { "made-up-token" }
        #expect(token == "made-up-token")
        try log.record(.allow, of: "a", caller: caller) {}
        for isDenial in [true, false] {
            await #expect(throws: Denied.self) {
                try await log.record(.rotate, of: "a", caller: caller) { () async throws in throw Denied(isDenial: isDenial) }
            }
            #expect(throws: Denied.self) {
                try log.record(.deny, of: "a", caller: caller) { () throws in throw Denied(isDenial: isDenial) }
            }
        }
        let events = try events(fixture)
        #expect(events.map(\.event) == [.token, .allow, .rotate, .deny, .rotate, .deny])
        #expect(events.map(\.outcome) == ["done", "done", "denied", "denied", "failed", "failed"])
        #expect(events.allSatisfy { $0.uid == 7 && $0.pid == 9 && $0.exe == "/bin/made-up" && $0.credential == "a" })
        #expect(events[0].reason == "made up")
        #expect(events[0].token == log.fingerprint(Array("made-up-token".utf8)) && events[0].token?.count == 16)
        #expect(fixture.folder.filesHolding("made-up-token") == [])
        #expect(try log.verify(sealed: .none).lines == 6)
    }

    /// The line is written when the action is over, and the result is known when the line is written.
    @Test func `writes the line between the action and its result`() async throws {
        let fixture = Fixture()
        try await fixture.log().record(.add, of: "a", caller: caller) { () async in
            #expect(fixture.lines.isEmpty)
        }
        #expect(fixture.lines.count == 1)
    }

    @Test func `what can't be logged has no result`() async throws {
        let fixture = Fixture()
        mkdir(fixture.path, 0o700)
        let ran = Mutex(0)
        await #expect(throws: AuditError.self) {
            try await fixture.log().record(.token, of: "a", caller: caller) { ran.withLock { $0 += 1 } }
        }
        #expect(throws: AuditError.self) {
            try fixture.log().record(.allow, of: "a", caller: caller) { ran.withLock { $0 += 1 } }
        }
        #expect(ran.withLock { $0 } == 2)
    }

    @Test func `an action that fails for the log's sake is not logged as failed`() async throws {
        let fixture = Fixture()
        await #expect(throws: AuditError.busy(path: "made up")) {
            try await fixture.log().record(.token, of: "a", caller: caller) { () async throws in
                throw AuditError.busy(path: "made up")
            }
        }
        #expect(fixture.lines.isEmpty)
    }

    @Test func `a log that another process writes for too long is busy`() throws {
        let fixture = Fixture()
        try fixture.write(fixture.log(), 1)
        let writer = open(fixture.path, O_RDWR | O_CLOEXEC)
        defer { close(writer) }
        try #require(writer >= 0 && flock(writer, LOCK_EX) == 0)
        #expect(throws: AuditError.busy(path: fixture.path)) { try fixture.log().append([fixture.event("x")], patience: 1) }
        #expect(try !fixture.log().tryAppend([fixture.event("x")]))
        #expect(fixture.log().head() == nil)
    }
}
