import FoundationEssentials
import Glibc

/// One file of the log, locked against other writers for as long as it is held.
struct AuditFile: ~Copyable {
    private let descriptor: Int32
    private let path: String
    let inode: UInt64

    /// Opens the current file, or makes it, and takes its lock.
    /// - Throws: `AuditError.busy` if somebody else has it; `.system`.
    init(path: String) throws(AuditError) {
        while true {
            let descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw Self.failure("open", path) }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                let error = errno == EWOULDBLOCK ? .busy(path: path) : Self.failure("lock", path)
                close(descriptor)
                throw error
            }
            // Another may have begun a new file while this one was waited for.
            var mine = stat()
            var current = stat()
            guard fstat(descriptor, &mine) == 0, stat(path, &current) == 0, mine.st_ino == current.st_ino else {
                close(descriptor)
                continue
            }
            (self.descriptor, self.path, inode) = (descriptor, path, UInt64(mine.st_ino))
            return
        }
    }

    deinit { close(descriptor) }

    func size() throws(AuditError) -> UInt64 {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw Self.failure("examine", path) }
        return UInt64(info.st_size)
    }

    /// Writes all or nothing.
    func append(_ bytes: [UInt8], at size: UInt64) throws(AuditError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + written, $0.count - written) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                let error = Self.failure("write", path)
                ftruncate(descriptor, off_t(size))
                throw error
            }
            written += count
        }
    }

    /// The last line, without its end; nil if there is none, or it has no end.
    func lastLine() throws(AuditError) -> [UInt8]? { try Self.lastLine(descriptor, try size()) }

    /// That of the file before this one; nil if there is no such file.
    func lastLineBefore() throws(AuditError) -> [UInt8]? {
        let before = open(path + ".1", O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard before >= 0 else { return nil }
        defer { close(before) }
        var info = stat()
        guard fstat(before, &info) == 0 else { throw Self.failure("examine", path + ".1") }
        return try Self.lastLine(before, UInt64(info.st_size))
    }

    private static func lastLine(_ descriptor: Int32, _ size: UInt64) throws(AuditError) -> [UInt8]? {
        // No line is nearly as long.
        let start = size > 65_536 ? size - 65_536 : 0
        var bytes = [UInt8](repeating: 0, count: Int(size - start))
        let count = pread(descriptor, &bytes, bytes.count, off_t(start))
        guard count == bytes.count, bytes.last == UInt8(ascii: "\n") else { return nil }
        return bytes.split(separator: UInt8(ascii: "\n")).last.map { Array($0) }
    }

    /// Puts this file behind the others; the next that is opened is a new one.
    consuming func putAway(keeping kept: Int) throws(AuditError) {
        for number in stride(from: kept - 1, through: 1, by: -1) { rename("\(path).\(number)", "\(path).\(number + 1)") }
        guard rename(path, "\(path).1") == 0 else { throw Self.failure("rename", path) }
    }

    private static func failure(_ operation: String, _ path: String) -> AuditError {
        errno == ENOSPC || errno == EDQUOT ? .diskFull(path: path) : .system(operation: operation, path: path, errno: errno)
    }
}

/// The files of a log, for whoever may read them: without the vault's key.
public enum AuditFiles {
    /// The oldest first.
    public static func all(_ path: String) -> [String] {
        ((1...AuditLog.keptFiles).reversed().map { "\(path).\($0)" } + [path]).filter { access($0, F_OK) == 0 }
    }

    /// - Throws: `AuditError.system`.
    public static func lines(_ path: String) throws(AuditError) -> [[UInt8]] {
        let bytes: Data
        do {
            bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw .system(operation: "read", path: path, errno: EIO)
        }
        return bytes.split(separator: UInt8(ascii: "\n")).map { Array($0) }
    }
}
