import Foundation
import TestSupport
import Testing

/// A home with a vault, and an agent that ends with it.
struct AgentHome {
    let fixture: CommandFixture
    let server: PracticeServer
    private let keeper: Keeper

    /// Ends the agent, however the test ends.
    private final class Keeper: Sendable {
        /// Its socket is there for as long as the folder is.
        let folder: TemporaryFolder
        init(_ folder: TemporaryFolder) { self.folder = folder }
        deinit {
            if let pid = try? AgentHome.pid(folder.file("a.sock")) { kill(pid, SIGKILL) }
        }
    }

    init() async throws {
        fixture = try await CommandFixture()
        server = try await PracticeServer()
        _ = try await fixture.addTorq(server)
        keeper = Keeper(fixture.folder)
    }

    var socket: String { fixture.folder.file("a.sock") }
    /// What a caller has: the socket, and no key.
    var caller: [String: String] { ["HOME": fixture.folder.path, "CLAVIGER_SOCKET": socket] }
    var admin: [String: String] { fixture.environment.merging(caller) { $1 } }

    func run(_ arguments: String..., as environment: [String: String]? = nil) async -> ProgramResult {
        await Program.run(Program.claviger, arguments, environment: environment ?? caller)
    }

    func unlock(_ more: String...) async throws {
        let result = await Program.run(Program.claviger, ["unlock"] + more, environment: admin)
        try #require(result.status == 0, "\(result.errors)")
    }

    var pid: pid_t { get throws { try Self.pid(socket) } }

    private static func pid(_ socket: String) throws -> pid_t {
        let pipe = Pipe()
        let curl = Process()
        curl.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
        curl.arguments = ["-s", "--unix-socket", socket, "http://agent/v1/status"]
        curl.standardOutput = pipe
        try curl.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        curl.waitUntilExit()
        let status = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        return pid_t(try #require(status["pid"] as? Int))
    }
}

@Suite(.timeLimit(.minutes(2))) struct AgentCommandTests {
    @Test func fromUnlockToLock() async throws {
        let home = try await AgentHome()
        #expect(await home.run("token", "torq").refuses(77, "the vault is locked"))
        try await home.unlock("--ttl", "1h")
        let token = await home.run("token", "torq")
        #expect(token.status == 0, "\(token.errors)")
        #expect(try await home.server.isAccepted(token.output.trimmingCharacters(in: .newlines)))
        #expect(await home.run("token", "torq", "--min-ttl", "60").output == token.output)
        #expect(await home.run("token", "torq", "--format", "json").output.contains("access_token"))
        #expect(await home.run("list").output.contains("torq"))
        #expect(await home.run("show", "torq").output.contains("never shown"))
        #expect(await home.run("token", "tork").refuses(66, "there is no credential “tork”"))
        #expect(await home.run("token", "tork").errors.contains("did you mean “torq”?"))
        // Without the vault's key nothing can be changed, agent or not.
        #expect(await home.run("rename", "torq", "other").status == 77)
        #expect(await home.run("lock").status == 0)
        #expect(await home.run("token", "torq").refuses(77, "the agent is locked"))
        // A key that is at hand still works, without the agent.
        #expect(await home.run("token", "torq", as: home.admin).output == token.output)
        try await home.unlock()
        #expect(await home.run("token", "torq").output == token.output)
        #expect(await home.run("agent", "stop").status == 0)
        #expect(await home.run("lock").refuses(69, "no agent runs"))
        #expect(!FileManager.default.fileExists(atPath: home.socket))
    }

    /// The thin front answers by itself: there is no core beside this one.
    @Test func theThinFrontNeedsNoCoreForACachedToken() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        let alone = home.fixture.folder.file("claviger")
        try FileManager.default.copyItem(atPath: Program.claviger, toPath: alone)
        let token = await Program.run(alone, ["token", "torq"], environment: home.caller)
        #expect(token.status == 0)
        #expect(try await home.server.isAccepted(token.output.trimmingCharacters(in: .newlines)))
        #expect(await Program.run(alone, ["list"], environment: home.caller).status == 78)
    }

