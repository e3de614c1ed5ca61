import Foundation
import TestSupport
import Testing

/// What real users of one machine may do to each other. One after the other: there is one machine.
@Suite(
    .enabled(if: Machine.isPossible, "needs root, to make users, and a machine without a claviger of its own"),
    .timeLimit(.minutes(3)), .serialized)
struct MachineTests {}

/// A machine with an agent of its own user, a developer who has no key, and a stranger: real users, made and removed here.
final class Machine: Sendable {
    static let folder = "/run/claviger"
    static let vaultFolder = "/var/lib/claviger"
    static let isPossible =
        geteuid() == 0 && ![folder, vaultFolder].contains(where: FileManager.default.fileExists)
        && ["/usr/sbin/useradd", "/usr/bin/setpriv"].allSatisfy(FileManager.default.isExecutableFile)

    let keeper = "clavigertest1"
    let developer = "clavigertest2"
    let group = "clavigertest3"
    let stranger = "clavigertest4"
    let home = TemporaryFolder()
    let server: PracticeServer

    init() async throws {
        server = try await PracticeServer()
        chmod(home.path, 0o755)
        for name in ["claviger", "claviger-core"] {
            try FileManager.default.copyItem(atPath: Program.folder + "/" + name, toPath: home.file(name))
        }
        await remove()
        try await admin("/usr/sbin/groupadd", group)
        try await admin("/usr/sbin/useradd", "--no-create-home", keeper)
        try await admin("/usr/sbin/useradd", "--no-create-home", "--groups", group, developer)
        try await admin("/usr/sbin/useradd", "--no-create-home", stranger)
        for (path, owner) in [
            (home.file("keeper"), keeper), (home.file("developer"), developer), (home.file("stranger"), stranger),
            (Self.folder, keeper),
        ] {
            mkdir(path, 0o755)
            try await admin("/bin/chown", owner, path)
        }
        chmod(home.file("keeper"), 0o700)
    }

    deinit {
        for program in ["/usr/bin/pkill", "/usr/sbin/userdel", "/usr/sbin/groupdel"] {
            for name in [keeper, developer, stranger, group] {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: program)
                process.arguments = program.hasSuffix("pkill") ? ["-KILL", "-u", name] : [name]
                process.standardError = FileHandle.nullDevice
                try? process.run()
                process.waitUntilExit()
            }
        }
        for path in [Self.folder, Self.vaultFolder] { try? FileManager.default.removeItem(atPath: path) }
    }

    /// Gives the machine a vault of its own, as installing does.
    func makeVaultFolder() async throws {
        mkdir(Self.vaultFolder, 0o700)
        try await admin("/bin/chown", keeper, Self.vaultFolder)
    }

    /// As root, or as who may become it.
    func administer(_ arguments: String..., input: String? = nil) async -> ProgramResult {
        await Program.run(home.file("claviger"), arguments, environment: ["HOME": "/root"], input: input)
    }

    private func remove() async {
        for name in [keeper, developer, stranger] { _ = await Program.run("/usr/sbin/userdel", [name]) }
        _ = await Program.run("/usr/sbin/groupdel", [group])
    }

    private func admin(_ program: String, _ arguments: String...) async throws {
        let result = await Program.run(program, arguments)
        try #require(result.status == 0, "\(program): \(result.errors)")
    }

    func run(
        as user: String, group: String? = nil, _ command: [String], _ variables: [String: String] = [:], input: String? = nil
    ) async
        -> ProgramResult
    {
        let home = home.file(user == keeper ? "keeper" : user == developer ? "developer" : "stranger")
        return await Program.run(
            "/usr/bin/setpriv", ["--reuid", user, "--regid", group ?? user, "--init-groups"] + command,
            environment: variables.merging(["HOME": home]) { $1 }, input: input)
    }

    func keep(_ arguments: String...) async throws { try await keep(arguments) }

    /// What the keeper's commands are given.
    var keys: [String: String] {
        ["CLAVIGER_KEY_FILE": home.file("keeper/key"), "CLAVIGER_SOCKET": Self.folder + "/agent.sock"]
    }

    func keep(_ arguments: [String], input: String? = nil) async throws {
        let result = await run(as: keeper, [home.file("claviger")] + arguments, keys, input: input)
        try #require(result.status == 0, "\(arguments): \(result.errors)")
    }

    func develop(_ arguments: String...) async -> ProgramResult {
        await run(as: developer, [home.file("claviger")] + arguments)
    }

    /// Asks the agent itself.
    /// - Returns: the status of its answer, its `Allow`, and its body.
    func ask(as user: String, _ method: String, _ target: String, body: String? = nil) async -> (
        status: Int, allow: String, body: String
    ) {
        let end = "\n%{http_code} %header{allow}"
        let curl = ["/usr/bin/curl", "-s", "-X", method, "-w", end, "--unix-socket", Self.folder + "/agent.sock"]
        let result = await run(as: user, curl + (body.map { ["-d", $0] } ?? []) + ["http://agent" + target])
        let split = result.output.range(of: "\n", options: .backwards)?.lowerBound ?? result.output.startIndex
        let last = result.output[split...].dropFirst().split(separator: " ")
        return (
            last.first.flatMap { Int($0) } ?? 0, last.dropFirst().first.map(String.init) ?? "", String(result.output[..<split])
        )
    }

    func add(_ name: String, _ options: String...) async throws {
        let keys = try await server.newKeys("torq")
        let torq = ["--provider", "torq", "--token-url", server.address + "/torq/v1/auth/token", "--from-json", "-"]
        try await keep(["add", name] + torq + options, input: keys.json)
    }
}
