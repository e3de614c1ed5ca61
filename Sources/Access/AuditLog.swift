import FoundationEssentials
import Glibc
import Linux
import Sodium
import Synchronization
public import TokenEngine

/// What a log is keyed with. Both are keyed BLAKE2b with keys of their own; whoever opens the vault passes them.
public struct AuditKeys: Sendable {
    let chain: @Sendable ([UInt8]) -> [UInt8]
    let fingerprint: @Sendable ([UInt8]) -> [UInt8]

    /// - Parameters:
    ///   - chain: hashes a line and the MAC before it, to 32 bytes.
    ///   - fingerprint: hashes a token, to 8 bytes at least.
    public init(chain: @escaping @Sendable ([UInt8]) -> [UInt8], fingerprint: @escaping @Sendable ([UInt8]) -> [UInt8]) {
        (self.chain, self.fingerprint) = (chain, fingerprint)
    }
}

/// The log: one line of JSON for each event, and in each line a MAC over itself and the MAC of the line before it. Without
/// the key nobody can change, drop or insert a line without breaking the chain. That the last lines are missing shows in the
/// head of the chain, which is sealed into the vault. The chain can't protect against a holder of the vault's key.
public final class AuditLog: Sendable {
    /// Where the chain stands.
    public struct Head: Codable, Equatable, Sendable {
        public var sequence: UInt64
        public var mac: String
        public static let none = Head(sequence: 0, mac: String(repeating: "0", count: 64))
    }

    public let path: String
    private let keys: AuditKeys
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
    public init(path: String, keys: AuditKeys, rotationSize: UInt64 = 16 << 20) {
        self.path = path
        self.keys = keys
        self.rotationSize = rotationSize
    }

    /// A token's name in the log.
    public func fingerprint(_ token: [UInt8]) -> String {
        Hex.encode(Array(keys.fingerprint(token).prefix(8)).span.bytes)
    }

    // MARK: Recording

    /// Runs an action, and writes its line before anybody learns how it went. Whatever a person or a program does with
    /// credentials goes through here, except for the agent's answers, whose lines are written together.
    /// - Parameters:
    ///   - reason: what the caller says that it was for.
    ///   - token: the token that the result holds, if any.
    /// - Throws: what the action throws, after its line (`failed` or `denied`) is written; an `AuditError` if the line can't be
    ///   written, in which case the result is dropped.
    public func record<R>(
        _ kind: AuditEvent.Kind, of credential: String?, caller: Caller, reason: String? = nil,
        clock: any WallClock = SystemClock(), token: (R) -> [UInt8]? = { _ in nil }, _ body: () async throws -> R
    ) async throws -> R {
        let result: Result<R, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        var event = AuditEvent(kind, of: credential, by: caller, at: clock.now())
        event.reason = reason
        guard complete(&event, result, token) else { return try result.get() }
        try await appendInTurn(event)
        return try result.get()
    }

    /// The same for an action that waits for nothing but the disk.
    public func record<R>(
        _ kind: AuditEvent.Kind, of credential: String?, caller: Caller, reason: String? = nil,
        clock: any WallClock = SystemClock(), _ body: () throws -> R
    ) throws -> R {
        let result = Result { try body() }
        var event = AuditEvent(kind, of: credential, by: caller, at: clock.now())
        event.reason = reason
        guard complete(&event, result, { _ in nil }) else { return try result.get() }
        try append([event])
        return try result.get()
    }

    /// - Returns: false if there is nothing to log: the log itself has failed.
    private func complete<R>(_ event: inout AuditEvent, _ result: Result<R, any Error>, _ token: (R) -> [UInt8]?) -> Bool {
        switch result {
        case .success(let value): event.token = token(value).map(fingerprint)
        case .failure(let error):
            if error is AuditError { return false }
            event.outcome = AuditEvent.outcome(of: error)
        }
        return true
    }

    // MARK: Writing

    /// Seconds to wait for another process that writes.
    public static let patience = 10

    /// Writes events in one piece, at the end of the chain.
    /// - Parameter patience: seconds to wait for another process that writes.
    /// - Throws: an `AuditError`; nothing is in the log then, and what the events speak of must not happen.
    public func append(_ events: [AuditEvent], patience: Int = patience) throws(AuditError) {
        for _ in 0..<(patience * 1000) {
            if try tryAppend(events) { return }
            usleep(1000)
        }
        throw .busy(path: path)
    }

    /// The same, but the thread does something else meanwhile; and what several wait for is written in one piece.
    public func appendInTurn(_ event: AuditEvent) async throws {
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
            throw AuditError.busy(path: path)
        } catch {
            for entry in all { entry.continuation.resume(throwing: error) }
        }
    }

    /// The same, for a thread on which others wait.
    /// - Returns: false, with nothing written, if another process is writing at this moment.
    public func tryAppend(_ events: [AuditEvent]) throws(AuditError) -> Bool {
        do throws(AuditError) {
            try last.withLock { last throws(AuditError) in try append(events, &last) }
            return true
        } catch {
            guard case .busy = error else { throw error }
            return false
        }
    }

    private func append(_ events: [AuditEvent], _ last: inout Last?) throws(AuditError) {
        let file = try AuditFile(path: path)
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

    private func write(_ events: [AuditEvent], to file: borrowing AuditFile, after head: inout Head, at size: UInt64)
        throws(AuditError) -> Last
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

    func mac(_ body: [UInt8], after previous: String) -> String {
        Hex.encode(keys.chain(Array(previous.utf8) + body).span.bytes)
    }

    /// Where the chain ends: as this process remembers, or as the last line says.
    private func end(of file: borrowing AuditFile, _ last: Last?) throws(AuditError) -> (Head, UInt64) {
        let size = try file.size()
        if let last, last.size == size, last.inode == file.inode { return (last.head, size) }
        guard size > 0 else { return (.none, 0) }
        guard let line = try file.lastLine(), let parsed = ParsedLine(line) else {
            throw .torn(path: path)
        }
        return (Head(sequence: parsed.sequence, mac: parsed.mac), size)
    }

    /// Where the chain stands, for whoever seals it: as this process has written it, or, if it has written nothing yet, as
    /// the file says. Nil if there is no log, or another process is writing at this moment: a commit must not wait for it,
    /// since it may hold the only copy of a refresh token.
    public func head() -> Head? {
        if let head = last.withLock({ $0?.head }) { return head }
        guard Path.exists(path), let file = try? AuditFile(path: path) else { return nil }
        return try? end(of: file, nil).0
    }

    /// The same, as far as this process has written it: nil if it has written nothing.
    public var ownHead: Head? { last.withLock { $0?.head } }
}
