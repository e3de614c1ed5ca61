import CLinux
import Glibc

/// An open file, pipe or terminal. Its descriptor closes when the last reference to it goes, and at exec(2).
///
/// Closing reports no error: what must be on the disk is made sure of with `sync`.
public final class File: Sendable {
    public let path: String
    public let descriptor: Int32
    private let isOwned: Bool
    /// Whether reading waits for bytes. Writing always waits.
    private let waits: Bool

    /// - Parameters:
    ///   - descriptor: an open one, which is closed with this value.
    ///   - path: its name in errors.
    public convenience init(owning descriptor: Int32, path: String) {
        self.init(descriptor, path, isOwned: true)
    }

    private init(_ descriptor: Int32, _ path: String, isOwned: Bool, waits: Bool = true) {
        self.descriptor = descriptor
        self.path = path
        self.isOwned = isOwned
        self.waits = waits
    }

    deinit {
        if isOwned { close(descriptor) }
    }

    /// A descriptor that belongs to somebody else, and stays open.
    public static func borrowing(_ descriptor: Int32, path: String) -> File {
        File(descriptor, path, isOwned: false)
    }

    public static let standardInput = borrowing(STDIN_FILENO, path: "standard input")
    public static let standardOutput = borrowing(STDOUT_FILENO, path: "standard output")
    public static let standardError = borrowing(STDERR_FILENO, path: "standard error")

    // MARK: Opening

