import Foundation
import Sodium
import Synchronization
import TestSupport
import Testing
import TokenEngine

@testable import Access

/// What a vault vouches for.
private final class Seal: Sendable {
    private let state = Mutex(SealedHead.none)
    var head: SealedHead {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}

private struct LogFixture {
    let folder = TemporaryFolder()
    let seal = Seal()

    var path: String { folder.file("vault.log") }

    func log(rotationSize: UInt64 = 1 << 20, owner: UInt32? = nil) -> AuditLog {
        let keys = AuditKeys(
            chain: { SHA256.hash(Array("a made-up key".utf8) + $0) },
            fingerprint: { SHA256.hash(Array("another made-up key".utf8) + $0) },
            sealed: { [seal] in seal.head }, owner: { owner.map { ($0, $0) } })
        return AuditLog(path: path, keys: keys, rotationSize: rotationSize)
    }

    /// Has the vault vouch for what a log has written.
    func sealHead(of log: AuditLog) throws {
        try log.synchronize()
        seal.head = .head(try #require(log.durableHead))
    }

    func verify() throws -> AuditReport { try log().verify(sealed: seal.head) }

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

@Suite(.timeLimit(.minutes(2))) struct AuditLogTests {
    private typealias Fixture = LogFixture

    @Test func `what is written is a chain`() throws {
        let fixture = Fixture()
        let log = fixture.log()
        #expect(try fixture.verify() == AuditReport())
        try fixture.write(log, 3)
        try log.append([fixture.event("x"), fixture.event("y")])
        #expect(try fixture.verify().lines == 5)
        let first = try #require(AuditEvent(line: Array(fixture.lines[0].utf8)))
        #expect(first == fixture.event("credential-0"))
        #expect(fixture.lines[4].contains(#""seq":5"#))
        // Another process goes on where this one ended, and this one where that.
        let other = fixture.log()
        try other.append([fixture.event("z")])
        try log.append([fixture.event("z")])
        #expect(try fixture.verify() == AuditReport(lines: 7, first: 1, last: 7))
        #expect(FileManager.default.contents(atPath: fixture.path) != nil)
        #expect(try FileManager.default.attributesOfItem(atPath: fixture.path)[.posixPermissions] as? Int == 0o600)
    }

    /// A name or a reason can't end a line, begin another member, or look like something else.
    @Test func `a line is printable JSON, whatever is in it`() throws {
        let ascii = String(decoding: UInt8(0)...127, as: UTF8.self)
        let hidden = "\u{7F}\u{80}\u{9B}\u{A0}\u{AD}\u{200B}\u{202E}\u{2028}\u{2029}\u{2066}\u{3164}\u{FEFF}\u{E000}\u{10FFFF}"
        for text in [ascii, "", "ü€😀", hidden, #"","mac":"x\\"#, #"a","event":"token"#] {
            for time in [0, 1_000_000, 4_102_444_799, -1] as [Double] {
                var event = AuditEvent(
                    time: Date(timeIntervalSince1970: time), event: .keyAdd, credential: text, outcome: "done", uid: .max,
                    pid: .min, exe: text)
                (event.reason, event.previous, event.first, event.breaks) = (text, "0", 1, .max)
                (event.from, event.to, event.bytes) = (1, .max, 0)
                let line = event.json(sequence: .max)
                #expect(AuditEvent(line: line) == event)
                let scalars = String(decoding: line, as: UTF8.self).unicodeScalars
                #expect(scalars.allSatisfy { AuditEvent.isPrinted($0) })
                #expect(AuditEvent.printable(line: line) == String(decoding: line, as: UTF8.self))
            }
        }
        #expect(AuditEvent.printable(line: Array("a\u{9B}b\u{202E}c\u{E0001}ü".utf8)) == #"a\u009bb\u202ec\udb40\udc01ü"#)
    }

    /// A grapheme cluster can have thousands of bytes, and nobody may fill the log with one.
    @Test(arguments: ["e" + String(repeating: "\u{301}", count: 50_000), String(repeating: "\u{1}", count: 100_000)])
    func `no line is long, and the next process reads it back`(_ text: String) throws {
        let fixture = Fixture()
        var event = fixture.event(text)
        (event.reason, event.exe) = (text, text)
        for _ in 0..<3 { try fixture.log().append([event]) }
        #expect(fixture.lines.count == 3 && fixture.lines.allSatisfy { $0.utf8.count < 4096 })
        let read = try #require(AuditEvent(line: Array(fixture.lines[2].utf8)))
        #expect(read.reason?.hasSuffix("…") == true && read.credential?.hasSuffix("…") == true)
        #expect(try fixture.verify().isWhole)
    }

    /// As an earlier version has written it.
    @Test func `a line of a hundred kilobytes is read back`() throws {
        let fixture = Fixture()
        try fixture.write(fixture.log(), 1)
        let head = try #require(AuditLine(Array(fixture.lines[0].utf8))).head
        let filler = String(repeating: "x", count: 100_000)
        let body =
            #"{"event":"token","outcome":"done","pid":1,"reason":"\#(filler)","seq":2,"time":"2026-01-01T00:00:00Z","uid":1}"#
        fixture.lines += [String(body.dropLast()) + #","mac":"\#(fixture.log().mac(Array(body.utf8), after: head.mac))"}"#]
        #expect(try fixture.verify() == AuditReport(lines: 2, first: 1, last: 2))
        try fixture.write(fixture.log(), 1)
        #expect(try fixture.verify() == AuditReport(lines: 3, first: 1, last: 3))
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
            #expect(try !fixture.verify().isWhole, "\(change)")
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
        let report = try fixture.verify()
        #expect(report.isWhole && report.lines == 400 + rotations)
    }

    /// Whoever began it ended between putting the full file away and writing the first line of the next.
    @Test(arguments: [false, true])
    func `goes on in a new file that was left empty`(_ isThere: Bool) throws {
        let fixture = Fixture()
        try fixture.write(fixture.log(), 3)
        try FileManager.default.moveItem(atPath: fixture.path, toPath: fixture.path + ".1")
        if isThere { #expect(FileManager.default.createFile(atPath: fixture.path, contents: nil)) }
        try fixture.write(fixture.log(), 2)
        #expect(try fixture.verify() == AuditReport(lines: 3 + 1 + 2, first: 1, last: 6))
    }

    @Test func `the chain goes on in the next file`() throws {
        let fixture = Fixture()
        let log = fixture.log(rotationSize: 1000)
        try fixture.write(log, 100)
        try fixture.sealHead(of: log)
        #expect(AuditFiles.all(fixture.path).count == AuditLog.keptFiles + 1)
        // The oldest files are gone, and their going breaks nothing.
        let report = try fixture.verify()
        #expect(report.isWhole && report.lines < 100 && report.lines > 40)
        #expect(report.sealed > 100 && report.first == report.sealed - UInt64(report.lines) + 1)
        // A file that is missing in the middle does.
        unlink(fixture.path + ".3")
        #expect(try !fixture.verify().isWhole)
    }

    // MARK: Recording

    private struct Denied: AuditedError {
        var isDenial: Bool
        var word: String { "made_up" }
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
        try log.recordChange(.allow, of: "a", caller: caller) {}
        for isDenial in [true, false] {
            await #expect(throws: Denied.self) {
                try await log.recordChange(.rotate, of: "a", caller: caller) { () async throws in
                    throw Denied(isDenial: isDenial)
                }
            }
            #expect(throws: Denied.self) {
                try log.recordChange(.deny, of: "a", caller: caller) { () throws in throw Denied(isDenial: isDenial) }
            }
        }
        await #expect(throws: Denied.self) {
            try await log.record(.token, of: "a", caller: caller) { () async throws in throw Denied(isDenial: true) }
        }
        let events = try events(fixture)
        #expect(
            events.map(\.event) == [.token, .allow, .allow] + [.rotate, .rotate, .deny, .deny, .rotate, .rotate, .deny, .deny]
                + [.token])
        #expect(
            events.map(\.outcome) == ["done", "begun", "done"] + ["begun", "denied", "begun", "denied"]
                + ["begun", "failed", "begun", "failed"] + ["denied"])
        #expect(events.allSatisfy { $0.uid == 7 && $0.pid == 9 && $0.exe == "/bin/made-up" && $0.credential == "a" })
        #expect(events[0].reason == "made up")
        #expect(events[0].token == log.fingerprint(Array("made-up-token".utf8)) && events[0].token?.count == 16)
        #expect(fixture.folder.filesHolding("made-up-token") == [])
        #expect(try fixture.verify().isWhole)
    }