    @Test func oneAgentForEachSocket() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        let second = await home.run("agent", "--foreground", as: home.admin)
        #expect(second.refuses(73, "another agent listens on"))
        // One that was killed leaves its socket behind, which the next one takes.
        kill(try home.pid, SIGKILL)
        try await home.unlock()
        #expect(await home.run("token", "torq").status == 0)
    }

    @Test func signalsLockAndEndIt() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        let pid = try home.pid
        kill(pid, SIGUSR1)
        #expect(try await eventually { await home.run("token", "torq").refuses(77, "the agent is locked") })
        kill(pid, SIGTERM)
        #expect(try await eventually { kill(pid, 0) != 0 })
    }

    @Test func aFileWithAValidToken() async throws {
        let home = try await AgentHome()
        let file = home.fixture.folder.file("token,x")
        let started = await home.run("agent", "--sink", "torq=\(file),format=header", "--keep-fresh", as: home.admin)
        #expect(started.status == 0, "\(started.errors)")
        let token = await home.run("token", "torq").output.trimmingCharacters(in: .newlines)
        #expect(try await eventually { String(decoding: bytes(ofFile: file), as: UTF8.self) == "Authorization: Bearer \(token)" })
        #expect(await home.run("log", as: home.admin).output.contains("sink " + file))
    }

    @Test(arguments: ["torq", "torq=", "=/tmp/x", "torq=here", "torq=/tmp/", "torq=/tmp/x,format=made-up"])
    func aSinkThatIsNone(_ sink: String) async throws {
        let home = try await AgentHome()
        #expect(await home.run("agent", "--sink", sink, as: home.admin).refuses(64, "--sink takes NAME="))
    }

    @Test func sinksThatCannotBe() async throws {
        let home = try await AgentHome()
        let nobody = await home.run("agent", "--sink", "torq=/tmp/x,owner=made-up-user", as: home.admin)
        #expect(nobody.refuses(64, "there is no user “made-up-user”"))
        let group = await home.run("agent", "--sink", "torq=/tmp/x,owner=root:made-up-group", as: home.admin)
        #expect(group.refuses(64, "there is no group “made-up-group”"))
        let twice = await home.run("agent", "--sink", "torq=/tmp/x", "--sink", "qa=/tmp/x", as: home.admin)
        #expect(twice.refuses(64, "one file can't be the sink of two"))
    }

    /// As systemd starts it: with a socket that is bound already, and a caller waiting.
    @Test func aSocketThatIsHandedOver() async throws {
        let home = try await AgentHome()
        let script = """
            import os, socket, sys
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(sys.argv[1])
            listener.listen()
            os.dup2(listener.fileno(), 3)
            os.set_inheritable(3, True)
            os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
            os.execv(sys.argv[2], [sys.argv[2], "agent", "run"])
            """
        let agent = Program.spawn(
            "/usr/bin/python3", ["-c", script, home.socket, Program.claviger], environment: home.admin, input: "/dev/null",
            output: home.fixture.folder.file("out"), errors: home.fixture.folder.file("err"))
        #expect(try await eventually { await home.run("token", "torq").status == 0 })
        #expect(await home.run("agent", "stop").status == 0)
        #expect(await Program.wait(agent) == 0)
        // The socket is not ours to take away.
        #expect(FileManager.default.fileExists(atPath: home.socket))
    }

    /// What can't be logged is not answered, and works again when there is room.
    @Test(.enabled(if: geteuid() == 0, "needs root, to mount a small file system"))
    func aFullDiskForTheLog() async throws {
        let home = try await AgentHome()
        let disk = home.fixture.folder.file("disk")
        mkdir(disk, 0o700)
        #expect(await Program.run("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=256k", "none", disk]).status == 0)
        for name in ["", ".log"] {
            try FileManager.default.copyItem(atPath: home.fixture.vault + name, toPath: disk + "/vault" + name)
        }
        let environment = home.admin.merging(["CLAVIGER_VAULT": disk + "/vault"]) { $1 }
        let caller = home.caller.merging(["CLAVIGER_VAULT": disk + "/vault"]) { $1 }
        #expect(await home.run("unlock", as: environment).status == 0)
        #expect(await home.run("token", "torq", as: caller).status == 0)
        _ = await Program.run("/bin/dd", ["if=/dev/zero", "of=\(disk)/filler", "bs=4096"])
        // A little still fits behind the last line.
        var full = await home.run("token", "torq", as: caller)
        for _ in 0..<100 where full.status == 0 { full = await home.run("token", "torq", as: caller) }
        let refused = await home.run("token", "torq", as: caller)
        unlink(disk + "/filler")
        let again = await home.run("token", "torq", as: caller)
        let verified = await home.run("log", "--verify", as: environment)
        #expect(await home.run("agent", "stop", as: caller).status == 0)
        _ = await Program.run("/usr/bin/umount", ["-l", disk])
        #expect(full.refuses(74, "the disk is full") && refused.refuses(74, "the disk is full"), "\(full.errors)")
        #expect(again.status == 0, "\(again.errors)")
        #expect(verified.status == 0, "\(verified.errors)")
    }

    @Test func aShellFindsItsAgent() async throws {
        let home = try await AgentHome()
        let script = "eval \"$('\(Program.claviger)' agent --shell)\"; exec '\(Program.claviger)' token torq"
        let result = await Program.run("/bin/sh", ["-c", script], environment: home.admin)
        #expect(result.status == 0, "\(result.errors)")
        #expect(try await home.server.isAccepted(result.output.trimmingCharacters(in: .newlines)))
    }

    @Test func aPassphraseIsAskedFor() async throws {
        let home = try await AgentHome()
        let vault = home.fixture.folder.file("other")
        let passphrase = home.fixture.folder.write("passphrase", "made up passphrase")
        let environment = home.caller.merging(["CLAVIGER_VAULT": vault]) { $1 }
        let made = await home.run("init", as: environment.merging(["CLAVIGER_PASSPHRASE_FILE": passphrase]) { $1 })
        try #require(made.status == 0, "\(made.errors)")
        func unlock(_ typed: String...) async throws -> (status: Int32, screen: String) {
            let terminal = PseudoTerminal(
                Program.claviger, ["unlock"], environment: environment, output: home.fixture.folder.file("out"))
            var screen = ""
            for line in typed {
                screen += try await terminal.expect("passphrase of")
                terminal.type(line + "\n")
            }
            return (await terminal.wait(), screen + (try await terminal.expect("unlocked")))
        }
        let wrong = try await unlock("made up wrong", "made up wrong too", "made up wrong again")
        #expect(wrong.status == 77 && wrong.screen.contains("does not open the vault; try again"), "\(wrong)")
        let soon = try await unlock("made up passphrase")
        // Unless this machine is so slow that the seconds have passed.
        #expect(soon.status == 0 || soon.status == 75 && soon.screen.contains("wrong too often"), "\(soon)")
        #expect(
            try await eventually {
                let result = try await unlock("made up passphrase")
                return result.status == 0
            })
        // The agent makes whoever has been wrong wait, which nobody notices who types it again.
        #expect(await home.run("lock", as: environment).status == 0)
        let second = try await unlock("made up wrong", "made up passphrase")
        #expect(second.status == 0 && second.screen.contains("try again"), "\(second)")
        #expect(await home.run("list", as: environment).status == 0)
        // This agent serves that vault, not another.
        #expect(await home.run("list", "--vault", home.fixture.vault).refuses(78, "serves another vault"))
    }

    @Test func theLogTellsWhoHadWhat() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        #expect(await home.run("token", "torq", "--reason", "made-up reason").status == 0)
        #expect(await home.run("token", "tork").status == 66)
        let shown = await home.run("log", as: home.admin)
        let lines = shown.output.split(separator: "\n").map(String.init)
        #expect(lines.count == 5, "\(shown.output)")
        #expect(lines[0].contains("add  torq  begun") && lines[1].contains("add  torq  done"))
        #expect(lines[2].contains("unlock  done"))
        #expect(lines[3].contains("token  torq  done") && lines[3].contains("claviger"))
        #expect(lines[3].hasSuffix(#"  reason "made-up reason""#))
        #expect(lines[4].contains("token  tork  failed"))
        #expect(await home.run("log", "--json", as: home.admin).output.contains(#""event":"unlock""#))
        #expect(await home.run("log", "--since", "1h", as: home.admin).output == shown.output)
        #expect(await home.run("log", "--since", "2999-01-01T00:00:00Z", as: home.admin).output.isEmpty)
        #expect(await home.run("log", "--since", "yesterday", as: home.admin).refuses(64, "--since takes"))
        let whole = await home.run("log", "--verify", as: home.admin).errors
        #expect(whole.contains("the log is whole: 5 lines, number 1 to 5") && whole.contains("those up to 1;"), "\(whole)")
        let path = home.fixture.vault + ".log"
        let text = String(decoding: bytes(ofFile: path), as: UTF8.self)
        try text.replacingOccurrences(of: "tork", with: "torq").write(toFile: path, atomically: false, encoding: .utf8)
        let broken = await home.run("log", "--verify", as: home.admin)
        #expect(
            broken.errors.contains("line 5 of") && broken.errors.contains("claviger log --acknowledge") && broken.status == 65,
            "\(broken.errors)")
        for wrong in ["--verify", "--json", "--since=1h"] {
            #expect(await home.run("log", "--acknowledge", wrong, as: home.admin).status == 64, "\(wrong)")
        }
        #expect(await home.run("log", "--reason", "made-up", as: home.admin).status == 64)
        let acknowledged = await home.run("log", "--acknowledge", "--reason", "made-up", as: home.admin)
        #expect(acknowledged.status == 0 && acknowledged.errors.contains("line 5 of"), "\(acknowledged.errors)")
        #expect(await home.run("log", "--verify", as: home.admin).errors.contains("2 breaks acknowledged"))
        let nothing = await home.run("log", "--acknowledge", as: home.admin)
        #expect(nothing.status == 0 && nothing.errors.contains("nothing to acknowledge"))
        // A log that is gone is missed after any number of changes.
        unlink(path)
        for name in ["b", "c", "d", "e", "f"] {
            #expect(await home.run("rename", name == "b" ? "torq" : previous(name), name, as: home.admin).status == 0)
        }
        let erased = await home.run("log", "--verify", as: home.admin)
        #expect(erased.errors.contains("a power cut has not taken them") && erased.status == 65, "\(erased.errors)")
    }

    /// The letter before.
    private func previous(_ name: String) -> String { String(UnicodeScalar(name.utf8.first! - 1)) }

    /// The whole of its memory is looked through: what Swift, the heap, the buffers and TLS may have left behind.
    @Test(.enabled(if: geteuid() == 0, "needs root, to read another process's memory"))
    func noSecretIsInTheAgentsMemory() async throws {
        let home = try await AgentHome()
        let folder = home.fixture.folder
        try await home.fixture.loggedIn(home.server)
        let keys = try await home.server.newKeys("qa")
        let qa = ["--provider", "qa", "--token-url", home.server.address + "/qa/oauth2/token/", "--from-json", "-"]
        let added = await Program.run(Program.claviger, ["add", "qa"] + qa, environment: home.admin, input: keys.json)
        try #require(added.status == 0, "\(added.errors)")
        try await home.unlock()
        for name in ["qa", "a", "qa", "a"] { #expect(await home.run("token", name, "--fresh").status == 0) }
        let document = try await home.server.request("GET", "/admin/logins").body
        let refreshTokens = try #require(
            try JSONDecoder().decode([String: [String]].self, from: Data(document.utf8))["refresh_tokens"])
        #expect(refreshTokens.count > 3)
        let key = String(decoding: bytes(ofFile: folder.file("key")), as: UTF8.self).trimmingCharacters(in: .newlines)
        let pid = try home.pid
        func found(_ texts: [String]) async throws -> [Int] {
            let script = Program.root + "/Tests/ClavigerCoreTests/memory_scan.py"
            let scan = await Program.run(
                "/usr/bin/env", ["python3", script, "\(pid)"], input: texts.joined(separator: "\n"))
            try #require(scan.status == 0, "\(scan.errors)")
            return scan.output.split(separator: "\n").compactMap { Int($0) }
        }
        let secrets = [key, keys.secret] + refreshTokens
        // The scan finds what is there: the vault's path.
        #expect(try await found([home.fixture.vault]) == [0])
        // When nothing is in flight any more, nothing is found even while it is unlocked: connections are kept for a
        // moment, and their buffers with them.
        #expect(try await eventually { try await found(secrets) == [] })
        #expect(await home.run("lock").status == 0)
        let whileLocked = try await found(secrets)
        #expect(whileLocked == [])
    }

    /// Killed while it refreshes a login: whoever comes next finds it alive.
    @Test func killedWhileItRefreshes() async throws {
        let home = try await AgentHome()
        try await home.fixture.loggedIn(home.server, grace: 60)
        try await home.unlock()
        let pid = try home.pid
        let before = try await home.server.counts().requests
        try await home.server.fail(#"{"delay":10000}"#)
        async let caller = home.run("token", "a", "--fresh")
        while try await home.server.counts().requests == before { try await Task.sleep(for: .milliseconds(5)) }
        kill(pid, SIGKILL)
        #expect(await caller.status != 0)
        try await home.unlock()
        #expect(await home.run("token", "a", "--fresh").status == 0)
        #expect(try await home.server.reuses() == 0)
    }

    /// The thin front waits for ten seconds, and the core that it becomes does not wait again.
    @Test func `an agent that is stopped is not waited for`() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        let token = await home.run("token", "torq").output
        let pid = try home.pid
        kill(pid, SIGSTOP)
        defer { kill(pid, SIGCONT) }
        // Each thread stops when it comes to it (proc_pid_stat(5)).
        #expect(
            try await eventually {
                let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")
                return threads.allSatisfy {
                    String(decoding: bytes(ofFile: "/proc/\(pid)/task/\($0)/stat"), as: UTF8.self).contains(") T ")
                }
            })
        let start = ContinuousClock.now
        async let withKey = home.run("token", "torq", as: home.admin)
        async let without = home.run("token", "torq")
        async let listed = home.run("list", as: home.admin)
        async let locked = home.run("lock")
        async let executed = home.run("exec", "torq", "--", "/bin/sh", "-c", "echo $TORQ_ACCESS_TOKEN", as: home.admin)
        // A key that is at hand is used instead.
        #expect(await withKey.output == token)
        #expect(await listed.output.contains("torq"))
        #expect(await executed.output == token)
        let silent = await without
        #expect(silent.refuses(75, "the agent at \(home.socket) does not answer"), "\(silent)")
        #expect(await locked.refuses(75, "the agent at \(home.socket) does not answer"))
        #expect(ContinuousClock.now - start < .seconds(18))
        kill(pid, SIGCONT)
        #expect(try await eventually { await home.run("lock").status == 0 })
        #expect(try await eventually { await home.run("token", "torq").refuses(77, "the agent is locked") })
        try await home.unlock()
        #expect(await home.run("token", "torq").output == token)
    }

    /// Whoever asks while the agent ends gets a token from the vault.
    @Test func `a token is handed out while the agent ends`() async throws {
        let home = try await AgentHome()
        for _ in 0..<4 {
            try await home.unlock()
            try await withThrowingTaskGroup(of: ProgramResult.self) { group in
                for _ in 0..<4 {
                    group.addTask { await home.run("token", "torq", as: home.admin) }
                    group.addTask { await home.run("list", as: home.admin) }
                }
                group.addTask { await home.run("agent", "stop") }
                for try await result in group { #expect(result.status == 0, "\(result.errors)") }
            }
        }
    }

    @Test func whatCannotBeASocketIsRefused() async throws {
        let home = try await AgentHome()
        let long = "/tmp/" + String(repeating: "a", count: 120)
        #expect(await home.run("agent", "--socket", long, as: home.admin).refuses(64, "longer than 107 bytes"))
        #expect(await home.run("agent", "--socket", "a.sock", as: home.admin).refuses(64, "an absolute path"))
        let nowhere = home.admin.merging(["CLAVIGER_VAULT": "/nowhere/vault"]) { $1 }
        #expect(await home.run("agent", "--foreground", as: nowhere).refuses(66, "there is no vault"))
        for span in ["0", "-1", "1x", "h", ""] {
            #expect(await home.run("unlock", "--ttl", span, as: home.admin).status == 64, "\(span)")
        }
    }

    /// Somebody else's socket is not believed, whatever it answers.
    @Test(.enabled(if: geteuid() == 0, "needs root, to be somebody else"))
    func strangersAreNotAsked() async throws {
        let home = try await AgentHome()
        chmod(home.fixture.folder.path, 0o777)
        let script = """
            import os, socket
            os.setgid(65534); os.setuid(65534)
            s = socket.socket(socket.AF_UNIX); s.bind("\(home.socket)"); s.listen()
            print("ready", flush=True)
            while True:
                c, _ = s.accept()
                try:
                    c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\nmade-upon")
                    c.close()
                except OSError:
                    pass
            """
        let stranger = try await PracticeServer(program: "/usr/bin/env", arguments: ["python3", "-c", script])
        defer { withExtendedLifetime(stranger) {} }
        #expect(stranger.address == "ready")
        let refused = await home.run("token", "torq")
        #expect(refused.status == 77 && !refused.output.contains("made-upon"))
        #expect(refused.errors.contains("somebody else (user 65534) listens on"))
        #expect(await home.run("lock").refuses(77, "somebody else (user 65534)"))
        // With a key at hand, the vault itself is asked.
        let token = await home.run("token", "torq", as: home.admin)
        #expect(token.status == 0 && token.errors.contains("is not asked"))
    }
}
