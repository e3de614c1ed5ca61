import Foundation
import TestSupport
import Testing

/// Vaults and sinks where they are not a plain file in a folder of the user's.
@Suite(.timeLimit(.minutes(2))) struct OddFileTests {
    let fixture = CommandFixture(withoutVault: ())

    private static let mayChange = geteuid() == 0 && FileManager.default.isExecutableFile(atPath: "/usr/bin/unshare")

    @Test func `a link that leads nowhere is one thing for all`() async throws {
        let folder = fixture.folder.file(".local/share/claviger")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        symlink(fixture.folder.file("unmounted/vault"), fixture.vault)
        for command in ["init", "list", "unlock"] {
            let result = await fixture.run(command)
            #expect(result.refuses(66, "is a link to a vault that is not there"), "\(command): \(result.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: fixture.keyFile))
        // Where it leads somewhere, that is what is used.
        mkdir(fixture.folder.file("unmounted"), 0o700)
        unlink(fixture.vault)
        #expect(await fixture.run("init", "--vault", fixture.folder.file("unmounted/vault")).status == 0)
        symlink(fixture.folder.file("unmounted/vault"), fixture.vault)
        #expect(await fixture.run("list").status == 0)
    }

    @Test(.enabled(if: mayChange)) func `a vault that is mounted as one file says what to mount`() async throws {
        #expect(await fixture.run("init").status == 0)
        try FileManager.default.moveItem(atPath: fixture.vault, toPath: fixture.folder.file("elsewhere"))
        fixture.folder.write(".local/share/claviger/vault", "")
        let script = "mount --bind \(fixture.folder.file("elsewhere")) \(fixture.vault) && exec \"$0\" \"$@\""
        func mounted(_ arguments: String...) async -> ProgramResult {
            let shell = ["--mount", "/bin/sh", "-c", script, Program.claviger]
            return await Program.run("/usr/bin/unshare", shell + arguments, environment: fixture.environment)
        }
        #expect(await mounted("list").status == 0)
        let result = await mounted("key", "add", "--new-key-file", fixture.folder.file("second"))
        #expect(result.status == 74 && result.errors.contains("mount the folder that it is in"), "\(result)")
        #expect(await mounted("list").status == 0)
    }

    /// A group that may do nothing with the file is no reason to refuse a change.
    @Test(.enabled(if: mayChange)) func `a group that can't be kept keeps nobody from writing`() async throws {
        #expect(await fixture.run("init").status == 0)
        // A group that the namespace does not know.
        try #require(chown(fixture.vault, 0, 54321) == 0)
        let unshare = ["--user", "--map-root-user", Program.claviger, "key", "add", "--new-key-file"]
        let result = await Program.run(
            "/usr/bin/unshare", unshare + [fixture.folder.file("second")], environment: fixture.environment)
        #expect(result.status == 0, "\(result.errors)")
        // One that the owner has left.
        let folder = fixture.folder.file("theirs")
        mkdir(folder, 0o700)
        chmod(fixture.folder.path, 0o755)
        for name in ["vault", "key"] {
            let from = name == "vault" ? fixture.vault : fixture.keyFile
            try FileManager.default.copyItem(atPath: from, toPath: folder + "/" + name)
        }
        for path in [folder, folder + "/vault", folder + "/key"] { try #require(chown(path, 65534, 54321) == 0) }
        let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups", Program.claviger, "key", "add"]
        let environment = [
            "HOME": folder, "CLAVIGER_KEY_FILE": folder + "/key", "CLAVIGER_SOCKET": folder + "/s",
            "CLAVIGER_VAULT": folder + "/vault",
        ]
        let left = await Program.run(
            "/usr/bin/setpriv", user + ["--new-key-file", folder + "/second"], environment: environment)
        #expect(left.status == 0, "\(left.errors)")
    }

    @Test(arguments: ["fifo", "folder", "device", "dangling"])
    func `a sink takes the place of a file only`(_ kind: String) async throws {
        #expect(await fixture.run("init").status == 0)
        let path = fixture.folder.file("sink")
        switch kind {
        case "fifo": mkfifo(path, 0o600)
        case "folder": mkdir(path, 0o700)
        case "device": symlink("/dev/null", path)
        default: symlink(fixture.folder.file("nothing"), path)
        }
        let result = await fixture.run("agent", "--sink", "torq=" + path)
        #expect(result.refuses(64, "would take the place of a"), "\(result.errors)")
        var status = stat()
        #expect(lstat(path, &status) == 0 && stat("/dev/null", &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
    }

    /// Whoever may write in a folder on the way could lead the agent elsewhere.
    @Test func `a sink follows no link that comes later`() async throws {
        #expect(await fixture.run("init").status == 0)
        let server = try await PracticeServer()
        _ = try await fixture.addTorq(server)
        let (way, other) = (fixture.folder.file("way"), fixture.folder.file("other"))
        for folder in [way, other] { mkdir(folder, 0o700) }
        let started = await fixture.run("agent", "--sink", "torq=" + way + "/token")
        #expect(started.status == 0, "\(started.errors)")
        while !FileManager.default.fileExists(atPath: way + "/token") { try await Task.sleep(for: .milliseconds(20)) }
        try FileManager.default.moveItem(atPath: way, toPath: way + "2")
        symlink(other, way)
        let fresh = await fixture.run("token", "torq", "--fresh")
        #expect(fresh.status == 0, "\(fresh.errors)")
        var words = ""
        while !words.contains("open the folder") { words = await fixture.run("status").output }
        #expect(try FileManager.default.contentsOfDirectory(atPath: other).isEmpty)
        #expect(await fixture.run("agent", "stop").status == 0)
    }

    @Test func `a sink behind a link is what the link leads to`() async throws {
        #expect(await fixture.run("init").status == 0)
        let server = try await PracticeServer()
        _ = try await fixture.addTorq(server)
        let (link, file) = (fixture.folder.file("link"), fixture.folder.write("file", ""))
        symlink(file, link)
        let started = await fixture.run("agent", "--sink", "torq=" + link)
        #expect(started.status == 0, "\(started.errors)")
        while try String(contentsOfFile: file, encoding: .utf8).isEmpty { try await Task.sleep(for: .milliseconds(20)) }
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == file)
        #expect(await fixture.run("agent", "stop").status == 0)
    }
}

/// Machines on which little may be used: words, and soon.
@Suite(.timeLimit(.minutes(1))) struct SmallMachineTests {
    @Test(.enabled(if: geteuid() == 0), arguments: [1, 2, 3, 4])
    func `few processes are told of`(_ count: Int) async throws {
        let folder = TemporaryFolder()
        chmod(folder.path, 0o755)
        // The number of a user who has no process, so that others' don't count.
        let user = ["--reuid", "54323", "--regid", "54323", "--clear-groups"]
        let script = "ulimit -u \(count); exec '\(Program.core)' list"
        let result = await Program.run(
            "/usr/bin/setpriv", user + ["/bin/bash", "-c", script], environment: ["HOME": folder.path])
        #expect(result.refuses(78, "may start too few processes"), "\(result)")
    }

    @Test func `little memory is told of`() async throws {
        let folder = TemporaryFolder()
        let script = "ulimit -v 130000; exec '\(Program.core)' list"
        let result = await Program.run("/bin/bash", ["-c", script], environment: ["HOME": folder.path])
        // A build with all its libraries beside it may not even load.
        #expect(result.refuses(78, "may have too little memory") || result.status == 127, "\(result)")
    }
}