    /// Opens a file for reading. It waits neither for a FIFO's writer nor for bytes.
    /// - Parameter operation: what an error says was tried.
    public static func open(_ path: String, operation: String = "open", followsLinks: Bool = true) throws(FileError) -> File {
        try open(path, O_RDONLY | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW), operation)
    }

    /// Opens whatever bytes come from, for `readToEnd`. It waits for a FIFO's writer.
    public static func openStream(_ path: String, operation: String = "open") throws(FileError) -> File {
        try open(path, O_RDONLY | O_NOCTTY, operation)
    }

    /// Makes a file that was not there, and opens it for reading and writing.
    /// - Parameter permissions: the umask takes away from them.
    public static func create(_ path: String, permissions: UInt32 = 0o600) throws(FileError) -> File {
        try open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, "create", permissions)
    }

    /// Opens a lock file, making it where there is none, for its owner alone.
    public static func openLock(_ path: String) throws(FileError) -> File {
        try open(path, O_RDWR | O_CREAT | O_NOFOLLOW, "open the lock file")
    }

    /// Opens what is there for reading, and for writing at its end. Links are not followed; what is no file is opened without
    /// waiting for its other end.
    public static func openToAppend(_ path: String) throws(FileError) -> File {
        try open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, "open")
    }

    /// Makes a file that was not there, for its owner alone, and opens it as `openToAppend` does.
    public static func createToAppend(_ path: String) throws(FileError) -> File {
        try open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW, "create")
    }

    /// Opens what is there for reading and writing. Links are not followed.
    static func openExisting(_ path: String, operation: String = "open") throws(FileError) -> File {
        try open(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY, operation)
    }

    /// `/dev/null`, which takes everything and gives nothing.
    public static func null() throws(FileError) -> File {
        try open("/dev/null", O_RDWR, "open")
    }

    static func open(
        _ path: String, _ flags: Int32, _ operation: String, _ permissions: UInt32 = 0o600
    ) throws(FileError) -> File {
        let descriptor = uninterrupted { unsafe Glibc.open(path, flags | O_CLOEXEC, permissions) }
        guard descriptor >= 0 else { throw FileError(operation, path) }
        return File(descriptor, path, isOwned: true, waits: flags & O_NONBLOCK == 0)
    }

    /// A process, as a file that can be read from when the process has ended (pidfd_open(2)).
    public static func process(_ pid: Int32) throws(FileError) -> File {
        let descriptor = claviger_pidfd_open(pid)
        guard descriptor >= 0 else { throw FileError("watch", "process \(pid)") }
        return File(owning: descriptor, path: "process \(pid)")
    }

    /// Two connected Unix sockets, for a process and one that it starts.
    public static func socketPair() throws(FileError) -> (File, File) {
        var ends: [Int32] = [0, 0]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw FileError("make", "a socket pair") }
        return (File(owning: ends[0], path: "a socket pair"), File(owning: ends[1], path: "a socket pair"))
    }

    /// Tells the other end of a socket that nothing more comes.
    public func shutDownWriting() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    /// The two ends of a pipe. The reading end sees the end of the file when no process has the writing end any more.
    public static func pipe() throws(FileError) -> (reading: File, writing: File) {
        var ends: [Int32] = [-1, -1]
        guard unsafe claviger_pipe(&ends) == 0 else { throw FileError("make", "a pipe") }
        return (File(owning: ends[0], path: "a pipe"), File(owning: ends[1], path: "a pipe"))
    }

    /// The end of a pipe from which these bytes are read. The pipe takes all of them although nobody reads yet.
    public static func pipe(holding bytes: [UInt8]) throws(FileError) -> File {
        let (reading, writing) = try pipe()
        guard bytes.count < 1 << 16 || claviger_widen_pipe(writing.descriptor, Int32(bytes.count)) >= bytes.count else {
            throw FileError("make room in", writing.path)
        }
        try writing.write(bytes)
        return reading
    }

    /// Whether there is something to read at this moment, or its other end is gone.
    public var isReadable: Bool {
        var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&state, 1, 0) > 0
    }

    /// Stays open in the programs that this process starts or is replaced by, under the same number.
    public func keepAcrossExec() throws(FileError) {
        guard fcntl(descriptor, F_SETFD, 0) == 0 else { throw FileError("keep open", path) }
    }

    /// Closes at exec(2): for a descriptor that was inherited.
    public func closeAtExec() throws(FileError) {
        guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else { throw FileError("examine", path) }
    }

    public func status() throws(FileError) -> FileStatus {
        var info = stat()
        guard unsafe fstat(descriptor, &info) == 0 else { throw FileError("examine", path) }
        return FileStatus(info)
    }

    /// Whether this is a terminal.
    public var isTerminal: Bool { isatty(descriptor) == 1 }

    // MARK: Reading

    /// `count` bytes at `offset`, or fewer if the file ends before. The position stays.
    public func read(_ count: Int, at offset: UInt64) throws(FileError) -> [UInt8] {
        var code: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            (filled, code) = unsafe Self.fill(UnsafeMutableRawBufferPointer(buffer)) { rest, done in
                unsafe pread(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(done))
            }
        }
        guard code == 0 else { throw FileError(operation: "read", path: path, code: code) }
        return bytes
    }

    /// Reads from the position on, until the end of the file or of the array. For secrets: the bytes are in this array
    /// and nowhere else, also after an error.
    /// - Returns: how many bytes were read.
    public func readToEnd(into bytes: inout [UInt8]) throws(FileError) -> Int {
        let (filled, code) = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe Self.fill(buffer) { rest, _ in unsafe readSome(rest) }
        }
        guard code == 0 else { throw FileError(operation: "read", path: path, code: code) }
        return filled
    }

    /// read(2), which also waits where another process has made what we share with it non-blocking.
    private func readSome(_ rest: UnsafeMutableRawBufferPointer) -> Int {
        while true {
            let count = unsafe Glibc.read(descriptor, rest.baseAddress, rest.count)
            guard count < 0, errno == EAGAIN, waits else { return count }
            claviger_wait_to_read(descriptor)
        }
    }

    /// Everything from the position on.
    /// - Parameter limit: how many bytes at most; what is behind them is not read.
    public func readToEnd(limit: Int) throws(FileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = try readToEnd(into: &bytes)
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// The one loop that reads. `next` gets what is left of the buffer, and how much is filled.
    private static func fill(
        _ buffer: UnsafeMutableRawBufferPointer, _ next: (UnsafeMutableRawBufferPointer, Int) -> Int
    ) -> (filled: Int, code: Int32) {
        var filled = 0
        while filled < buffer.count {
            let count = unsafe next(UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]), filled)
            if count < 0 && errno == EINTR { continue }
            if count < 0 { return (filled, errno) }
            if count == 0 { break }
            filled += count
        }
        return (filled, 0)
    }

    // MARK: Writing

    /// Writes all bytes at the position. The one loop that writes. It waits for room, also where another process has made what
    /// we share with it non-blocking.
    public func write(_ bytes: [UInt8]) throws(FileError) {
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[written...])
                return unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
            }
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN {
                claviger_wait_to_write(descriptor)
                continue
            }
            guard count > 0 else { throw FileError("write", path) }
            written += count
        }
    }

    /// Appends a range of another file, inside the kernel where it can.
    /// - Returns: whether the other file had all of it; what there was has been appended.
    public func append(_ range: Range<UInt64>, of source: File) throws(FileError) -> Bool {
        var offset = Int64(range.lowerBound)
        while UInt64(offset) < range.upperBound {
            let left = range.upperBound - UInt64(offset)
            let count = unsafe claviger_copy_file_range(source.descriptor, &offset, descriptor, left)
            if count > 0 || (count < 0 && errno == EINTR) { continue }
            if count < 0 && [ENOSPC, EDQUOT, EIO].contains(errno) { throw FileError("write", path) }
            // Another file system, or a kernel without it: through memory.
            let bytes = try source.read(Int(min(left, 1 << 20)), at: UInt64(offset))
            if bytes.isEmpty { return false }
            try write(bytes)
            offset += Int64(bytes.count)
        }
        return true
    }

    /// Takes the disk's blocks for the first `count` bytes, so that writing them can't fail for want of room. The file
    /// stays as long as it is, unless its file system can do this in no other way than by writing zeros.
    public func reserve(_ count: UInt64) throws(FileError) {
        var code: Int32 = 0
        repeat { code = claviger_reserve(descriptor, Int64(count)) == 0 ? 0 : errno } while code == EINTR
        if code == EOPNOTSUPP || code == ENOSYS {
            repeat { code = posix_fallocate(descriptor, 0, off_t(count)) } while code == EINTR
        }
        // Where a file system has neither call, writing will tell.
        guard code == 0 || code == EOPNOTSUPP || code == EINVAL else {
            throw FileError(operation: "take room for", path: path, code: code)
        }
    }

    /// Where the next byte is written or read.
    var position: UInt64 { UInt64(max(0, lseek(descriptor, 0, SEEK_CUR))) }

    /// Goes back to the first byte.
    func rewind() throws(FileError) {
        guard lseek(descriptor, 0, SEEK_SET) == 0 else { throw FileError("write", path) }
    }

    /// Makes the file `count` bytes long. Blocks reserved behind its end are given back.
    public func truncate(to count: UInt64) throws(FileError) {
        guard uninterrupted({ ftruncate(descriptor, off_t(count)) }) == 0 else { throw FileError("write", path) }
    }

    /// Waits until everything that was written is on the disk (fsync(2)).
    public func sync() throws(FileError) {
        guard uninterrupted({ fsync(descriptor) }) == 0 else { throw FileError("synchronise", path) }
    }

    /// Waits until what was written, and the file's length, are on the disk (fdatasync(2)).
    public func syncData() throws(FileError) {
        guard uninterrupted({ fdatasync(descriptor) }) == 0 else { throw FileError("synchronise", path) }
    }

    /// Gives the file to a user and a group. A group that may do nothing with it, and can't be kept, as in a user namespace or by
    /// an owner who has left it, is left out.
    public func give(to owner: UInt32, _ group: UInt32) throws(FileError) {
        if uninterrupted({ fchown(descriptor, owner, group) }) == 0 { return }
        let error = FileError("keep the owner of", path)
        guard error.code == EPERM || error.code == EINVAL, let status = try? status(), status.owner == owner,
            status.permissions & 0o070 == 0
        else { throw error }
    }

    public func setPermissions(_ permissions: UInt32) throws(FileError) {
        guard uninterrupted({ fchmod(descriptor, permissions) }) == 0 else { throw FileError("set the permissions of", path) }
    }

    // MARK: Locking

    /// Tries to lock one byte against all other open files. The lock belongs to the open file, and ends with it however the
    /// process dies (open file description locks, fcntl(2)).
    /// - Returns: false while another open file holds it.
    public func tryLock(byte: Int64) throws(FileError) -> Bool {
        var request = flock()
        request.l_type = Int16(F_WRLCK)
        request.l_whence = Int16(SEEK_SET)
        request.l_start = off_t(byte)
        request.l_len = 1
        if uninterrupted({ unsafe fcntl(descriptor, Int32(CLAVIGER_F_OFD_SETLK), &request) }) == 0 { return true }
        if [EAGAIN, EACCES].contains(errno) { return false }
        throw FileError("lock", path)
    }

    /// Takes over a socket that this process was started with.
    /// - Returns: nil if there is no socket under this number; whatever is there stays as it is, for it is somebody else's.
    public static func inheritedSocket(_ descriptor: Int32, path: String) -> File? {
        var info = stat()
        guard unsafe fstat(descriptor, &info) == 0, FileStatus(info).kind == .socket else { return nil }
        return File(owning: descriptor, path: path)
    }

    /// Tries to lock the whole file (flock(2), which is another lock than that on its bytes).
    /// - Returns: false while another open file holds it.
    public func tryLock() throws(FileError) -> Bool {
        if uninterrupted({ flock(descriptor, LOCK_EX | LOCK_NB) }) == 0 { return true }
        if errno == EWOULDBLOCK { return false }
        throw FileError("lock", path)
    }
}

/// Makes a system call again for as long as a signal interrupts it (EINTR), as some file systems let signals do.
func uninterrupted(_ call: () -> Int32) -> Int32 {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}
