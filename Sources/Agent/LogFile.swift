import Glibc
import Vault

/// One file of the log, locked against other writers for as long as it is held.
struct LogFile: ~Copyable {
    private let descriptor: Int32
    private let path: String
    let inode: UInt64

    /// Opens the current file, or makes it, and takes its lock.
    /// - Parameter waits: whether to wait for whoever holds it; else that is an error.
    init(path: String, waits: Bool = true) throws(VaultError) {
        while true {
            let descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw Self.failure("open", path) }
            while flock(descriptor, waits ? LOCK_EX : LOCK_EX | LOCK_NB) != 0 {
                guard errno != EINTR else { continue }
                close(descriptor)
                throw .lockTimeout
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

    func size() throws(VaultError) -> UInt64 {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw Self.failure("examine", path) }
        return UInt64(info.st_size)
    }

    /// Writes all or nothing.
    func append(_ bytes: [UInt8], at size: UInt64) throws(VaultError) {
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
    func lastLine() throws(VaultError) -> [UInt8]? {
        let size = try size()
        // No line is nearly as long.
        let start = size > 65_536 ? size - 65_536 : 0
        var bytes = [UInt8](repeating: 0, count: Int(size - start))
        let count = pread(descriptor, &bytes, bytes.count, off_t(start))
        guard count == bytes.count, bytes.last == UInt8(ascii: "\n") else { return nil }
        return bytes.split(separator: UInt8(ascii: "\n")).last.map { Array($0) }
    }

    /// Puts this file behind the others, and begins a new one.
    consuming func replaced(keeping kept: Int) throws(VaultError) -> LogFile {
        for number in stride(from: kept - 1, through: 1, by: -1) { rename("\(path).\(number)", "\(path).\(number + 1)") }
        guard rename(path, "\(path).1") == 0 else { throw Self.failure("rename", path) }
        return try LogFile(path: path)
    }

    private static func failure(_ operation: String, _ path: String) -> VaultError {
        errno == ENOSPC || errno == EDQUOT ? .diskFull(path: path) : .system(operation: operation, path: path, errno: errno)
    }
}
