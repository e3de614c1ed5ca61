import CLinux
import Glibc

/// A program to start, with exactly the descriptors, the environment and the session that are said here. No signal is
/// blocked in it, and each has its usual effect, whatever this process does with its signals and was given of them.
public struct ChildProcess: Sendable {
    /// What one of the child's descriptors is.
    public enum Stream: Sendable {
        /// The same as this process has under this number.
        case inherited
        /// `/dev/null`.
        case null
        case file(File)
    }

    /// A path, or a name to look for in `$PATH`.
    public var program: String
    public var arguments: [String]
    /// What the program is told that its name is; nil for `program`.
    public var name: String?
    /// Nil for this process's environment.
    public var environment: [String: String]?
    /// The child's descriptors from 0 on.
    public var streams: [Stream] = [.inherited, .inherited, .inherited]
    /// Whether the child also has those of this process's further descriptors that stay open at exec(2).
    public var inheritsFurtherFiles = false
    /// Whether the child gets a session of its own: no terminal, and no signals from one.
    public var startsSession = false
    /// Where the child starts; nil for this process's folder.
    public var folder: String?

    public init(_ program: String, _ arguments: [String] = [], environment: [String: String]? = nil) {
        self.program = program
        self.arguments = arguments
        self.environment = environment
    }

    /// A child that runs, or has ended and was not waited for yet.
    public struct Running: Sendable {
        public let pid: Int32

        /// Waits for the end.
        /// - Returns: the exit status, or 128 and the number of the signal that ended it.
        public func wait() -> Int32 {
            var status: Int32 = 0
            while unsafe waitpid(pid, &status, 0) == -1 {
                // Nobody knows how a child ended that the kernel was told not to keep: that is no success.
                guard errno == EINTR else { return 255 }
            }
            return Self.code(of: status)
        }

        static func code(of status: Int32) -> Int32 {
            status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
        }
    }

    /// Whether SIGCHLD is ignored: then nobody can wait for children, who leave no status behind (waitpid(2)).
    static var ignoresChildren: Bool {
        var action = sigaction()
        unsafe sigaction(SIGCHLD, nil, &action)
        return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
    }

    /// Starts the program as a child of this process.
    /// - Throws: with `operation` `run`, also if the program can't be executed.
    @discardableResult
    public func start() throws(FileError) -> Running {
        var pid: pid_t = 0
        let code = unsafe try withDescription { unsafe claviger_spawn(&$0, &pid) }
        guard code == 0 else { throw FileError(operation: "run", path: program, code: code) }
        return Running(pid: pid)
    }

    /// Starts the program so that it is nobody's child, and nobody has to wait for it.
    ///
    /// Whether it could be executed isn't known to this process: a program that says so itself, on a pipe, is. Here
    /// `program` is a path.
    /// - Throws: with `operation` `run`.
    public func startDetached() throws(FileError) {
        let code = unsafe try withDescription { unsafe claviger_spawn_orphan(&$0) == 0 ? 0 : errno }
        guard code == 0 else { throw FileError(operation: "run", path: program, code: code) }
    }

    private func withDescription(_ body: (inout claviger_child) -> Int32) throws(FileError) -> Int32 {
        let (numbers, files) = try descriptors()
        let variables = environment.map { $0.map { "\($0.key)=\($0.value)" } }
        let code = unsafe CStrings.with([name ?? program] + arguments) { argv in
            unsafe CStrings.with(variables ?? []) { envp in
                unsafe program.withCString { path in
                    unsafe numbers.withUnsafeBufferPointer { numbers in
                        var child = unsafe claviger_child(
                            path: path, argv: argv, envp: variables == nil ? claviger_environment() : envp,
                            descriptors: numbers.baseAddress, count: Int32(numbers.count),
                            closes_others: inheritsFurtherFiles ? 0 : 1, starts_session: startsSession ? 1 : 0, folder: nil)
                        guard let folder else { return unsafe body(&child) }
                        return unsafe folder.withCString { folder in
                            unsafe child.folder = unsafe folder
                            return unsafe body(&child)
                        }
                    }
                }
            }
        }
        withExtendedLifetime(files) {}
        return code
    }

    /// For each of the child's descriptors, the one that is put there, or -1; with the files that they belong to.
    private func descriptors() throws(FileError) -> ([Int32], [File]) {
        var files: [File] = []
        var numbers: [Int32] = []
        for stream in streams {
            switch stream {
            case .inherited:
                numbers.append(-1)
                continue
            case .null: files.append(try File.null())
            case .file(let file): files.append(file)
            }
            // One that stands where another is put would be gone before its turn.
            let file = files[files.count - 1]
            if file.descriptor < streams.count { files.append(try file.duplicate(above: Int32(streams.count))) }
            numbers.append(files[files.count - 1].descriptor)
        }
        return (numbers, files)
    }
}

extension File {
    /// The same open file under another number.
    fileprivate func duplicate(above number: Int32) throws(FileError) -> File {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, number)
        guard copy >= 0 else { throw FileError("open", path) }
        return File(owning: copy, path: path)
    }
}

/// Strings as C programs get them: an array of pointers with a null at the end.
enum CStrings {
    static func with<R>(_ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R) -> R {
        var pointers = unsafe strings.map { unsafe strdup($0) } + [nil]
        defer { unsafe pointers.forEach { unsafe free($0) } }
        return unsafe pointers.withUnsafeMutableBufferPointer { unsafe body($0.baseAddress!) }
    }
}
