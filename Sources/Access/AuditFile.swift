import FoundationEssentials
import Glibc
import Linux

/// One file of the log, locked against other writers for as long as it is held.
struct AuditFile: ~Copyable {
    private let file: File
    let inode: UInt64
    private var path: String { file.path }

    /// Opens the current file, or makes it, and takes its lock.
    /// - Throws: `AuditError.busy` if somebody else has it; `.system`.
    init(path: String) throws(AuditError) {
        while true {
            let file = try AuditError.onDisk(File.openToAppend(path))
            guard try AuditError.onDisk(file.tryLock()) else { throw .busy(path: path) }
            let mine = try AuditError.onDisk(file.status()).identity
            // Another may have begun a new file while this one was opened.
            guard Path.identity(of: path) == mine else { continue }
            (self.file, inode) = (file, mine.inode)
            return
        }
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

    /// The last line, without its end; nil if there is none, or it has no end.
    func lastLine() throws(AuditError) -> [UInt8]? { try Self.lastLine(file) }

    /// That of the file before this one; nil if there is no such file.
    func lastLineBefore() throws(AuditError) -> [UInt8]? {
        guard let before = try? File.open(path + ".1", followsLinks: false) else { return nil }
        return try Self.lastLine(before)
    }

    private static func lastLine(_ file: File) throws(AuditError) -> [UInt8]? {
        let size = try AuditError.onDisk(file.status()).size
        // No line is nearly as long.
        let start = size > 65_536 ? size - 65_536 : 0
        let bytes = try AuditError.onDisk(file.read(Int(size - start), at: start))
        guard bytes.count == Int(size - start), bytes.last == UInt8(ascii: "\n") else { return nil }
        return bytes.split(separator: UInt8(ascii: "\n")).last.map { Array($0) }
    }

    /// Puts this file behind the others; the next that is opened is a new one.
    consuming func putAway(keeping kept: Int) throws(AuditError) {
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

extension AuditError {
    /// The log's word for what a system call refused.
    fileprivate init(_ error: FileError) {
        self =
            error.isFull
            ? .diskFull(path: error.path) : .system(operation: error.operation, path: error.path, errno: error.code)
    }

    /// Runs one piece of work on files; its error becomes the log's.
    fileprivate static func onDisk<R>(_ body: @autoclosure () throws(FileError) -> R) throws(AuditError) -> R {
        do throws(FileError) {
            return try body()
        } catch {
            throw AuditError(error)
        }
    }
}
