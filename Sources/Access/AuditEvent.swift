public import FoundationEssentials

/// One line of the log: what somebody did. There is no member for a secret; a token is named by a short keyed hash. The
/// members' names and the events' words are the log's format, and never change.
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
    /// `done`, `failed`, `denied` or `too often`.
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

    /// The outcome that an error is logged as.
    public static func outcome(of error: any Error) -> String {
        (error as? any AuditedError)?.isDenial == true ? "denied" : "failed"
    }
}

/// An error that can say that something was not allowed, which the log tells apart from what failed.
public protocol AuditedError: Error {
    var isDenial: Bool { get }
}

/// Why the log could not be written or read. What can't be logged must not happen.
public enum AuditError: Error, Equatable, Sendable {
    /// Another process has been writing the log for longer than we wait.
    case busy(path: String)
    case diskFull(path: String)
    /// The last line has no end: what wrote it was cut off.
    case torn(path: String)
    /// A system call failed; `operation` is a verb.
    case system(operation: String, path: String, errno: Int32)
}
