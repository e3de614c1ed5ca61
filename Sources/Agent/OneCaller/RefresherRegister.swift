import Glibc
public import Linux

/// The refreshers of this user that are at work. Each holds a locked file in a folder beside the agent's socket, named by its
/// process; a file whose lock is free is nobody's, and whoever finds it removes it. Another file there, the stamp, is replaced
/// by `claviger lock`: a refresher that has begun before hands out no token any more.
///
/// Where there is no such folder, or it can't be written, nothing is registered: a refresh that is due is more important.
public struct RefresherRegister: Sendable {
    private let folder: String

    /// - Parameter folder: where the agent of this user has its socket.
    public init(beside folder: String) { self.folder = folder + "/refreshers" }

    /// A process that finishes what a command has begun.
    public struct Refresher: Sendable, Equatable {
        public let pid: Int32
        /// The vault's absolute path.
        public let vault: String

        fileprivate init(pid: Int32, vault: String) { (self.pid, self.vault) = (pid, vault) }

        fileprivate init?(_ bytes: [UInt8]) {
            let parts = String(decoding: bytes, as: UTF8.self).split(separator: "\n", maxSplits: 1)
            guard parts.count == 2, let pid = Int32(parts[0]) else { return nil }
            self.init(pid: pid, vault: String(parts[1]))
        }

        fileprivate var bytes: [UInt8] { Array("\(pid)\n\(vault)".utf8) }
    }

    // MARK: A refresher's side

    /// This process's place in the register, for as long as this value is kept.
    final class Entry: Sendable {
        private let register: RefresherRegister
        private let file: File
        private let stamp: [UInt8]

        fileprivate init(_ register: RefresherRegister, _ file: File) {
            // The stamp is read after the file is there: whoever replaces it, and does not find the file then, did so before.
            (self.register, self.file, stamp) = (register, file, register.stamp())
        }

        deinit { Path.remove(file.path) }

        /// Whether tokens may still be handed out: nobody has replaced the stamp.
        var mayHandOut: Bool { register.stamp() == stamp }
    }

    /// - Throws: `FileError` if this process can't be registered.
    func enter(vault: String) throws(FileError) -> Entry {
        try makeFolder()
        // Takes away what those left who were killed.
        _ = atWork()
        var attempt = 0
        while true {
            // In a container that shares the folder, another process may have the same number.
            let path = folder + "/\(getpid())" + (attempt == 0 ? "" : "-\(attempt)")
            let file = try File.openLock(path)
            guard try file.tryLock() else {
                attempt += 1
                continue
            }
            // Somebody may have removed it between the two steps, as nobody's.
            guard Path.identity(of: path) == (try file.status().identity) else { continue }
            try file.truncate(to: 0)
            try file.write(Refresher(pid: getpid(), vault: vault).bytes)
            return Entry(self, file)
        }
    }

    // MARK: The side of whoever locks

    /// Has no token handed out by the refreshers that are at work now.
    /// - Throws: `FileError`.
    public func endHandingOut() throws(FileError) {
        // Where the folder can't be made, nobody has registered.
        do { try makeFolder() } catch { return }
        let new = try AtomicFile(beside: stampPath)
        try new.write(Array(String(UInt64.random(in: .min ... .max), radix: 16).utf8))
        try new.place()
    }

    /// Those that are at work, in the order of their numbers.
    public func atWork() -> [Refresher] {
        guard isOurs else { return [] }
        return Path.names(inFolder: folder).filter { $0.utf8.first.map { (48...57).contains($0) } ?? false }
            .compactMap(refresher).sorted { $0.pid < $1.pid }
    }

    /// - Returns: nil if the file is nobody's; then it is removed.
    private func refresher(_ name: String) -> Refresher? {
        guard let file = try? File.open(folder + "/" + name, followsLinks: false) else { return nil }
        if (try? file.tryLock()) == true {
            if Path.identity(of: file.path) == (try? file.status().identity) { Path.remove(file.path) }
            return nil
        }
        let known = (try? file.read(8192, at: 0)).flatMap(Refresher.init)
        // It is being written at this moment.
        return known ?? Int32(name.prefix { $0 != "-" }).map { Refresher(pid: $0, vault: "") }
    }

    // MARK: The files

    private var stampPath: String { folder + "/locked" }

    private func stamp() -> [UInt8] {
        guard isOurs, let file = try? File.open(stampPath, followsLinks: false) else { return [] }
        return (try? file.read(64, at: 0)) ?? []
    }

    private func makeFolder() throws(FileError) {
        try Path.makeFolders(folder)
        guard isOurs else { throw FileError(operation: "use", path: folder, code: EPERM) }
    }

    /// Whether the folder is this user's and nobody else can write there: the socket may lie where others can.
    private var isOurs: Bool {
        guard let status = try? File.open(folder, followsLinks: false).status() else { return false }
        return status.kind == .folder && status.owner == geteuid() && status.permissions & 0o022 == 0
    }
}
