import Foundation
import TestSupport
import Testing

/// What a process is given by the one that starts it, and does not expect.
@Suite(.timeLimit(.minutes(2))) struct InheritedStateTests {
    /// Runs a program after some Perl, which can set what a shell can't.
    private func run(_ perl: String, _ words: [String], _ environment: [String: String]) async -> ProgramResult {
        await Program.run(
            "/usr/bin/perl", ["-MPOSIX", "-MFcntl", "-e", perl + "; exec @ARGV or die", "--"] + words, environment: environment)
    }

    private static let ignoresChildren = "$SIG{CHLD} = 'IGNORE'"

    @Test func `a supervisor that ignores its children hides no failed passphrase command`() async throws {
        let fixture = try await CommandFixture()
        let file = fixture.folder.write("p", "made-up passphrase")
        #expect(await fixture.run("key", "add", "--new-passphrase-file", file).status == 0)
        for (command, status) in [("cat \(file)", Int32(0)), ("cat \(file); false", 78)] {
            let environment = [
                "HOME": fixture.folder.path, "CLAVIGER_SOCKET": "/none", "CLAVIGER_PASSPHRASE_COMMAND": command,
            ]
            let result = await run(Self.ignoresChildren, [Program.claviger, "list"], environment)
            #expect(result.status == status, "\(command): \(result.errors)")
        }
    }

    @Test func `the command of exec has what claviger was given`() async throws {
        let home = try await AgentHome()
        let given =
            "\(Self.ignoresChildren); $SIG{USR1} = 'IGNORE'; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGUSR2)); close(STDIN)"
        for command in [["/bin/grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"], ["/bin/ls", "/proc/self/fd"]] {
            let without = await run(given, command, home.admin)
            // With a proxy, and without.
            for options in [["--proxy", "torq"], ["torq", "--env", "X=torq"]] {
                let with = await run(given, [Program.claviger, "exec"] + options + ["--"] + command, home.admin)
                #expect(with.status == 0 && Self.plain(with.output) == Self.plain(without.output), "\(options): \(with)")
            }
        }
    }

    /// Without the two signals that are glibc's own, the 32nd and the 33rd.
    private static func plain(_ text: String) -> [String] {
        text.split(separator: "\n").map { line in
            guard let tab = line.lastIndex(of: "\t"), let mask = UInt64(line[tab...].dropFirst(), radix: 16) else {
                return String(line)
            }
            return line[..<tab] + String(mask & ~(3 << 31), radix: 16)
        }
    }

    @Test func `a limit of file sizes is told`() async throws {
        let fixture = try await CommandFixture()
        let script = #"{ (ulimit -f 0; exec "$0" key add --new-key-file "$1"); echo "status $?"; } 2>&1 | cat"#
        let result = await Program.run(
            "/bin/sh", ["-c", script, Program.claviger, fixture.folder.file("new")], environment: fixture.environment)
        #expect(result.output.contains("file too large") && result.output.contains("status 74"), "\(result)")
    }

    @Test(arguments: [
        ("1 while wait() != -1; exit 42", Int32(42)),
        // A signal to process 1, as a container is stopped, is the command's.
        ("$SIG{TERM} = sub { exit 43 }; kill TERM => 1; sleep 60", 43), ("kill KILL => $$", 128 + SIGKILL),
        ("exit($$ == 1)", 0),
    ])
    func `a command behind a proxy that would be process 1`(_ perl: String, _ status: Int32) async throws {
        let home = try await AgentHome()
        let result = await Program.run(
            "/usr/bin/unshare",
            ["--pid", "--fork", "--mount-proc", Program.claviger, "exec", "--proxy", "torq", "--", "/usr/bin/perl", "-e", perl],
            environment: home.admin)
        #expect(result.status == status && result.errors.isEmpty, "\(result)")
    }

    @Test func `a command that would be process 1 and can't be run is told`() async throws {
        let home = try await AgentHome()
        let result = await Program.run(
            "/usr/bin/unshare",
            ["--pid", "--fork", "--mount-proc", Program.claviger, "exec", "--proxy", "torq", "--", "made-up-command"],
            environment: home.admin)
        #expect(result.refuses(127, "cannot run made-up-command"), "\(result)")
    }

    @Test func `a full pipe that does not block is waited for`() async throws {
        let home = try await AgentHome()
        try await home.unlock()
        let token = await home.run("token", "torq").output
        let pipe = Pipe()
        let end = pipe.fileHandleForWriting.fileDescriptor
        _ = fcntl(end, F_SETFL, O_NONBLOCK)
        var filled = 0
        while case let count = write(end, "x", 1), count > 0 { filled += count }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Program.claviger)
        process.arguments = ["token", "torq"]
        process.environment = home.caller
        process.standardOutput = pipe.fileHandleForWriting
        try process.run()
        try pipe.fileHandleForWriting.close()
        // Until it waits for room (poll or ppoll), or has given up.
        let calls = ["7", "271", "73"]
        #expect(
            try await eventually {
                guard process.isRunning else { return true }
                let call = bytes(ofFile: "/proc/\(process.processIdentifier)/syscall").split(separator: 0x20).first ?? []
                return calls.contains(String(decoding: call, as: UTF8.self))
            })
        let all = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(String(decoding: all.dropFirst(filled), as: UTF8.self) == token)
    }

    @Test(arguments: [Program.claviger, Program.core])
    func `a token that can't be written is told`(_ program: String) async throws {
        let home = try await AgentHome()
        try await home.unlock()
        _ = await home.run("token", "torq")
        let result = await Program.run(
            "/bin/sh", ["-c", "exec \"$0\" token torq >/dev/full", program], environment: home.caller)
        #expect(result.refuses(74, "cannot write to standard output: no space left on device"), "\(result)")
        let closed = await Program.run(
            "/bin/sh", ["-c", "exec \"$0\" token torq >&-", program], environment: home.caller)
        #expect(closed.refuses(74, "cannot write to standard output"), "\(closed)")
    }
}
