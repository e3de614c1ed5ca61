public import FoundationEssentials
import Glibc
import Sodium
import Synchronization
public import Vault

/// What happened, for the log. There is no member for a secret; a token is named by a short keyed hash.
public struct AuditEvent: Codable, Equatable, Sendable {
    public enum Kind: String, Codable, Sendable {
        case token, refresh, add, check, login, rotate, revoke, edit, rename, remove, allow, deny, unlock, lock
        case keyAdd = "key_add"
        case keyRemove = "key_remove"
        case keyReplace = "key_replace"
        /// The first line of a file that goes on where another ended.
        case rotated
    }

    public var time: Date
    public var event: Kind
    public var credential: String?
    /// `done`, or why not in one word.
    public var outcome: String
    public var uid: UInt32
    public var pid: Int32
    /// The caller's program, where the kernel lets us see it.
    public var exe: String?
    public var token: String?
    public var reason: String?
    /// In the first line of a file: the last MAC of the file before it.
    public var previous: String?

    public init(time: Date, event: Kind, credential: String?, outcome: String, uid: UInt32, pid: Int32, exe: String?) {
        self.time = time
        self.event = event
        self.credential = credential
        self.outcome = outcome
        self.uid = uid
        self.pid = pid
        self.exe = exe
    }
}

/// The log beside the vault: one line of JSON for each event, and in each line a MAC over itself and the MAC of the line
/// before it (keyed BLAKE2b). Who has no key can't change, drop or insert a line without breaking the chain; that the last
/// lines are missing shows in the head of the chain, which is sealed into the vault with every commit.
public final class AuditLog: Sendable {
    /// Where the chain stands.
    public struct Head: Codable, Equatable, Sendable {
        public var sequence: UInt64
        public var mac: String
        public static let none = Head(sequence: 0, mac: String(repeating: "0", count: 64))
    }

    public let path: String
    private let vault: UnlockedVault
    private let rotationSize: UInt64
    /// What was written last by this process: true as long as the file has not grown since.
    private struct Last {
        let head: Head
        let size: UInt64
        let inode: UInt64
    }

    /// Held by whoever writes in this process.
    private let last = Mutex<Last?>(nil)

    private let waiting = Mutex<[(event: AuditEvent, continuation: CheckedContinuation<Void, any Error>)]>([])

    /// How many files are kept besides the current one.
    public static let keptFiles = 9

    /// - Parameter rotationSize: the size in bytes from which a new file is begun.
    public init(vault: UnlockedVault, path: String, rotationSize: UInt64 = 16 << 20) {
        self.vault = vault
        self.path = path
        self.rotationSize = rotationSize
        // The head goes into the vault with every commit.
        vault.sealWithEveryCommit(.auditHead) { [weak self, weak vault] in
            guard let self, let vault, let head = known() else { return nil }
            // Another process may have got further.
            let sealed = (try? Self.sealedHead(in: vault))?.sequence ?? 0
            return head.sequence > sealed ? Self.record(head) : nil
        }
    }

    /// A token's name in the log.
    public func fingerprint(_ token: [UInt8]) -> String {
        Hex.encode(Array(vault.hash(token, for: .tokenFingerprint).prefix(8)).span.bytes)
    }

    // MARK: Writing

    /// Seconds to wait for another process that writes.
    public static let patience = 10

    /// Writes events in one piece, at the end of the chain.
    /// - Parameter patience: seconds to wait for another process that writes.
    /// - Throws: `VaultError.logBusy`, `.diskFull` or `.system`; nothing is in the log then, and what they speak of must not
    ///   happen.
    public func append(_ events: [AuditEvent], patience: Int = patience) throws(VaultError) {
        for _ in 0..<(patience * 1000) {
            if try tryAppend(events) { return }
            usleep(1000)
        }
        throw .logBusy(path: path)
    }

    /// The same, but the thread does something else meanwhile; and what several wait for is written in one piece.
    func appendInTurn(_ event: AuditEvent) async throws {
        try await withCheckedThrowingContinuation { continuation in
            let isFirst = waiting.withLock { waiting in
                waiting.append((event, continuation))
                return waiting.count == 1
            }
            if isFirst { Task { await appendWaiting() } }
        }
    }

