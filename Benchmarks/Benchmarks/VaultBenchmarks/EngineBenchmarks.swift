import Access
import Benchmark
import Credentials
import Foundation
import FoundationNetworking
import HTTP
import OAuth
import Sodium
import TokenEngine
import Vault

/// One credential in memory, with nothing to lock.
private final class OneCredential: TokenStateStore {
    let stored: Credential
    init(_ stored: Credential) { self.stored = stored }
    func credential(_ name: String) async throws -> Credential { stored }
    func tryClaim(_ name: String) async throws -> (any TokenClaim)? { nil }
}

/// The practice server, with a key pair of its torq.
private final class Sandbox {
    let child: pid_t
    let address: String
    let id: String
    let secret: String

    init(latency: Int) throws {
        let program = ProcessInfo.processInfo.environment["CLAVIGER_SANDBOX"] ?? ""
        let output = NSTemporaryDirectory() + "claviger-bench-sandbox-\(getpid())-\(latency)"
        unlink(output)
        let words = [program, "--latency", "\(latency)"]
        let argv = words.map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT, 0o600)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var child = pid_t()
        guard posix_spawn(&child, program, &actions, nil, argv, environ) == 0 else { throw CocoaError(.fileNoSuchFile) }
        self.child = child
        var line = ""
        while !line.hasSuffix("\n") {
            usleep(10_000)
            line = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        }
        unlink(output)
        address = String(line.dropLast())
        var request = URLRequest(url: URL(string: address + "/admin/keys/torq")!)
        request.httpMethod = "POST"
        nonisolated(unsafe) var body = Data()
        let done = DispatchSemaphore(value: 0)
        URLSession.shared.dataTask(with: request) { data, _, _ in
            body = data ?? Data()
            done.signal()
        }.resume()
        done.wait()
        let members = try JSONDecoder().decode([String: String].self, from: body)
        (id, secret) = (members["client_id"]!, members["client_secret"]!)
    }

    deinit {
        kill(child, SIGKILL)
        waitpid(child, nil, 0)
    }

    var credential: NewCredential {
        get throws {
            let settings = ClientSettings(tokenURL: try EndpointURL(address + "/torq/v1/auth/token"))
            let client = ClientCredentials(id: id, secret: try Secret(utf8: secret))
            return NewCredential(provider: nil, settings: settings, client: client)
        }
    }
}

/// A vault in a temporary folder with credentials of the practice server.
private struct SandboxVault {
    let sandbox: Sandbox
    let folder: String
    let vault: UnlockedVault
    let transport = HTTPClientTransport(proxies: ProxySettings(environment: [:]))

    init(count: Int, latency: Int) async throws {
        sandbox = try Sandbox(latency: latency)
        folder = NSTemporaryDirectory() + "claviger-bench-\(getpid())-sandbox"
        try? FileManager.default.removeItem(atPath: folder)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        vault = try LockedVault.create(
            at: folder + "/vault", keys: [(.keyFile(try KeyFile.create(folder + "/key")), "bench")], memory: nil)
        let agent = CredentialService(vault: vault, log: .unwritten(vault), transport: transport)
        for index in 0..<count { _ = try await agent.add("credential-\(index)", try sandbox.credential, verify: false) }
    }

    func remove() async {
        await transport.close()
        try? FileManager.default.removeItem(atPath: folder)
    }
}

func engineBenchmarks(core: String) {
    Benchmark("the engine's decision on a cached token", configuration: .init(timeUnits: .nanoseconds, scalingFactor: .kilo)) {
        benchmark in
        let configuration = CredentialConfiguration(
            provider: nil, settings: ClientSettings(tokenURL: try EndpointURL("https://example.com/token")),
            keyPair: KeyPair(client: ClientCredentials(id: "id", secret: try Secret(utf8: "made-up")), since: .now))
        var credential = Credential(configuration)
        credential.state.tokens = [
            CachedToken(
                access: RequestedAccess(), token: try Secret(utf8: "made-up"), type: "Bearer", scopes: nil, sent: .now,
                expires: .now.addingTimeInterval(3600), extras: nil)
        ]
        let driver = TokenDriver(store: OneCredential(credential), transport: NoNetwork(), host: Host(id: "here"))
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations { blackHole(try await driver.token("a", TokenQuery())) }
        benchmark.stopMeasurement()
    }

    Benchmark("one token request alone, over loopback") { benchmark in
        let made = try await SandboxVault(count: 1, latency: 0)
        let new = try made.sandbox.credential
        _ = try await made.transport.send(new.settings.tokenRequest(new.client, access: RequestedAccess()))
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            blackHole(try await made.transport.send(new.settings.tokenRequest(new.client, access: RequestedAccess())))
        }
        benchmark.stopMeasurement()
        await made.remove()
    }

    Benchmark("one acquisition, over loopback, stored") { benchmark in
        let made = try await SandboxVault(count: 1, latency: 0)
        let agent = CredentialService(vault: made.vault, log: .unwritten(made.vault), transport: made.transport)
        var ask = TokenQuery(mode: .fresh)
        ask.forcedRenewalsPerMinute = .max
        let fresh = ask
        _ = try await agent.token("credential-0", fresh)
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations { blackHole(try await agent.token("credential-0", fresh)) }
        benchmark.stopMeasurement()
        await made.remove()
    }

    Benchmark("check --all, 1,000 credentials, 50 ms of latency", configuration: .init(maxIterations: 3)) { benchmark in
        let made = try await SandboxVault(count: 1_000, latency: 50)
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            let status = run(core, ["check", "--all", "--vault", made.folder + "/vault", "--key-file", made.folder + "/key"])
            guard status == 0 else { return benchmark.error("claviger-core failed") }
        }
        benchmark.stopMeasurement()
        await made.remove()
    }
}
