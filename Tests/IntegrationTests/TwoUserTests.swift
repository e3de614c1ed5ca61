import Foundation
import TestSupport
import Testing

/// A machine with an agent of its own user, and a developer who has no key: two real users, made and removed here.
final class Machine: Sendable {
    static let folder = "/run/claviger"
    static let isPossible =
        geteuid() == 0 && !FileManager.default.fileExists(atPath: folder)
        && ["/usr/sbin/useradd", "/usr/bin/setpriv"].allSatisfy(FileManager.default.isExecutableFile)

    let keeper = "clavigertest1"
    let developer = "clavigertest2"
    let group = "clavigertest3"
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
        for (path, owner) in [(home.file("keeper"), keeper), (home.file("developer"), developer), (Self.folder, keeper)] {
            mkdir(path, 0o755)
            try await admin("/bin/chown", owner, path)
        }
        chmod(home.file("keeper"), 0o700)
    }

    deinit {
        for program in ["/usr/bin/pkill", "/usr/sbin/userdel", "/usr/sbin/groupdel"] {
            for name in [keeper, developer, group] {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: program)
                process.arguments = program.hasSuffix("pkill") ? ["-KILL", "-u", name] : [name]
                process.standardError = FileHandle.nullDevice
                try? process.run()
                process.waitUntilExit()
            }
        }
        try? FileManager.default.removeItem(atPath: Self.folder)
    }

    private func remove() async {
        for name in [keeper, developer] { _ = await Program.run("/usr/sbin/userdel", [name]) }
        _ = await Program.run("/usr/sbin/groupdel", [group])
    }

    private func admin(_ program: String, _ arguments: String...) async throws {
        let result = await Program.run(program, arguments)
        try #require(result.status == 0, "\(program): \(result.errors)")
    }

    func run(as user: String, _ command: [String], _ variables: [String: String] = [:], input: String? = nil) async
        -> ProgramResult
    {
        let home = home.file(user == keeper ? "keeper" : "developer")
        return await Program.run(
            "/usr/bin/setpriv", ["--reuid", user, "--regid", user, "--init-groups"] + command,
            environment: variables.merging(["HOME": home]) { $1 }, input: input)
    }

    func keep(_ arguments: String..., input: String? = nil) async throws {
        let variables = ["CLAVIGER_KEY_FILE": home.file("keeper/key"), "CLAVIGER_SOCKET": Self.folder + "/agent.sock"]
        let result = await run(as: keeper, [home.file("claviger")] + arguments, variables, input: input)
        try #require(result.status == 0, "\(arguments): \(result.errors)")
    }

    func develop(_ arguments: String...) async -> ProgramResult {
        await run(as: developer, [home.file("claviger")] + arguments)
    }

    func add(_ name: String) async throws {
        let keys = try await server.newKeys("torq")
        try await keep(
            "add", name, "--provider", "torq", "--token-url", server.address + "/torq/v1/auth/token", "--from", "-",
            input: keys.json)
    }
}

@Suite(
    .enabled(if: Machine.isPossible, "needs root, to make two users, and a machine without a claviger of its own"),
    .timeLimit(.minutes(3)), .serialized)
struct TwoUserTests {
    @Test func aDeveloperHasTokensAndNoSecrets() async throws {
        let machine = try await Machine()
        try await machine.keep("init")
        for name in ["torq", "other"] { try await machine.add(name) }
        try await machine.keep("agent")
        #expect(await machine.develop("token", "torq").refuses(77, "no rule allows you to use"))
        #expect(await machine.develop("list").output.isEmpty)

        try await machine.keep("allow", "torq", "--user", machine.developer)
        let token = await machine.develop("token", "torq")
        #expect(token.status == 0, "\(token.errors)")
        #expect(try await machine.server.isAccepted(token.output.trimmingCharacters(in: .newlines)))
        #expect(await machine.develop("list").output.contains("torq"))
        #expect(await !machine.develop("list").output.contains("other"))
        #expect(await machine.develop("exec", "torq", "--", "/bin/sh", "-c", "echo $TORQ_ACCESS_TOKEN").output == token.output)

        // Who has a vault is not taken to the machine's agent: the names in it are others.
        let owner = ["HOME": machine.home.file("developer"), "CLAVIGER_KEY_FILE": machine.home.file("developer/key")]
        let program = [machine.home.file("claviger")]
        #expect(await machine.run(as: machine.developer, program + ["init"], owner).status == 0)
        #expect(
            await machine.run(as: machine.developer, program + ["token", "torq"], owner).refuses(66, "there is no credential"))
        try FileManager.default.removeItem(atPath: machine.home.file("developer/.local/share/claviger"))

