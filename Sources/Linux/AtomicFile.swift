import Glibc
import Synchronization

/// A new file beside a path, which takes the path's place in one step: whoever reads, and whenever power fails, there is
/// the old content or the new one, whole.
///
/// Its name is the path, a suffix and 16 random hexadecimal digits. It goes away with this value unless it took the place.
public final class AtomicFile: Sendable {
    public static let suffix = ".new-"
    private static let digits = 16

    /// Whose place it takes.
    public let path: String
    private let file: File
    private let reserved = Atomic<UInt64>(0)
    private let hasReplaced = Atomic<Bool>(false)

    /// Makes an empty file.
    /// - Parameter permissions: 0600 is what a secret needs; the umask takes away from them.
    public init(beside path: String, suffix: String = suffix, permissions: UInt32 = 0o600) throws(FileError) {
        self.path = path
        while true {
            let file = try File.create(Self.freshName(beside: path, suffix: suffix), permissions: permissions)
            // The lock tells those who clean up that the file is somebody's. If one of them was faster, make another. On a
            // file system without locks nobody cleans up.
            let isLocked = (try? file.tryLock(byte: 0)) ?? true
            if isLocked, Path.identity(of: file.path) == (try file.status().identity) {
                self.file = file
                return
            }
        }
    }

    /// Puts a new file with these bytes in the place of what is at a path.
    /// - Parameter owner: nil for this process's.
    public static func replace(
        _ path: String, with bytes: [UInt8], owner: (uid: UInt32, gid: UInt32)? = nil
    ) throws(FileError) {
        // Whoever may write in a folder on the way could else lead this to another.
        let (folder, pinned) = try Path.pin(folder: Path.folder(of: path))
        defer { withExtendedLifetime(folder) {} }
        let place = pinned + "/" + Path.name(of: path)
        // What a process left that was killed between the two steps holds a secret.
        removeAbandoned(beside: place)
        let new = try AtomicFile(beside: place)
        if let owner { try new.give(to: owner.uid, owner.gid) }
        try new.write(bytes)
        try new.finish()
        try new.place()
    }

    deinit {
        if !hasReplaced.load(ordering: .relaxed) { Path.remove(file.path) }
    }

    /// A name as those of new files are, that no file has.
    public static func freshName(beside path: String, suffix: String = suffix) -> String {
        let text = String(UInt64.random(in: .min ... .max), radix: 16)
        return path + suffix + String(repeating: "0", count: digits - text.count) + text
    }

    /// Whether it can still be written and take the path's place: it hasn't done so, and nobody has removed it.
    public var isUsable: Bool {
        guard !hasReplaced.load(ordering: .relaxed), let identity = try? file.status().identity else { return false }
        return Path.identity(of: file.path) == identity
    }

    /// Takes the disk's blocks for `count` bytes, so that writing as many can't fail for want of room.
    public func reserve(_ count: UInt64) throws(FileError) {
        try file.reserve(count)
        reserved.store(count, ordering: .relaxed)
    }

    public func write(_ bytes: [UInt8]) throws(FileError) {
        try file.write(bytes)
    }

    /// As `File.append`.
    public func append(_ range: Range<UInt64>, of source: File) throws(FileError) -> Bool {
        try file.append(range, of: source)
    }

    public func give(to owner: UInt32, _ group: UInt32) throws(FileError) {
        try file.give(to: owner, group)
    }

    /// Begins again at the first byte, after an attempt that failed. What was reserved stays reserved.
    public func startOver() throws(FileError) {
        let reserved = reserved.load(ordering: .relaxed)
        // Takes what a longer attempt or its file system has given back; else it costs nothing.
        if reserved > 0 { try file.reserve(reserved) }
        try file.rewind()
    }

    /// Ends the file behind what was written last, and waits until it is on the disk.
    public func finish() throws(FileError) {
        let end = file.position
        if try file.status().size > end {
            try file.truncate(to: end)
            // Cutting gives the blocks behind the end back, and the next attempt may need them.
            try? file.reserve(reserved.load(ordering: .relaxed))
        }
        try file.sync()
    }

    /// Takes the path's place, which should follow `finish`: else a crash may leave the file empty.
    public func place() throws(FileError) {
        try Path.rename(file.path, to: path)
        hasReplaced.store(true, ordering: .relaxed)
        // Blocks reserved behind the end are nobody's now. Failing to give them back does no harm.
        if reserved.load(ordering: .relaxed) > 0 { try? file.truncate(to: file.position) }
    }

    /// Takes the path's place only if there is nothing yet, and waits until it is on the disk.
    /// - Throws: with `isTaken`, if there is. After any error nothing has changed.
    public func placeNew() throws(FileError) {
        try Path.renameNew(file.path, to: path)
        hasReplaced.store(true, ordering: .relaxed)
        do throws(FileError) {
            try Path.syncFolder(Path.folder(of: path))
        } catch {
            Path.remove(path)
            throw error
        }
    }

    /// The same as `place`, and waits until it is on the disk.
    /// - Throws: with `operation` `replace`, nothing has changed. Any other error comes after the replacement: the new
    ///   content is there, but may not survive a crash.
    public func replace() throws(FileError) {
        try place()
        try Path.syncFolder(Path.folder(of: path))
    }

    /// Removes the new files of this path that a process left which died before they took its place.
    public static func removeAbandoned(beside path: String, suffix: String = suffix) {
        let prefix = Path.name(of: path) + suffix
        let folder = Path.folder(of: path)
        for name in Path.names(inFolder: folder) where isNew(name, prefix) {
            // One that is in use is locked.
            guard let file = try? File.openExisting(folder + "/" + name), (try? file.tryLock(byte: 0)) == true else { continue }
            Path.remove(file.path)
        }
    }

    private static func isNew(_ name: String, _ prefix: String) -> Bool {
        guard name.hasPrefix(prefix) else { return false }
        let rest = name.utf8.dropFirst(prefix.utf8.count)
        return rest.count == digits && rest.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }
}