    /// A token's line is written when it is there, and the token is known when the line is written.
    @Test func `writes a hand-out between the action and its result`() async throws {
        let fixture = Fixture()
        try await fixture.log().record(.token, of: "a", caller: caller) { () async in
            #expect(fixture.lines.isEmpty)
        }
        #expect(fixture.lines.count == 1)
    }

    @Test func `writes a change's intent before it begins, on the disk for the vault to vouch for`() async throws {
        let fixture = Fixture()
        let log = fixture.log()
        try await log.recordChange(.add, of: "a", caller: caller, reason: "made up") { () async in
            #expect(fixture.lines.count == 1)
            #expect(log.durableHead?.sequence == 1)
        }
        try log.recordChange(.allow, of: "a", caller: caller) {
            #expect(fixture.lines.count == 3)
            #expect(log.durableHead?.sequence == 3)
        }
        #expect(try events(fixture).map(\.outcome) == ["begun", "done", "begun", "done"])
        #expect(try events(fixture).map(\.reason) == ["made up", "made up", nil, nil])
    }

    @Test func `what can't be logged has no result, and a change is not begun`() async throws {
        let fixture = Fixture()
        mkdir(fixture.path, 0o700)
        let ran = Mutex(0)
        await #expect(throws: AuditError.self) {
            try await fixture.log().record(.token, of: "a", caller: caller) { ran.withLock { $0 += 1 } }
        }
        #expect(ran.withLock { $0 } == 1)
        await #expect(throws: AuditError.self) {
            try await fixture.log().recordChange(.add, of: "a", caller: caller) { () async in ran.withLock { $0 += 1 } }
        }
        #expect(throws: AuditError.self) {
            try fixture.log().recordChange(.allow, of: "a", caller: caller) { ran.withLock { $0 += 1 } }
        }
        #expect(ran.withLock { $0 } == 1)
    }

    @Test func `a change whose outcome can't be logged is said to be done`() async throws {
        let fixture = Fixture()
        func spoil() {
            unlink(fixture.path)
            mkdir(fixture.path, 0o700)
        }
        for fails in [false, true] {
            func check(_ error: any Error) -> Bool {
                if fails { return error is Denied }
                guard case AuditError.outcomeUnwritten(.system)? = error as? AuditError else { return false }
                return true
            }
            rmdir(fixture.path)
            await #expect(throws: (any Error).self) { () async throws in
                do {
                    try await fixture.log().recordChange(.add, of: "a", caller: caller) { () async throws in
                        spoil()
                        if fails { throw Denied(isDenial: false) }
                    }
                } catch {
                    #expect(check(error))
                    throw error
                }
            }
            rmdir(fixture.path)
            #expect {
                try fixture.log().recordChange(.allow, of: "a", caller: caller) { () throws in
                    spoil()
                    if fails { throw Denied(isDenial: false) }
                }
            } throws: { check($0) }
        }
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
        #expect(fixture.log().durableHead == nil)
    }
}

