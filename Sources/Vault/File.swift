import CLinux
import Glibc

/// The system calls of this module, and the only place where they are made. A descriptor closes with its owner.
final class File: Sendable {
    let path: String
    private let descriptor: Int32

    private init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit {
        close(descriptor)
    }

    struct Status {
        let size: UInt64
        let permissions: UInt32
        let kind: mode_t
        let owner: uid_t
        let group: gid_t
        let identity: Identity
    }

    /// Which file this is, as long as somebody keeps it open.
    struct Identity: Equatable {
        let device: dev_t
        let inode: ino_t
    }

    /// Opens for reading. Never waits for a FIFO's writer.
    static func open(_ path: String) throws(VaultError) -> File {
        try openDescriptor(path, O_RDONLY | O_NONBLOCK, operation: "open")
    }

    /// Makes a file that was not there, for its owner alone.
    static func create(_ path: String) throws(VaultError) -> File {
        try openDescriptor(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, operation: "create")
    }

    /// Opens a lock file, making it where there is none.
    static func openLock(_ path: String) throws(VaultError) -> File {
        try openDescriptor(path, O_RDWR | O_CREAT | O_NOFOLLOW, operation: "open the lock file")
    }

    private static func openDescriptor(_ path: String, _ flags: Int32, operation: String) throws(VaultError) -> File {
        let descriptor = Glibc.open(path, flags | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure(operation, path) }
        return File(descriptor: descriptor, path: path)
    }

    func status() throws(VaultError) -> Status {
        var info = stat()
        guard unsafe fstat(descriptor, &info) == 0 else { throw Self.failure("examine", path) }
        return Status(
            size: UInt64(info.st_size), permissions: info.st_mode & 0o7777, kind: info.st_mode & S_IFMT,
            owner: info.st_uid, group: info.st_gid,
            identity: Identity(device: info.st_dev, inode: info.st_ino))
    }

    /// Which file a path names now, without opening it.
    static func identity(of path: String) throws(VaultError) -> Identity {
        var info = stat()
        guard unsafe stat(path, &info) == 0 else { throw failure("open", path) }
        return Identity(device: info.st_dev, inode: info.st_ino)
    }

    /// `count` bytes at `offset`, or fewer if the file ends before.
    func read(_ count: Int, at offset: UInt64) throws(VaultError) -> [UInt8] {
        var code: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = unsafe pread(descriptor, buffer.baseAddress! + filled, count - filled, off_t(offset) + off_t(filled))
                if got < 0 && errno == EINTR { continue }
                if got < 0 { code = errno }
                if got <= 0 { break }
                filled += got
            }
        }
        guard code == 0 else { throw .system(operation: "read", path: path, errno: code) }
        return bytes
    }

    func write(_ bytes: [UInt8]) throws(VaultError) {
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw Self.failure("write", path) }
            written += count
        }
    }

    /// Appends a range of another file, inside the kernel where it can.
    func append(_ range: Range<UInt64>, of source: File) throws(VaultError) {
        var offset = Int64(range.lowerBound)
        while UInt64(offset) < range.upperBound {
            let left = range.upperBound - UInt64(offset)
            let count = unsafe claviger_copy_file_range(source.descriptor, &offset, descriptor, left)
            if count > 0 || (count < 0 && errno == EINTR) { continue }
            if count < 0 && [ENOSPC, EDQUOT, EIO].contains(errno) { throw Self.failure("write", path) }
            // Another file system, or a kernel without it: through memory.
            let bytes = try source.read(Int(min(left, 1 << 20)), at: UInt64(offset))
            guard !bytes.isEmpty else { throw .damaged(.records, reason: "end too early") }
            try write(bytes)
            offset += Int64(bytes.count)
        }
    }

    /// Takes the disk's blocks for the first `count` bytes, so that writing them can't fail for want of room.
    func allocate(_ count: UInt64) throws(VaultError) {
        let code = posix_fallocate(descriptor, 0, off_t(count))
        if code == ENOSPC || code == EDQUOT { throw .diskFull(path: path) }
        // Where a file system has no such call, writing will tell.
        guard code == 0 || code == EOPNOTSUPP || code == EINVAL else {
            throw .system(operation: "take room for", path: path, errno: code)
        }
    }

    /// Cuts the file behind what was written last.
    func endHere() throws(VaultError) {
        guard ftruncate(descriptor, lseek(descriptor, 0, SEEK_CUR)) == 0 else { throw Self.failure("write", path) }
    }

    func synchronise() throws(VaultError) {
        guard fsync(descriptor) == 0 else { throw Self.failure("synchronise", path) }
    }

    func give(to owner: uid_t, _ group: gid_t) throws(VaultError) {
        guard fchown(descriptor, owner, group) == 0 else { throw Self.failure("keep the owner of", path) }
    }

    /// Tries to take the kernel's lock on one byte; an open-file-description lock ends when its owner's file closes,
    /// however the process dies.
    /// - Returns: false while another open file holds it.
    func tryLock(byte: Int64) throws(VaultError) -> Bool {
        var request = flock()
        request.l_type = Int16(F_WRLCK)
        request.l_whence = Int16(SEEK_SET)
        request.l_start = off_t(byte)
        request.l_len = 1
        if unsafe fcntl(descriptor, 37 /* F_OFD_SETLK */, &request) == 0 { return true }
        if errno == EAGAIN || errno == EACCES || errno == EINTR { return false }
        throw Self.failure("lock", path)
    }

    // MARK: Paths

    static func rename(_ old: String, to new: String) throws(VaultError) {
        guard Glibc.rename(old, new) == 0 else { throw failure("replace", new) }
    }

    static func link(_ old: String, to new: String) -> Bool {
        Glibc.link(old, new) == 0
    }

    static func remove(_ path: String) {
        unlink(path)
    }

    static func exists(_ path: String) -> Bool {
        var info = stat()
        return unsafe lstat(path, &info) == 0
    }

    /// The path with its symlinks followed, or the path itself where there is nothing yet.
    static func resolve(_ path: String) -> String {
        guard let real = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(real) }
        return unsafe String(cString: real)
    }

    static func makeFolders(_ path: String) throws(VaultError) {
        guard !path.isEmpty, path != "/", !exists(path) else { return }
        try makeFolders(folder(of: path))
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure("create the folder", path) }
    }

    static func synchroniseFolder(_ path: String) throws(VaultError) {
        try openDescriptor(path, O_RDONLY | O_DIRECTORY, operation: "open the folder").synchronise()
    }

    static func names(inFolder path: String) -> [String] {
        guard let stream = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            names.append(name)
        }
        return names
    }

    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    static func name(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }

    /// The last system call's failure, in the vault's words.
    static func failure(_ operation: String, _ path: String) -> VaultError {
        switch errno {
        case ENOENT where operation == "open": .noVault(path: path)
        case ENOSPC, EDQUOT: .diskFull(path: path)
        case let code: .system(operation: operation, path: path, errno: code)
        }
    }

    static func kindName(_ kind: mode_t) -> String {
        switch kind {
        case S_IFDIR: "folder"
        case S_IFIFO: "FIFO"
        case S_IFSOCK: "socket"
        case S_IFCHR, S_IFBLK: "device"
        default: "special file"
        }
    }
}
