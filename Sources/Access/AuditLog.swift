public import FoundationEssentials
import Glibc
import Linux
import Sodium
import Synchronization
public import TokenEngine

/// What a log has of its vault. The keys are for keyed BLAKE2b, each for one use.
public struct AuditKeys: Sendable {
    let chain: @Sendable ([UInt8]) -> [UInt8]
    let fingerprint: @Sendable ([UInt8]) -> [UInt8]
    let sealed: @Sendable () -> SealedHead?
    let owner: @Sendable () -> (user: UInt32, group: UInt32)?

    /// - Parameters:
    ///   - chain: hashes a line and the MAC before it, to 32 bytes.
    ///   - fingerprint: hashes a token, to 8 bytes at least.
    ///   - sealed: what the vault vouches for; nil if that can't be told now.
    ///   - owner: to whom the log's files belong: the vault's owner; nil for anybody.
    public init(
        chain: @escaping @Sendable ([UInt8]) -> [UInt8], fingerprint: @escaping @Sendable ([UInt8]) -> [UInt8],
        sealed: @escaping @Sendable () -> SealedHead?, owner: @escaping @Sendable () -> (user: UInt32, group: UInt32)?
    ) {
        (self.chain, self.fingerprint, self.sealed, self.owner) = (chain, fingerprint, sealed, owner)
    }
}

/// The log: one line of JSON for each event, and in each line a MAC over itself and the MAC of the line before it. Without
/// the key nobody can change, drop or insert a line without breaking the chain. The vault vouches for a line of it, the head,
/// which is sealed with each commit; whoever writes to the log for the first time looks for that line in it, and writes down
/// what is wrong. So a break shows until somebody acknowledges it. The chain can't protect against a holder of the key.
///
/// What a head is sealed for is on the disk before: no power cut takes it. Lines behind it can get lost in one.
public final class AuditLog: Sendable {
    /// Where the chain stands.
    public struct Head: Codable, Equatable, Sendable {
        public var sequence: UInt64
        public var mac: String
        /// True if the head that was sealed before could not be read.
        public var lost: Bool?
        public static let none = Head(sequence: 0, mac: String(repeating: "0", count: 64))

        public init(sequence: UInt64, mac: String, lost: Bool? = nil) {
            (self.sequence, self.mac, self.lost) = (sequence, mac, lost)
        }
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
    /// What of it is on the disk. Apart from `last`, for commits must not wait for the log.
    private let durable = Mutex<Head?>(nil)
    /// The sealed head of which this process has written that the one before it was lost.
    let notedLoss = Mutex<Head?>(nil)

    private let waiting = Mutex<[(event: AuditEvent, continuation: CheckedContinuation<Void, any Error>)]>([])

    /// How many files are kept besides the current one.
    public static let keptFiles = 9
    /// The size in bytes from which a new file is begun.
    public static let rotationSize = 16 << 20

    public init(path: String, keys: AuditKeys, rotationSize: UInt64 = UInt64(rotationSize)) {
        self.path = path
        self.keys = keys
        self.rotationSize = rotationSize
    }

    /// A token's name in the log.
    public func fingerprint(_ token: [UInt8]) -> String {
        unsafe Hex.encode(Array(keys.fingerprint(token).prefix(8)).span.bytes)
    }

    func sealed() -> SealedHead? { keys.sealed() }

    // MARK: Recording

    /// Runs an action, and writes its line before anybody learns how it went: for a token that is handed out. The agent's
    /// answers, whose lines are written together, go another way.
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