/// What has happened to a log shows until somebody acknowledges it.
@Suite(.timeLimit(.minutes(2))) struct BrokenLogTests {
    private let fixture = LogFixture()

    /// A log with ten lines, which the vault vouches for, and as many more as given.
    private func written(newer: Int = 0) throws {
        let log = fixture.log()
        try fixture.write(log, 10)
        try fixture.sealHead(of: log)
        try fixture.write(log, newer)
    }

    private func findings() throws -> [AuditReport.Finding] { try fixture.verify().findings }

    private func recorded(_ finding: AuditReport.Finding?) -> (kind: AuditEvent.Break?, from: UInt64?, to: UInt64?)? {
        guard case .recorded(let kind, let from, let to, _) = finding else { return nil }
        return (kind, from, to)
    }

    private func acknowledge() throws {
        let log = fixture.log()
        try log.acknowledge(by: .own, reason: "made up", at: Date(timeIntervalSince1970: 1_000_000))
        try fixture.sealHead(of: log)
    }

    @Test(arguments: [0, 4, 9])
    func `lines that are gone are missed, however many are written later`(_ kept: Int) throws {
        try written()
        fixture.lines = Array(fixture.lines.prefix(kept))
        if kept == 0 { unlink(fixture.path) }
        #expect(try findings() == [.missing(from: UInt64(kept) + 1, to: 10)])
        for round in 1...3 {
            let log = fixture.log()
            try fixture.write(log, 40)
            try fixture.sealHead(of: log)
            let found = try findings()
            #expect(found.count == 1, "\(round)")
            let finding = try #require(recorded(found.first))
            #expect(finding == (.missing, UInt64(kept) + 1, 10))
        }
        // The numbers go on behind what the vault vouches for.
        #expect(try fixture.verify().last == 10 + 1 + 120)
        try acknowledge()
        let report = try fixture.verify()
        #expect(report.isWhole && report.acknowledged == 1)
        try fixture.write(fixture.log(), 3)
        #expect(try fixture.verify().isWhole)
    }

    @Test func `more lines can't be taken away before a break`() throws {
        try written()
        fixture.lines = Array(fixture.lines.prefix(6))
        try fixture.write(fixture.log(), 1)
        var lines = fixture.lines
        lines.remove(at: 5)
        fixture.lines = lines
        #expect(try findings().count == 2)
    }

    @Test func `what came after the seal can go unnoticed, and the report says how much that is`() throws {
        try written(newer: 3)
        #expect(try fixture.verify() == AuditReport(lines: 13, first: 1, last: 13, sealed: 10))
        fixture.lines = Array(fixture.lines.prefix(10))
        try fixture.write(fixture.log(), 1)
        #expect(try fixture.verify() == AuditReport(lines: 11, first: 1, last: 11, sealed: 10))
    }

    @Test func `a vouched head that can't be read is written down`() throws {
        try written()
        fixture.seal.head = .unreadable
        #expect(try findings() == [.seal])
        let log = fixture.log()
        try fixture.write(log, 2)
        try fixture.sealHead(of: log)
        #expect(try recorded(findings().first)?.kind == .seal)
        try acknowledge()
        #expect(try fixture.verify().isWhole)
    }

    /// A commit that came before the next line has sealed over it.
    @Test func `a vouched head that was lost before is written down once`() throws {
        try written()
        guard case .head(var head) = fixture.seal.head else { return }
        head.lost = true
        fixture.seal.head = .head(head)
        #expect(try findings() == [.seal])
        let log = fixture.log()
        try fixture.write(log, 2)
        #expect(log.hasNoted(lossBefore: head))
        log.distrust()
        try fixture.write(log, 1)
        #expect(fixture.lines.count == 10 + 1 + 3)
    }

    @Test func `the line that the vault vouches for is looked for in the chain`() throws {
        try written(newer: 500)
        for sequence in [1, 2, 10, 250, 509, 510] as [UInt64] {
            #expect(try fixture.log().head(ofLine: sequence)?.sequence == sequence)
        }
        #expect(try fixture.log().head(ofLine: 511) == nil)
        // Another log of the same vault is in its place.
        fixture.seal.head = .head(AuditLog.Head(sequence: 7, mac: String(repeating: "a", count: 64)))
        #expect(try findings() == [.sealedLine(7)])
        let log = fixture.log()
        try fixture.write(log, 1)
        try fixture.sealHead(of: log)
        let finding = try #require(recorded(findings().first))
        #expect(finding == (.changed, 7, 7))
    }

    /// Whoever appends without the key.
    @Test(arguments: [
        "made up", #"{"event":"token","mac":""#, "\0\0\0\0",
        #"{"event":"token","outcome":"done","pid":1,"seq":18446744073709551614,"uid":1,"mac":""#
            + String(repeating: "0", count: 64) + #""}"#,
    ])
    func `lines that others have written are told from ours`(_ line: String) throws {
        try written()
        fixture.lines += [line]
        #expect(try findings().count == 1)
        try fixture.write(fixture.log(), 1)
        #expect(try findings().count == 2)
        #expect(try recorded(findings().last)?.kind == .changed)
        #expect(try fixture.verify().last == 12)
        try acknowledge()
        #expect(try fixture.verify().isWhole)
    }

    @Test(arguments: ["{\"half", "\0\0\0", "x"])
    func `a piece of a line is mended by the next, and is no break`(_ piece: String) throws {
        try written(newer: 1)
        let whole = try String(contentsOfFile: fixture.path, encoding: .utf8)
        try (whole + piece).write(toFile: fixture.path, atomically: false, encoding: .utf8)
        #expect(try fixture.verify() == AuditReport(lines: 11, first: 1, last: 11, sealed: 10, torn: 1))
        try fixture.write(fixture.log(), 2)
        #expect(try fixture.verify() == AuditReport(lines: 14, first: 1, last: 14, sealed: 10, torn: 1))
        let repaired = try #require(AuditEvent(line: Array(fixture.lines[12].utf8)))
        #expect(repaired.event == .repaired && repaired.bytes == UInt64(piece.utf8.count))
        // What is mended can't hide another piece.
        var lines = fixture.lines
        lines[11] += "more"
        fixture.lines = lines
        #expect(try !fixture.verify().isWhole)
    }

    /// A power cut takes nothing that the vault vouches for.
    @Test func `a piece of a line that the vault vouches for is a break`() throws {
        try written()
        let whole = try String(contentsOfFile: fixture.path, encoding: .utf8)
        try whole.dropLast(30).description.write(toFile: fixture.path, atomically: false, encoding: .utf8)
        try fixture.write(fixture.log(), 1)
        let finding = try #require(recorded(findings().last))
        #expect(finding == (.missing, 10, 10))
    }

    @Test func `older files that are gone are missed, and that is carried along`() throws {
        let log = fixture.log(rotationSize: 1000)
        try fixture.write(log, 20)
        try fixture.sealHead(of: log)
        let before = try fixture.verify()
        #expect(before.isWhole && before.first == 1)
        let files = AuditFiles.all(fixture.path)
        #expect(files.count > 3)
        for file in files.prefix(2) { unlink(file) }
        let gone = try #require(try fixture.verify().first) - 1
        #expect(try findings() == [.files(from: 1, to: gone)])
        // Until the next file is begun, which goes on from what is there.
        try fixture.write(log, 10)
        let finding = try #require(recorded(findings().first))
        #expect(finding == (.files, 1, gone))
        // The line that says so goes with its file, one day.
        try fixture.write(log, 200)
        #expect(try findings() == [.earlier(1)])
        try acknowledge()
        #expect(try fixture.verify().isWhole)
        try fixture.write(log, 200)
        #expect(try fixture.verify().isWhole)
    }

    @Test func `older files that are gone can be acknowledged at once`() throws {
        let log = fixture.log(rotationSize: 1000)
        try fixture.write(log, 20)
        unlink(AuditFiles.all(fixture.path)[0])
        #expect(try !fixture.verify().isWhole)
        try acknowledge()
        #expect(try fixture.verify().isWhole)
    }

    @Test func `a log that is no file of the vault's owner is not written`() throws {
        mkfifo(fixture.path, 0o600)
        #expect(throws: AuditError.unusable(path: fixture.path, what: "is no file but a FIFO")) {
            try fixture.write(fixture.log(), 1)
        }
        #expect(throws: AuditError.self) { try fixture.verify() }
        unlink(fixture.path)
        try fixture.write(fixture.log(), 1)
        chmod(fixture.path, 0o622)
        #expect(throws: AuditError.unusable(path: fixture.path, what: "can be written by others")) {
            try fixture.write(fixture.log(), 1)
        }
        unlink(fixture.path)
        symlink(fixture.folder.file("elsewhere"), fixture.path)
        #expect(throws: AuditError.self) { try fixture.write(fixture.log(), 1) }
        #expect(!FileManager.default.fileExists(atPath: fixture.folder.file("elsewhere")))
    }

    @Test(.enabled(if: geteuid() == 0, "needs root, to give files away"))
    func `root makes the log the vault's owner's`() throws {
        func owner() throws -> Int? { try FileManager.default.attributesOfItem(atPath: fixture.path)[.ownerAccountID] as? Int }
        try fixture.write(fixture.log(owner: 4711), 1)
        #expect(try owner() == 4711)
        // An earlier version has left it to root.
        chown(fixture.path, 0, 0)
        try fixture.write(fixture.log(owner: 4711), 1)
        #expect(try owner() == 4711)
        chown(fixture.path, 4712, 4712)
        #expect(throws: AuditError.unusable(path: fixture.path, what: "is not the vault's owner's")) {
            try fixture.write(fixture.log(owner: 4711), 1)
        }
    }

    /// Whatever happens to the newest lines, the next process can write, and nothing that was vouched for goes unnoticed.
    @Test func `no damage stops the log, and none to vouched lines is missed`() throws {
        var generator = SeededGenerator(seed: 7)
        for round in 0..<400 {
            let fixture = LogFixture()
            let log = fixture.log(rotationSize: 1500)
            try fixture.write(log, Int.random(in: 1...20, using: &generator))
            try fixture.sealHead(of: log)
            let sealedLast = try #require(try fixture.verify().last)
            try fixture.write(log, Int.random(in: 0...3, using: &generator))
            let bytes = try Array(Data(contentsOf: URL(fileURLWithPath: fixture.path)))
            var damaged = bytes
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: damaged.removeLast(Int.random(in: 1...bytes.count, using: &generator))
            case 1: damaged[Int.random(in: bytes.indices, using: &generator)] ^= UInt8.random(in: 1...255, using: &generator)
            case 2:
                damaged += (0..<Int.random(in: 1...300, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
            default:
                let start = Int.random(in: bytes.indices, using: &generator)
                damaged.removeSubrange(start..<Int.random(in: start...bytes.count, using: &generator))
            }
            try Data(damaged).write(to: URL(fileURLWithPath: fixture.path))
            let line = { (bytes: [UInt8]) in bytes.split(separator: 10).compactMap { AuditLine(Array($0)) } }
            let vouched = { (bytes: [UInt8]) in line(bytes).filter { $0.members.seq <= sealedLast }.map(\.mac) }
            for _ in 0..<2 {
                let next = fixture.log(rotationSize: 1500)
                #expect(throws: Never.self, "round \(round)") { try fixture.write(next, 2) }
                try fixture.sealHead(of: next)
            }
            let isDamaged = vouched(bytes) != vouched(damaged)
            if isDamaged { #expect(try !fixture.verify().isWhole, "round \(round)") }
            try fixture.log().acknowledge(by: .own, reason: nil, at: Date())
            let report = try fixture.verify()
            #expect(report.isWhole, "round \(round): \(report.findings)")
        }
    }
}
