import Glibc
import Linux

/// A vault in one file: `header || u64 length || sealed root || sealed records`.
struct FileStore: RecordStore {
    /// Where the file really is: symlinks are followed once, and stay.
    let path: String

    init(path: String) {
        self.path = Path.resolve(path)
    }

    private var lockPath: String { path + ".lock" }
    private var previousPath: String { path + ".previous" }

    // MARK: Reading

    var hasPrevious: Bool { Path.exists(previousPath) }

    func snapshot() throws(VaultError) -> any VaultSnapshot {
        try FileSnapshot(existing { () throws(FileError) in try File.open(path) })
    }

    func isCurrent(_ snapshot: any VaultSnapshot) throws(VaultError) -> Bool {
        guard let snapshot = snapshot as? FileSnapshot else { return false }
        // The snapshot holds its file open, so its inode can't have been given to another.
        return try existing { () throws(FileError) in try Path.status(of: path).identity } == snapshot.identity
    }

    private func existing<R>(_ body: () throws(FileError) -> R) throws(VaultError) -> R {
        do throws(FileError) {
            return try body()
        } catch {
            guard error.isMissing else { throw VaultError(error) }
            throw Path.exists(path) ? .danglingLink(path: path) : .noVault(path: path)
        }
    }

    // MARK: Committing

    /// Writes beside, synchronises, renames over, synchronises the folder: whenever power fails, the path names either
    /// the old state or the new one, whole.
    func commit(
        _ commit: VaultCommit, replacing previous: (any VaultSnapshot)?, in room: ReservedRoom?
    ) throws(VaultError) {
        let previous = previous as? FileSnapshot
        // The commit lock is held: what is not locked is nobody's.
        AtomicFile.removeAbandoned(beside: path)
        do throws(VaultError) {
            let new = try newFile(in: room)
            try write(commit, to: new, from: previous)
            try VaultError.onDisk(new.finish())
            try checkStillCurrent(previous)
            if commit.forgetsPrevious {
                // Before the new state is there: one that a removed key opens must not be left behind in silence.
                try VaultError.onDisk(Path.forget(previousPath))
            } else if let previous {
                try keep(previous)
            }
            try VaultError.onDisk(new.place())
        } catch .diskFull {
            throw .diskFull(path: path)
        }
        do throws(FileError) {
            try Path.syncFolder(Path.folder(of: path))
        } catch {
            throw .notDurable(path: path, errno: error.code)
        }
    }

    /// The reserved file, at its beginning, or another one if it has become the vault, or somebody has removed it.
    private func newFile(in room: ReservedRoom?) throws(VaultError) -> AtomicFile {
        guard let file = room?.file, file.isUsable else { return try VaultError.onDisk(AtomicFile(beside: path)) }
        try VaultError.onDisk(file.startOver())
        return file
    }

    private func write(_ commit: VaultCommit, to file: AtomicFile, from previous: FileSnapshot?) throws(VaultError) {
        var head = commit.header
        head.append(UInt64(commit.sealedRoot.count), width: 8)
        try VaultError.onDisk(file.write(head))
        try VaultError.onDisk(file.write(commit.sealedRoot))
        var run: Range<UInt64>?
        func flush() throws(VaultError) {
            if let range = run, let previous, try !VaultError.onDisk(file.append(range, of: previous.file)) {
                throw .damaged(.records, reason: "end too early")
            }
            run = nil
        }
        for record in commit.records {
            switch record {
            case .kept(let entry):
                let start = (previous?.recordsStart ?? 0) + entry.offset
                let range = start..<(start + UInt64(entry.length))
                if let open = run, open.upperBound == range.lowerBound {
                    run = open.lowerBound..<range.upperBound
                } else {
                    try flush()
                    run = range
                }
            case .added(_, let sealed):
                try flush()
                try VaultError.onDisk(file.write(sealed))
            }
        }
        try flush()
        if let owner = previous?.owner, owner != (geteuid(), getegid()) {
            try VaultError.onDisk(file.give(to: owner.0, owner.1))
        }
    }

    private func checkStillCurrent(_ previous: FileSnapshot?) throws(VaultError) {
        guard let previous else {
            if Path.exists(path) { throw .vaultExists(path: path) }
            return
        }
        guard try isCurrent(previous) else { throw .conflict }
    }

    /// `<vault>.previous` becomes another name of the current file, so that one step back is always at hand.
    private func keep(_ previous: FileSnapshot) throws(VaultError) {
        // After a commit that failed behind this step it is that already, and rename(2) would leave both names.
        if Path.identity(of: previousPath) == previous.identity { return }
        let name = AtomicFile.freshName(beside: path)
        guard Path.link(path, to: name) else { return try copy(previous) }
        do throws(FileError) {
            try Path.rename(name, to: previousPath)
        } catch {
            Path.remove(name)
            throw VaultError(error)
        }
    }

