import Linux
import Vault

/// One file of the log, locked against other writers for as long as it is held.
struct LogFile: ~Copyable {
    private let file: File
    let inode: UInt64
    private var path: String { file.path }

    /// Opens the current file, or makes it, and takes its lock.
    /// - Throws: `VaultError.logBusy` if somebody else has it; `.system`.
    init(path: String) throws(VaultError) {
        while true {
            let file = try VaultError.onDisk(File.openToAppend(path))
            guard try VaultError.onDisk(file.tryLock()) else { throw .logBusy(path: path) }
            let mine = try VaultError.onDisk(file.status()).identity
            // Another may have begun a new file while this one was opened.
            guard Path.identity(of: path) == mine else { continue }
            (self.file, inode) = (file, mine.inode)
            return
        }
    }

    func size() throws(VaultError) -> UInt64 { try VaultError.onDisk(file.status()).size }

    /// Writes all or nothing.
    /// - Parameter size: the file's size now.
    func append(_ bytes: [UInt8], at size: UInt64) throws(VaultError) {
        do throws(FileError) {
            try file.write(bytes)
        } catch {
            try? file.truncate(to: size)
            throw VaultError(error)
        }
    }

    /// The last line, without its end; nil if there is none, or it has no end.
    func lastLine() throws(VaultError) -> [UInt8]? { try Self.lastLine(file) }

    /// That of the file before this one; nil if there is no such file.
    func lastLineBefore() throws(VaultError) -> [UInt8]? {
        guard let before = try? File.open(path + ".1", followsLinks: false) else { return nil }
        return try Self.lastLine(before)
    }

    private static func lastLine(_ file: File) throws(VaultError) -> [UInt8]? {
        let size = try VaultError.onDisk(file.status()).size
        // No line is nearly as long.
        let start = size > 65_536 ? size - 65_536 : 0
        let bytes = try VaultError.onDisk(file.read(Int(size - start), at: start))
        guard bytes.count == Int(size - start), bytes.last == UInt8(ascii: "\n") else { return nil }
        return bytes.split(separator: UInt8(ascii: "\n")).last.map { Array($0) }
    }

    /// Puts this file behind the others; the next that is opened is a new one.
    consuming func putAway(keeping kept: Int) throws(VaultError) {
        for number in stride(from: kept - 1, through: 1, by: -1) {
            try? Path.rename("\(path).\(number)", to: "\(path).\(number + 1)")
        }
        try VaultError.onDisk(Path.rename(path, to: "\(path).1"))
    }
}
