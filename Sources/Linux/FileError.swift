import Glibc

/// A system call on a file or a program that failed.
public struct FileError: Error, Equatable, Sendable {
    /// What was tried, in words that go before the path: `open`, `create the folder`.
    public let operation: String
    public let path: String
    /// The error number (errno(3)).
    public let code: Int32

    public init(operation: String, path: String, code: Int32) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    /// The last system call's failure.
    init(_ operation: String, _ path: String) {
        self.init(operation: operation, path: path, code: errno)
    }

    /// Whether there is no room: the disk is full, or the user's share of it.
    public var isFull: Bool { code == ENOSPC || code == EDQUOT }

    /// Whether there is something of this name already.
    public var isTaken: Bool { code == EEXIST }

    /// Whether this process, or the machine, has as many open files as it may have.
    public var isForWantOfDescriptors: Bool { code == EMFILE || code == ENFILE }

    /// Whether there is nothing of this name.
    public var isMissing: Bool { code == ENOENT }
}