    /// For a file system without hard links.
    private func copy(_ previous: FileSnapshot) throws(VaultError) {
        AtomicFile.removeAbandoned(beside: previousPath)
        let copy = try VaultError.onDisk(AtomicFile(beside: previousPath))
        if let (user, group) = previous.owner, geteuid() == 0 { try VaultError.onDisk(copy.give(to: user, group)) }
        guard try VaultError.onDisk(copy.append(0..<previous.size, of: previous.file)) else {
            throw .damaged(.records, reason: "end too early")
        }
        try VaultError.onDisk(copy.finish())
        try VaultError.onDisk(copy.replace())
    }

    func reserve() throws(VaultError) -> ReservedRoom {
        let size = try existing { () throws(FileError) in try Path.status(of: path).size }
        do throws(VaultError) {
            let file = try VaultError.onDisk(AtomicFile(beside: path))
            try VaultError.onDisk(file.reserve(size + 256 << 10))
            return ReservedRoom(file)
        } catch .diskFull {
            throw .diskFull(path: path)
        }
    }

    // MARK: Locks

    /// A lock file that root has made would keep the vault's owner out.
    private func giveToOwner(_ file: File) throws(VaultError) {
        guard geteuid() == 0, let vault = try? Path.status(of: path), try VaultError.onDisk(file.status()).owner != vault.owner
        else { return }
        try VaultError.onDisk(file.give(to: vault.owner, vault.group))
    }

    func tryLock(_ place: LockPlace) throws(VaultError) -> HeldLock? {
        let file = try VaultError.onDisk(File.openLock(lockPath))
        try giveToOwner(file)
        return try VaultError.onDisk(file.tryLock(byte: place.byte)) ? HeldLock(file) : nil
    }
}

/// An open vault file. It stays readable when another takes its place.
final class FileSnapshot: VaultSnapshot {
    let file: File
    let header: [UInt8]
    let sealedRoot: [UInt8]
    let recordsStart: UInt64
    let size: UInt64
    let identity: FileStatus.Identity
    let owner: (UInt32, UInt32)?

    var recordsLength: UInt64 { size - recordsStart }

    init(_ file: File) throws(VaultError) {
        let status = try VaultError.onDisk(file.status())
        guard status.kind == .file else { throw .notARegularFile(path: file.path, kind: status.kind.rawValue) }
        guard status.permissions & 0o077 == 0 else {
            throw .permissionsTooWide(path: file.path, mode: status.permissions)
        }
        let prefix = try VaultError.onDisk(file.read(Header.fixedLength, at: 0))
        guard prefix.count == Header.fixedLength else { throw .damaged(.header, reason: "ends too early") }
        let headerLength = try Header.length(fromPrefix: prefix)
        header = try VaultError.onDisk(file.read(headerLength, at: 0))
        let lengthField = try VaultError.onDisk(file.read(8, at: UInt64(headerLength)))
        guard header.count == headerLength else { throw .damaged(.header, reason: "ends too early") }
        // The root's place follows from the header's length: what it says is not believed before.
        try Header.checkChecksum(header)
        guard lengthField.count == 8 else { throw .damaged(.root, reason: "ends too early") }
        var cursor = Cursor(0..<8, part: .root)
        let rootLength = try cursor.u64(in: lengthField.rawSpan)
        let rootStart = UInt64(headerLength) + 8
        guard rootLength <= Limits.root else {
            throw .damaged(.root, reason: "has a length over the limit of \(Limits.root)")
        }
        guard status.size >= rootStart, rootLength <= status.size - rootStart else {
            throw .damaged(.root, reason: "ends too early")
        }
        sealedRoot = try VaultError.onDisk(file.read(Int(rootLength), at: rootStart))
        recordsStart = rootStart + rootLength
        (size, identity, owner) = (status.size, status.identity, (status.owner, status.group))
        self.file = file
    }

    func makeDurable() throws(VaultError) {
        try VaultError.onDisk(Path.syncFolder(Path.folder(of: file.path)))
    }

    func record(_ entry: RootEntry) throws(VaultError) -> [UInt8] {
        let bytes = try VaultError.onDisk(file.read(entry.length, at: recordsStart + entry.offset))
        guard bytes.count == entry.length else { throw .damaged(.records, reason: "ends too early") }
        return bytes
    }
}
