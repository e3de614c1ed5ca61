import FoundationEssentials
import Glibc
import Linux

/// The newest file of the log, locked against other writers for as long as it is held.
struct AuditFile: ~Copyable {
    let file: File
    let inode: UInt64
    private var path: String { file.path }

    /// Opens the newest file, or makes it, and takes its lock.
    /// - Parameter owner: to whom it must belong, and is given: the vault's owner; nil for anybody.
    /// - Throws: `busy` if somebody else has the lock; `unusable`, `diskFull`, `system`.
    init(path: String, owner: (user: UInt32, group: UInt32)?) throws(AuditError) {
        while true {
            guard let file = try Self.opened(path, owner) else { continue }
            guard try AuditError.onDisk(file.tryLock()) else { throw .busy(path: path) }
            let mine = try AuditError.onDisk(file.status()).identity
            // Another may have begun a new file while this one was opened.
            guard Path.identity(of: path) == mine else { continue }
            (self.file, inode) = (file, mine.inode)
            return
        }
    }

    /// - Returns: nil if another process was faster in making it.
    private static func opened(_ path: String, _ owner: (user: UInt32, group: UInt32)?) throws(AuditError) -> File? {
        let file: File
        do throws(FileError) {
            file = try File.openToAppend(path)
        } catch {
            guard error.isMissing else { throw AuditError(error) }
            return try made(path, owner)
        }
        try check(file, owner)
        return file
    }

    /// Its name is on the disk before anything is in it that the vault could vouch for.
    private static func made(_ path: String, _ owner: (user: UInt32, group: UInt32)?) throws(AuditError) -> File? {
        do throws(FileError) {
            let file = try File.createToAppend(path)
            if let owner, owner != (geteuid(), getegid()) { try file.give(to: owner.user, owner.group) }
            try Path.syncFolder(Path.folder(of: path))
            return file
        } catch {
            guard error.isTaken else { throw AuditError(error) }
            return nil
        }
    }

    /// A FIFO or a stranger's file would take the lines, and keep none or show them to others.
    private static func check(_ file: File, _ owner: (user: UInt32, group: UInt32)?) throws(AuditError) {
        let status = try AuditError.onDisk(file.status())
        guard status.kind == .file else { throw .unusable(path: file.path, what: "is no file but a \(status.kind.rawValue)") }
        guard status.permissions & 0o022 == 0 else { throw .unusable(path: file.path, what: "can be written by others") }
        guard let owner, status.owner != owner.user else { return }
        // Root made it before it was given away.
        guard status.owner == 0, geteuid() == 0 else { throw .unusable(path: file.path, what: "is not the vault's owner's") }
        try AuditError.onDisk(file.give(to: owner.user, owner.group))
    }

    func size() throws(AuditError) -> UInt64 { try AuditError.onDisk(file.status()).size }

    /// Writes all or nothing.
    /// - Parameter size: the file's size now.
    func append(_ bytes: [UInt8], at size: UInt64) throws(AuditError) {
        do throws(FileError) {
            try file.write(bytes)
        } catch {
            try? file.truncate(to: size)
            throw AuditError(error)
        }
    }

    /// Puts this file behind the others, on the disk as it is; the next that is opened is a new one.
    consuming func putAway(keeping kept: Int) throws(AuditError) {
        try AuditError.onDisk(file.syncData())
        for number in stride(from: kept - 1, through: 1, by: -1) {
            try? Path.rename("\(path).\(number)", to: "\(path).\(number + 1)")
        }
        try AuditError.onDisk(Path.rename(path, to: "\(path).1"))
    }
}

/// The files of a log, for whoever may read them: without the vault's key.
public enum AuditFiles {
    /// The oldest first.
    public static func all(_ path: String) -> [String] {
        ((1...AuditLog.keptFiles).reversed().map { "\(path).\($0)" } + [path]).filter(Path.exists)
    }

    /// The lines of one file, without their ends; the last may be a piece that was cut off.
    /// - Throws: `AuditError.system`.
    public static func lines(_ path: String) throws(AuditError) -> [[UInt8]] {
        try pieces(path).lines
    }

    /// - Returns: the whole lines, and what stands behind the last line's end.
    static func pieces(_ path: String) throws(AuditError) -> (lines: [[UInt8]], rest: [UInt8]) {
        let file = try AuditError.onDisk(File.open(path, followsLinks: false))
        let status = try AuditError.onDisk(file.status())
        guard status.kind == .file else { throw .unusable(path: path, what: "is no file but a \(status.kind.rawValue)") }
        let bytes = try AuditError.onDisk(file.read(Int(status.size), at: 0))
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { Array($0) }
        return lines.popLast().map { (lines, $0) } ?? ([], [])
    }
}

extension AuditError {
    /// The log's word for what a system call refused.
    init(_ error: FileError) {
        self =
            error.isFull
            ? .diskFull(path: error.path) : .system(operation: error.operation, path: error.path, errno: error.code)
    }

    /// Runs one piece of work on files; its error becomes the log's.
    static func onDisk<R>(_ body: @autoclosure () throws(FileError) -> R) throws(AuditError) -> R {
        do throws(FileError) {
            return try body()
        } catch {
            throw AuditError(error)
        }
    }
}
