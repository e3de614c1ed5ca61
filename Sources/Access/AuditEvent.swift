public import FoundationEssentials

/// One line of the log: what somebody did. There is no member for a secret; a token is named by a short keyed hash. The
/// members' names and the events' words are the log's format, and never change.
public struct AuditEvent: Codable, Equatable, Sendable {
    public enum Kind: String, Codable, Sendable, CaseIterable {
        case token, refresh, add, check, login, rotate, revoke, edit, rename, remove, block, unblock, allow, deny, unlock, lock
        case keyAdd = "key_add"
        case keyRemove = "key_remove"
        case keyReplace = "key_replace"
        /// The first line of a file that goes on where another ended.
        case rotated
        /// Whoever wrote next has found that the log is not what was written.
        case broken
        /// The piece of a line before this one was cut off, as a power cut leaves it.
        case repaired
        /// Somebody has looked into all breaks before this line.
        case acknowledged
    }

    /// What a `broken` line says, as its outcome.
    public enum Break: String, Codable, Sendable, CaseIterable {
        /// Lines are gone that the vault vouches for.
        case missing = "lines missing"
        /// There are lines that nobody with the vault's key has written, or the one that the vault vouches for is another.
        case changed = "lines changed"
        /// Older files are gone that should be there.
        case files = "files missing"
        /// What the vault says of its log can't be read.
        case seal = "seal unreadable"
    }

    public var time: Date
    public var event: Kind
    public var credential: String?
    /// `begun` for the intent to change something or to send a refresh token; `done`, `failed`, `denied` or `too often` for
    /// what has come of it.
    public var outcome: String
    public var uid: UInt32
    public var pid: Int32
    /// The caller's program, where the kernel lets us see it.
    public var exe: String?
    public var token: String?
    public var reason: String?
    /// Why it was not done: the stable word of the problem.
    public var problem: String?
    /// In the first line of a file and after missing lines: the MAC that the chain goes on from.
    public var previous: String?
    /// In `rotated` and `acknowledged`: the number of the oldest line that is kept.
    public var first: UInt64?
    /// In `rotated`: how many breaks before it nobody has acknowledged.
    public var breaks: UInt64?
    /// In `broken`: the numbers of the lines it is about, where they are known.
    public var from: UInt64?
    public var to: UInt64?
    /// In `repaired`: the length of the piece before it.
    public var bytes: UInt64?

    public init(time: Date, event: Kind, credential: String?, outcome: String, uid: UInt32, pid: Int32, exe: String?) {
        self.time = time
        self.event = event
        self.credential = credential
        self.outcome = outcome
        self.uid = uid
        self.pid = pid
        self.exe = exe
    }

    public init(_ event: Kind, of credential: String? = nil, by caller: Caller, outcome: String = "done", at time: Date) {
        self.init(
            time: time, event: event, credential: credential, outcome: outcome, uid: caller.uid, pid: caller.pid,
            exe: caller.exe)
    }

    /// Reads a line of a log; nil for a line that is none.
    public init?(line: [UInt8]) {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        guard let event = try? decoder.decode(AuditEvent.self, from: Data(line)) else { return nil }
        self = event
    }

    /// About how many bytes its line has, with the chain's members.
    public var lineLength: Int { json(sequence: 0).count + 96 }

    /// The outcome of what is about to be done.
    public static let begun = "begun"
    /// The outcome of a request beyond what a user may ask.
    public static let tooOften = "too often"

    /// Says how it ended, where that is with an error.
    public mutating func fail(_ error: any Error) {
        let audited = error as? any AuditedError
        outcome = audited?.isDone == true ? "done" : audited?.isDenial == true ? "denied" : "failed"
        problem = outcome == "done" ? nil : audited?.word
    }
}

/// An error that can say that something was not allowed, which the log tells apart from what failed.
public protocol AuditedError: Error {
    var isDenial: Bool { get }
    /// What kind of problem it is, in a stable word.
    var word: String { get }
    /// Whether what was to be done is done all the same.
    var isDone: Bool { get }
}

extension AuditedError {
    public var isDenial: Bool { false }
    public var isDone: Bool { false }
}

/// Why the log could not be written or read. What can't be logged must not happen.
public enum AuditError: Error, Equatable, Sendable {
    /// Another process has been writing the log for longer than we wait.
    case busy(path: String)
    case diskFull(path: String)
    /// It is no regular file, or not the vault's owner's, or others can write it; `what` says which.
    case unusable(path: String, what: String)
    /// A system call failed; `operation` is a verb.
    case system(operation: String, path: String, errno: Int32)
    /// A change is made, and the log says that it was begun, but not how it went.
    indirect case outcomeUnwritten(AuditError)
}