    private func appendWaiting() async {
        let all = waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        do {
            for _ in 0..<(Self.patience * 1000) {
                if try tryAppend(all.map(\.event)) { return all.forEach { $0.continuation.resume() } }
                try await Task.sleep(for: .milliseconds(1))
            }
            throw VaultError.logBusy(path: path)
        } catch {
            for entry in all { entry.continuation.resume(throwing: error) }
        }
    }

    /// The same, for a thread that others wait for.
    /// - Returns: false, with nothing written, if another process is writing at this moment.
    func tryAppend(_ events: [AuditEvent]) throws(VaultError) -> Bool {
        do throws(VaultError) {
            try last.withLock { last throws(VaultError) in try append(events, &last) }
            return true
        } catch {
            guard case .logBusy = error else { throw error }
            return false
        }
    }

    private func append(_ events: [AuditEvent], _ last: inout Last?) throws(VaultError) {
        let file = try LogFile(path: path)
        var (head, size) = try end(of: file, last)
        if size >= rotationSize {
            try file.putAway(keeping: Self.keptFiles)
            // It may be another process that begins the new one.
            return try append(events, &last)
        }
        var events = events
        if size == 0, let line = try file.lastLineBefore(), let before = ParsedLine(line) {
            head = Head(sequence: before.sequence, mac: before.mac)
            var first = AuditEvent(
                time: events[0].time, event: .rotated, credential: nil, outcome: "done", uid: getuid(), pid: getpid(), exe: nil)
            first.previous = head.mac
            events.insert(first, at: 0)
        }
        last = try write(events, to: file, after: &head, at: size)
    }

    private func write(_ events: [AuditEvent], to file: borrowing LogFile, after head: inout Head, at size: UInt64)
        throws(VaultError) -> Last
    {
        var bytes: [UInt8] = []
        for event in events { bytes += line(event, after: &head) }
        try file.append(bytes, at: size)
        return Last(head: head, size: size + UInt64(bytes.count), inode: file.inode)
    }

    private func line(_ event: AuditEvent, after head: inout Head) -> [UInt8] {
        head.sequence += 1
        var line = event.json(sequence: head.sequence)
        head.mac = mac(line, after: head.mac)
        // The MAC is the last member, so that what it covers is easy to tell.
        line.removeLast()
        line += #","mac":"\#(head.mac)"}"#.utf8
        line.append(UInt8(ascii: "\n"))
        return line
    }

    private func mac(_ body: [UInt8], after previous: String) -> String {
        Hex.encode(vault.hash(Array(previous.utf8) + body, for: .auditChain).span.bytes)
    }

    /// Where the chain ends: as this process remembers, or as the last line says.
    private func end(of file: borrowing LogFile, _ last: Last?) throws(VaultError) -> (Head, UInt64) {
        let size = try file.size()
        if let last, last.size == size, last.inode == file.inode { return (last.head, size) }
        guard size > 0 else { return (.none, 0) }
        guard let line = try file.lastLine(), let parsed = ParsedLine(line) else {
            throw .damaged(.log, reason: "ends in the middle of a line; claviger log --verify says more")
        }
        return (Head(sequence: parsed.sequence, mac: parsed.mac), size)
    }

    /// As far as this process knows: where it has written nothing yet, as far as the file says. A commit must not wait for
    /// somebody who writes: it may hold the only copy of a refresh token.
    private func known() -> Head? {
        if let head = last.withLock({ $0?.head }) { return head }
        guard access(path, F_OK) == 0, let file = try? LogFile(path: path) else { return nil }
        return try? end(of: file, nil).0
    }

    /// Seals the head into the vault if it has moved since that was done last.
    public func seal() throws {
        let sealed = try Self.sealedHead(in: vault)?.sequence ?? 0
        guard let head = last.withLock({ $0?.head }), head.sequence > sealed, let record = Self.record(head) else { return }
        try vault.update { $0.replace(only: .auditHead, with: record) }
    }

