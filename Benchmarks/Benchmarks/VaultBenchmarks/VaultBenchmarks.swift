import Access
import Benchmark
import Credentials
import Foundation
import OAuth
import Sodium
import TokenEngine
import Vault

/// Refuses: what is measured needs no network.
struct NoNetwork: HTTPTransport {
    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        throw .configuration(reason: "no network in a benchmark")
    }
}

/// A vault of a size, made once in a temporary folder, with a cached token in every credential.
private struct SizedVault {
    let path: String
    let keyFile: String
    let name: String

    /// - Parameter count: how many credentials it holds.
    init(count: Int) throws {
        let folder = NSTemporaryDirectory() + "claviger-bench-\(ProcessInfo.processInfo.processIdentifier)-\(count)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        path = folder + "/vault"
        keyFile = folder + "/key"
        name = "credential-\(count / 2)"
        let vault = try LockedVault.create(
            at: path, keys: [(.keyFile(try KeyFile.create(keyFile)), "bench")], memory: nil)
        let record = try Self.record()
        // In parts: every record that is held takes a locked page.
        for start in stride(from: 0, to: count, by: 10_000) {
            try vault.update { for index in start..<min(start + 10_000, count) { try $0.add("credential-\(index)", record) } }
        }
    }

    private static func record() throws -> Record {
        // As CredentialRecord writes it.
        let description = """
            {"key_pair":{"client_id":"0123456789012345678901234567890123456789","since":1700000000000},"provider":"qa",\
            "settings":{"audiences":[],"client_authentication":"post","grant":"client_credentials","headers":[],"parameters":[],\
            "placement":"body","resources":[],"scopes":[],"token_lifetime":36000,"token_url":"https://app.qa.com/oauth2/token/"},\
            "tokens":[{"expires":4000000000000,"requested_scopes":[],"sent":1700000000000,"type":"Bearer"}]}
            """
        return try Record(
            description: Array(description.utf8),
            secrets: [
                "client_secret": Secret(utf8: String(repeating: "s", count: 128)),
                "token.0": Secret(utf8: String(repeating: "t", count: 30)),
            ])
    }

    func open() throws -> UnlockedVault {
        try LockedVault(path: path, memory: nil).unlock(with: .keyFile(try KeyFile.read(keyFile)))
    }

    func remove() { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }
}

func run(_ program: String, _ arguments: [String]) -> Int32 {
    let argv = ([program] + arguments).map { strdup($0) } + [nil]
    defer { argv.forEach { free($0) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var child = pid_t()
    guard posix_spawn(&child, program, &actions, nil, argv, environ) == 0 else { return -1 }
    var status: Int32 = 0
    waitpid(child, &status, 0)
    return status
}

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock, .peakMemoryResident], timeUnits: .microseconds, maxDuration: .seconds(3), maxIterations: 300)
    let core = ProcessInfo.processInfo.environment["CLAVIGER_CORE"] ?? ""

    for count in [10, 1_000, 10_000, 100_000] {
        nonisolated(unsafe) var sized: SizedVault!

        Benchmark("open, read one of \(count)") { benchmark in
            for _ in benchmark.scaledIterations { blackHole(try sized.open().record(sized.name)) }
        } setup: {
            sized = try SizedVault(count: count)
        } teardown: {
            sized.remove()
        }

        Benchmark("commit one change among \(count)") { benchmark in
            let vault = try sized.open()
            let record = try vault.record(sized.name)
            benchmark.startMeasurement()
            for _ in benchmark.scaledIterations { try vault.update { try $0.replace(sized.name, with: record) } }
            benchmark.stopMeasurement()
        } setup: {
            sized = try SizedVault(count: count)
        } teardown: {
            sized.remove()
        }

        Benchmark("claviger-core token, cached, of \(count)") { benchmark in
            for _ in benchmark.scaledIterations {
                let status = run(core, ["token", sized.name, "--vault", sized.path, "--key-file", sized.keyFile])
                guard status == 0 else { return benchmark.error("claviger-core failed; is $CLAVIGER_CORE right?") }
            }
        } setup: {
            sized = try SizedVault(count: count)
        } teardown: {
            sized.remove()
        }
    }

    Benchmark("a cached token, out of the vault") { benchmark in
        let sized = try SizedVault(count: 10)
        let vault = try sized.open()
        let agent = CredentialService(vault: vault, log: .unwritten(vault), transport: NoNetwork())
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations { blackHole(try await agent.token(sized.name, TokenQuery())) }
        benchmark.stopMeasurement()
        sized.remove()
    }

    engineBenchmarks(core: core)

    // The disk's part of a commit: what one file of this size costs to write and synchronise, here and now.
    for megabytes in [1, 10, 100] {
        Benchmark("write and fsync \(megabytes) MB, for comparison") { benchmark in
            let bytes = [UInt8](repeating: 1, count: megabytes << 20)
            let path = NSTemporaryDirectory() + "claviger-bench-fsync-\(getpid())"
            benchmark.startMeasurement()
            for _ in benchmark.scaledIterations {
                let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
                _ = write(descriptor, bytes, bytes.count)
                fsync(descriptor)
                close(descriptor)
            }
            benchmark.stopMeasurement()
            unlink(path)
        }
    }
}

extension AuditLog {
    /// A log that nothing is written to.
    static func unwritten(_ vault: UnlockedVault) -> AuditLog { AuditLog(vault: vault, path: "/nowhere/vault.log") }
}