    /// Runs an action that changes something: its intent is in the log, and on the disk, before it begins, and its outcome
    /// before anybody learns of it.
    /// - Throws: what the action throws; an `AuditError` if the intent can't be written, and then the action is not begun;
    ///   `outcomeUnwritten` if it has succeeded and that can't be written.
    public func recordChange<R>(
        _ kind: AuditEvent.Kind, of credential: String?, caller: Caller, reason: String? = nil,
        clock: any WallClock = SystemClock(), _ body: () async throws -> R
    ) async throws -> R {
        var event = AuditEvent(kind, of: credential, by: caller, outcome: AuditEvent.begun, at: clock.now())
        event.reason = reason
        try await appendInTurn(event)
        let result: Result<R, any Error>
        do {
            try synchronize()
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
        event.concludes(result, at: clock.now())
        do { try await appendInTurn(event) } catch { throw Self.unwritten(error, result) }
        return try result.get()
    }

    /// The same for an action that waits for nothing but the disk.
    public func recordChange<R>(
        _ kind: AuditEvent.Kind, of credential: String?, caller: Caller, reason: String? = nil,
        clock: any WallClock = SystemClock(), _ body: () throws -> R
    ) throws -> R {
        var event = AuditEvent(kind, of: credential, by: caller, outcome: AuditEvent.begun, at: clock.now())
        event.reason = reason
        try append([event])
        let result = Result {
            try synchronize()
            return try body()
        }
        event.concludes(result, at: clock.now())
        do { try append([event]) } catch { throw Self.unwritten(error, result) }
        return try result.get()
    }

    /// What to say where an outcome can't be written: if nothing was done, why.
    private static func unwritten<R>(_ error: any Error, _ result: Result<R, any Error>) -> any Error {
        switch (result, error) {
        case (.failure(let failure), _): failure
        case (.success, let error as AuditError): AuditError.outcomeUnwritten(error)
        case (.success, _): error
        }
    }

    /// - Returns: false if there is nothing to log: the log itself has failed.
    private func complete<R>(_ event: inout AuditEvent, _ result: Result<R, any Error>, _ token: (R) -> [UInt8]?) -> Bool {
        switch result {
        case .success(let value): event.token = token(value).map(fingerprint)
        case .failure(let error):
            if error is AuditError { return false }
            event.fail(error)
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
        let file = try AuditFile(path: path, owner: keys.owner())
        var end = try end(of: file, last)
        let isFull = end.size >= rotationSize
        if isFull, let missing = missingFiles() { end.notices.append(missing) }
        if !isFull || !end.notices.isEmpty { last = try write(isFull ? [] : events, to: file, at: &end) }
        guard isFull else { return }
        try file.putAway(keeping: Self.keptFiles)
        // It may be another process that begins the new one.
        try append(events, &last)
    }

    private func write(_ events: [AuditEvent], to file: borrowing AuditFile, at end: inout AuditEnd) throws(AuditError) -> Last {
        // A piece of a line that stands there becomes one that is none.
        var bytes: [UInt8] = end.isTorn ? [UInt8(ascii: "\n")] : []
        for event in end.notices + events { bytes += line(event, after: &end.head) }
        try file.append(bytes, at: end.size)
        return Last(head: end.head, size: end.size + UInt64(bytes.count), inode: file.inode)
    }

    /// Where the chain ends: as this process remembers, or as the file says.
    private func end(of file: borrowing AuditFile, _ last: Last?) throws(AuditError) -> AuditEnd {
        let size = try file.size()
        if let last, last.size == size, last.inode == file.inode { return AuditEnd(head: last.head, size: size) }
        return try examineEnd(of: file)
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
        unsafe Hex.encode(keys.chain(Array(previous.utf8) + body).span.bytes)
    }

    // MARK: Sealing

    /// Makes sure that what this process has written is on the disk, so that the vault can vouch for it.
    public func synchronize() throws(AuditError) {
        guard let written = last.withLock({ $0 }) else { return }
        // What is in a file that was put away is on the disk.
        if Path.identity(of: path)?.inode == written.inode, let file = try? File.open(path, followsLinks: false) {
            try AuditError.onDisk(file.syncData())
        }
        durable.withLock { $0 = written.head }
    }

    /// What the vault can vouch for: what this process has written and knows to be on the disk. A commit takes it without
    /// waiting: it may hold the only copy of a refresh token.
    public var durableHead: Head? { durable.withLock { $0 } }

    /// Whether the log says that the head before this one was lost.
    public func hasNoted(lossBefore head: Head) -> Bool { notedLoss.withLock { $0 } == head }

    /// Has the next line preceded by a look at the log and at what the vault says of it.
    public func distrust() { last.withLock { $0 = nil } }

    /// Writes that somebody has looked into all breaks so far.
    /// - Throws: `AuditError`.
    public func acknowledge(by caller: Caller, reason: String?, at now: Date) throws(AuditError) {
        // What is wrong now has its line before this one.
        distrust()
        var event = AuditEvent(.acknowledged, by: caller, at: now)
        (event.reason, event.first) = (reason, oldest)
        try append([event])
        try synchronize()
    }
}

extension AuditEvent {
    fileprivate mutating func concludes<R>(_ result: Result<R, any Error>, at now: Date) {
        time = now
        switch result {
        case .success: outcome = "done"
        case .failure(let error): fail(error)
        }
    }
}