    private static func record(_ head: Head) -> Record? {
        guard let bytes = try? JSONEncoder().encode(head) else { return nil }
        return try? Record(description: Array(bytes), secrets: [:])
    }

    static func sealedHead(in vault: UnlockedVault) throws -> Head? {
        guard let record = try vault.record(only: .auditHead) else { return nil }
        return try? JSONDecoder().decode(Head.self, from: Data(record.description))
    }

    // MARK: Checking

    public enum Flaw: Error, Equatable, Sendable {
        /// The line of this number in this file is not what was written, or one before it is missing.
        case brokenChain(file: String, line: Int)
        /// The chain was longer than it is now when it was sealed into the vault.
        case truncated(has: UInt64, sealed: UInt64)
    }

    /// Reads all files, the oldest first, and checks every line.
    /// - Returns: how many lines there are, and how many of them the sealed head vouches for.
    /// - Throws: `Flaw`, or what the vault throws.
    public func verify() throws -> (lines: Int, sealed: UInt64) {
        // The head is read first: what is written meanwhile is behind it.
        let sealed = try Self.sealedHead(in: vault) ?? .none
        var head: Head?
        var lines = 0
        var vouched = sealed.sequence == 0
        for file in AuditFiles.all(path) {
            for (number, line) in try AuditFiles.lines(file).enumerated() {
                guard let parsed = ParsedLine(line) else { throw Flaw.brokenChain(file: file, line: number + 1) }
                // The oldest file that is kept begins where one ended that is not kept any more.
                let before = head ?? Head(sequence: parsed.sequence - 1, mac: parsed.previous ?? Head.none.mac)
                guard parsed.sequence == before.sequence + 1, mac(parsed.body, after: before.mac) == parsed.mac else {
                    throw Flaw.brokenChain(file: file, line: number + 1)
                }
                head = Head(sequence: parsed.sequence, mac: parsed.mac)
                if head == sealed { vouched = true }
                lines += 1
            }
        }
        guard vouched else { throw Flaw.truncated(has: head?.sequence ?? 0, sealed: sealed.sequence) }
        return (lines, sealed.sequence)
    }
}

/// A line as it was read.
private struct ParsedLine {
    /// What the MAC covers.
    let body: [UInt8]
    let sequence: UInt64
    let mac: String
    let previous: String?

    init?(_ line: [UInt8]) {
        let marker = Array(#","mac":""#.utf8)
        let tail = marker.count + 64 + 2
        guard line.count > tail, line.suffix(2) == Array("\"}".utf8)[...] else { return nil }
        let start = line.count - tail
        guard line[start..<(start + marker.count)] == marker[...] else { return nil }
        body = Array(line[..<start]) + [UInt8(ascii: "}")]
        mac = String(decoding: line[(start + marker.count)..<(line.count - 2)], as: UTF8.self)
        struct Numbers: Decodable {
            var seq: UInt64
            var previous: String?
        }
        guard let numbers = try? JSONDecoder().decode(Numbers.self, from: Data(body)), numbers.seq > 0 else { return nil }
        (sequence, previous) = (numbers.seq, numbers.previous)
    }
}

/// The files of a log, for whoever may read them: without the vault's key.
public enum AuditFiles {
    /// The oldest first.
    public static func all(_ path: String) -> [String] {
        ((1...AuditLog.keptFiles).reversed().map { "\(path).\($0)" } + [path]).filter { access($0, F_OK) == 0 }
    }

    /// - Throws: `VaultError.system`.
    public static func lines(_ path: String) throws(VaultError) -> [[UInt8]] {
        let bytes: Data
        do {
            bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw .system(operation: "read", path: path, errno: EIO)
        }
        return bytes.split(separator: UInt8(ascii: "\n")).map { Array($0) }
    }

}

extension AuditEvent {
    /// Nil for a line that is none.
    public init?(line: [UInt8]) {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        guard let event = try? decoder.decode(AuditEvent.self, from: Data(line)) else { return nil }
        self = event
    }
}
