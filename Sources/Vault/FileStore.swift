import Glibc
import Sodium

/// A vault in one file: `header || u64 length || sealed root || sealed records`.
struct FileStore: VaultStore {
    /// Where the file really is: symlinks are followed once, and stay.
    let path: String

    init(path: String) {
        self.path = File.resolve(path)
    }

    private var folder: String { File.folder(of: path) }
    private var lockPath: String { path + ".lock" }
    private var previousPath: String { path + ".previous" }
    private var temporaryPrefix: String { path + ".new-" }

    // MARK: Reading

    func snapshot() throws(VaultError) -> any VaultSnapshot {
        try FileSnapshot(File.open(path))
    }

    func isCurrent(_ snapshot: any VaultSnapshot) throws(VaultError) -> Bool {
        guard let snapshot = snapshot as? FileSnapshot else { return false }
        // The snapshot holds its file open, so its inode can't have been given to another.
        return try File.identity(of: path) == snapshot.identity
    }

    // MARK: Committing

    /// Writes beside, synchronises, renames over, synchronises the folder: whenever power fails, the path names either
    /// the old state or the new one, whole.
    func commit(
        _ commit: VaultCommit, replacing previous: (any VaultSnapshot)?, in room: ReservedRoom?
    ) throws(VaultError) {
        let previous = previous as? FileSnapshot
        removeLeftovers()
        let temporary = room?.file.path ?? newTemporary()
        do throws(VaultError) {
            let file: File
            if let room { file = room.file } else { file = try File.create(temporary) }
            try write(commit, to: file, from: previous)
            try file.endHere()
            try checkStillCurrent(previous)
            try file.synchronise()
            if let previous, !commit.forgetsPrevious { try keep(previous) }
            try File.rename(temporary, to: path)
        } catch {
            File.remove(temporary)
            if case .diskFull = error { throw .diskFull(path: path) }
            throw error
        }
        if commit.forgetsPrevious { File.remove(previousPath) }
        try File.synchroniseFolder(folder)
    }

    private func write(_ commit: VaultCommit, to file: File, from previous: FileSnapshot?) throws(VaultError) {
        var head = commit.header
        head.append(UInt64(commit.sealedRoot.count), width: 8)
        try file.write(head)
        try file.write(commit.sealedRoot)
        var run: Range<UInt64>?
        func flush() throws(VaultError) {
            if let range = run, let previous { try file.append(range, of: previous.file) }
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
                try file.write(sealed)
            }
        }
        try flush()
        if let previous, previous.owner != (geteuid(), getegid()) { try file.give(to: previous.owner.0, previous.owner.1) }
    }

    private func checkStillCurrent(_ previous: FileSnapshot?) throws(VaultError) {
        guard let previous else {
            if File.exists(path) { throw .vaultExists(path: path) }
            return
        }
        guard try isCurrent(previous) else { throw .conflict }
    }

    /// `<vault>.previous` becomes another name of the current file, so that one step back is always at hand.
    private func keep(_ previous: FileSnapshot) throws(VaultError) {
        let temporary = newTemporary()
        if !File.link(path, to: temporary) {
            // A file system without hard links: a copy.
            let copy = try File.create(temporary)
            try copy.append(0..<previous.size, of: previous.file)
            try copy.synchronise()
        }
        do throws(VaultError) {
            try File.rename(temporary, to: previousPath)
        } catch {
            File.remove(temporary)
            throw error
        }
    }

    func reserve() throws(VaultError) -> ReservedRoom {
        let file = try File.create(newTemporary())
        let room = ReservedRoom(file)
        _ = try file.tryLock(byte: 0)
        do throws(VaultError) {
            try file.allocate(File.open(path).status().size + 256 << 10)
        } catch .diskFull {
            throw .diskFull(path: path)
        }
        return room
    }

    private func newTemporary() -> String {
        temporaryPrefix + Hex.encode(Random.bytes(8).span.bytes)
    }

    /// What a process that died in the middle of a commit left behind. The commit lock is held, so it is nobody's,
    /// unless it is reserved room, which is locked.
    private func removeLeftovers() {
        let prefix = File.name(of: temporaryPrefix)
        for name in File.names(inFolder: folder) where name.hasPrefix(prefix) {
            let path = folder + "/" + name
            guard let file = try? File.openLock(path), (try? file.tryLock(byte: 0)) == true else { continue }
            File.remove(path)
        }
    }

    // MARK: Locks

    func tryLock(_ place: LockPlace) throws(VaultError) -> HeldLock? {
        let file = try File.openLock(lockPath)
        return try file.tryLock(byte: place.byte) ? HeldLock(file) : nil
    }
}

/// An open vault file. It stays readable when another takes its place.
final class FileSnapshot: VaultSnapshot {
    let file: File
    let header: [UInt8]
    let sealedRoot: [UInt8]
    let recordsStart: UInt64
    let size: UInt64
    let identity: File.Identity
    let owner: (uid_t, gid_t)

    var recordsLength: UInt64 { size - recordsStart }

    init(_ file: File) throws(VaultError) {
        let status = try file.status()
        guard status.kind == S_IFREG else {
            throw .notARegularFile(path: file.path, kind: File.kindName(status.kind))
        }
        guard status.permissions & 0o077 == 0 else {
            throw .permissionsTooWide(path: file.path, mode: status.permissions)
        }
        let prefix = try file.read(Header.fixedLength, at: 0)
        guard prefix.count == Header.fixedLength else { throw .damaged(.header, reason: "ends too early") }
        let headerLength = try Header.length(fromPrefix: prefix)
        header = try file.read(headerLength, at: 0)
        let lengthField = try file.read(8, at: UInt64(headerLength))
        guard header.count == headerLength else { throw .damaged(.header, reason: "ends too early") }
        guard lengthField.count == 8 else { throw .damaged(.root, reason: "ends too early") }
        var cursor = Cursor(0..<8, part: .root)
        let rootLength = try cursor.u64(in: lengthField.span.bytes)
        let rootStart = UInt64(headerLength) + 8
        guard rootLength <= Limits.root, rootLength <= status.size - rootStart else {
            throw .damaged(.root, reason: "ends too early")
        }
        sealedRoot = try file.read(Int(rootLength), at: rootStart)
        recordsStart = rootStart + rootLength
        (size, identity, owner) = (status.size, status.identity, (status.owner, status.group))
        self.file = file
    }

    func record(_ entry: RootEntry) throws(VaultError) -> [UInt8] {
        let bytes = try file.read(entry.length, at: recordsStart + entry.offset)
        guard bytes.count == entry.length else { throw .damaged(.records, reason: "end too early") }
        return bytes
    }
}