        // What was not allowed, and what is not there, look the same.
        for name in ["other", "nobody"] {
            #expect(await machine.develop("token", name).refuses(77, "no rule allows you to use"))
            #expect(await machine.develop("show", name).refuses(77, "no rule allows you to use"))
        }
        #expect(await machine.develop("token", "torq", "--scope", "more").refuses(77, "no rule allows you to use"))
        #expect(await machine.develop("token", "torq", "--take-over").refuses(77, "no rule allows you to use"))
        for command in [["lock"], ["agent", "stop"]] {
            let result = await machine.run(as: machine.developer, [machine.home.file("claviger")] + command)
            #expect(result.refuses(77, "only the agent's own user and root"), "\(result.errors)")
        }

        // The vault, the key, and the agent's memory, environment and core are out of reach, and so is a debugger.
        let status = await machine.run(
            as: machine.developer,
            ["/usr/bin/curl", "-s", "--unix-socket", Machine.folder + "/agent.sock", "http://agent/v1/status"])
        let document = try #require(try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any])
        let pid = try #require(document["pid"] as? Int)
        #expect(document["failures"] == nil)
        let vault = machine.home.file("keeper/.local/share/claviger/vault")
        #expect(FileManager.default.fileExists(atPath: vault))
        for path in [
            vault, vault + ".previous", machine.home.file("keeper/key"), "/proc/\(pid)/environ", "/proc/\(pid)/mem",
            "/proc/\(pid)/maps",
        ] {
            let read = await machine.run(as: machine.developer, ["/bin/cat", path])
            #expect(read.status != 0 && read.output.isEmpty, "\(path)")
        }
        for signal in ["ABRT", "USR1", "KILL"] {
            #expect(await machine.run(as: machine.developer, ["/bin/kill", "-\(signal)", "\(pid)"]).status != 0)
        }
        if FileManager.default.isExecutableFile(atPath: "/usr/bin/strace") {
            #expect(await machine.run(as: machine.developer, ["/usr/bin/strace", "-p", "\(pid)"]).status != 0)
            // Not even the agent's own user can look into it, since it is not dumpable.
            #expect(await machine.run(as: machine.keeper, ["/usr/bin/strace", "-p", "\(pid)"]).status != 0)
        }
        #expect(await machine.run(as: machine.keeper, ["/bin/cat", "/proc/\(pid)/environ"]).output.isEmpty)

        try await machine.keep("deny", "torq", "--user", machine.developer)
        #expect(await machine.develop("token", "torq").refuses(77, "no rule allows you to use"))
        // The agent's own user has all the while had everything.
        try await machine.keep("token", "other")
    }

    @Test func rulesOfGroupsScopesAndLives() async throws {
        let machine = try await Machine()
        try await machine.keep("init")
        try await machine.add("torq")
        try await machine.keep("agent")
        try await machine.keep("allow", "torq", "--group", machine.group, "--scope", "read", "--scope", "write")
        let token = await machine.develop("token", "torq", "--format", "json")
        #expect(token.output.contains(#""scope" : "read write""#), "\(token.errors)")
        #expect(await machine.develop("token", "torq", "--scope", "read").status == 0)
        #expect(await machine.develop("token", "torq", "--scope", "admin").refuses(77, "no rule allows you to use"))

        // Tokens of this server live 3,600 s.
        try await machine.keep("allow", "torq", "--group", machine.group, "--max-ttl", "30m")
        #expect(await machine.develop("token", "torq").refuses(77, "live longer than the 1800 s"))
        try await machine.keep("allow", "torq", "--group", machine.group, "--max-ttl", "1h")
        #expect(await machine.develop("token", "torq").status == 0)

        // A rule goes with its credential, and not to another that takes its name.
        try await machine.keep("rename", "torq", "new")
        #expect(await machine.develop("token", "new").status == 0)
        try await machine.keep("remove", "new", "--yes")
        try await machine.add("new")
        #expect(await machine.develop("token", "new").refuses(77, "no rule allows you to use"))
    }
}
