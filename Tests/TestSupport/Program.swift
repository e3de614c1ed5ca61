import CLinux
import Foundation

/// What a program did.
public struct ProgramResult: Sendable {
    public let status: Int32
    public let output: String
    public let errors: String

    public init(status: Int32, output: String, errors: String) {
        (self.status, self.output, self.errors) = (status, output, errors)
    }
}

extension ProgramResult {
    /// Whether it failed with this status, on standard error alone, in the house's form.
    public func refuses(_ status: Int32, _ words: String) -> Bool {
        self.status == status && output.isEmpty && errors.hasPrefix("claviger: error: ") && errors.contains(words)
    }
}

/// Whether something becomes true within ten seconds.
public func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
    for _ in 0..<500 {
        if try await condition() { return true }
        try await Task.sleep(for: .milliseconds(20))
    }
    return false
}

/// The programs under test, and how to run them: in a session of their own (so without a terminal), with exactly the
/// environment that is given.
public enum Program {
    /// Where this test run's programs were built.
    public static let folder: String = {
        let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let arguments = [link].compactMap { $0 } + CommandLine.arguments
        let bundle = arguments.first { $0.hasSuffix(".xctest") } ?? arguments[0]
        return URL(fileURLWithPath: bundle).deletingLastPathComponent().path
    }()

    public static var claviger: String { folder + "/claviger" }
    public static var core: String { folder + "/claviger-core" }
    public static var sandbox: String { folder + "/claviger-sandbox" }

    /// The checkout.
    public static let root: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url.path
    }()

    /// Runs a program to its end. Its streams go through files, so nothing can block.
    public static func run(
        _ path: String, _ arguments: [String], environment: [String: String] = [:], input: String? = nil
    ) async -> ProgramResult {
        let folder = TemporaryFolder()
        let inputPath = input.map { folder.write("in", $0) } ?? "/dev/null"
        let child = spawn(
            path, arguments, environment: environment, input: inputPath, output: folder.file("out"), errors: folder.file("err"))
        let status = await wait(child)
        return ProgramResult(
            status: status, output: String(decoding: bytes(ofFile: folder.file("out")), as: UTF8.self),
            errors: String(decoding: bytes(ofFile: folder.file("err")), as: UTF8.self))
    }

    /// Starts a program in a session of its own.
    public static func spawn(
        _ path: String, _ arguments: [String], environment: [String: String], input: String, output: String, errors: String
    ) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // The first terminal that a session leader opens becomes its controlling terminal.
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDWR, 0)
        if input == "/dev/null" || !input.hasPrefix("/dev/") {
            posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        }
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        // Servers run in this process, too, and their connections are not the child's to hold open.
        _ = claviger_spawn_streams_only(&actions)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The thread that spawns may block signals, and the network's library ignores SIGPIPE: neither is the child's.
        var pipe = sigset_t()
        sigemptyset(&pipe)
        sigaddset(&pipe, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &pipe)
        posix_spawnattr_setflags(&attributes, 0x8C /* POSIX_SPAWN_SETSID, SETSIGMASK, SETSIGDEF */)
        let argv = ([path] + arguments).map { strdup($0) } + [nil]
        let variables = ["PATH": "/usr/bin:/bin"].merging(environment) { $1 }
        let envp = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (argv + envp).forEach { free($0) } }
        var child = pid_t()
        var status = posix_spawn(&child, path, &actions, &attributes, argv, envp)
        // Another test that starts a program at this moment may hold the file open that this one has just copied.
        while status == ETXTBSY {
            usleep(1_000)
            status = posix_spawn(&child, path, &actions, &attributes, argv, envp)
        }
        precondition(status == 0, "\(path): \(String(cString: strerror(status)))")
        return child
    }

    /// The exit status, or 128 and the signal.
    public static func wait(_ child: pid_t) async -> Int32 {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                var status: Int32 = 0
                while waitpid(child, &status, 0) == -1 && errno == EINTR {}
                continuation.resume(returning: status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F))
            }
        }
    }
}
