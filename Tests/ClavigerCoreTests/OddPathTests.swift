import Foundation
import TestSupport
import Testing

/// Paths that are no UTF-8, as in old home folders: what would be made of them in a string is another path.
@Suite(.timeLimit(.minutes(2))) struct OddPathTests {
    let folder = TemporaryFolder()

    /// Runs a shell's words, which may be any bytes.
    private func shell(_ script: String) async -> ProgramResult {
        await Program.run("/bin/sh", ["-c", script], environment: ["PATH": "/usr/bin:/bin", "CLAVIGER": Program.claviger])
    }

    /// Below the test's folder, by their bytes.
    private func files() async -> String { await shell("cd \(folder.path) && find . | LC_ALL=C sort").output }

    @Test(arguments: ["HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "CLAVIGER_VAULT", "CLAVIGER_SOCKET", "CLAVIGER_KEY_FILE"])
    func `a variable that is no text is refused and nothing is made`(_ name: String) async throws {
        let home = "HOME=\(folder.path) CLAVIGER_KEY_FILE=\(folder.file("key"))"
        let odd = "\(name)=\"$(printf '\(folder.path)/caf\\351')\""
        for command in ["init", "token torq", "lock", "list"] {
            let result = await shell("export \(home) \(odd); \"$CLAVIGER\" \(command)")
            #expect(result.refuses(78, "$\(name) is no UTF-8"), "\(command): \(result)")
        }
        #expect(await files() == ".\n")
    }

    @Test func `an argument that is no text is refused, but a command's own`() async throws {
        let home = "export HOME=\(folder.path) CLAVIGER_KEY_FILE=\(folder.file("key")) CLAVIGER_SOCKET=\(folder.file("s"))"
        let odd = "\"$(printf '\(folder.path)/caf\\351')\""
        for command in ["init --vault \(odd)", "--vault \(odd) list", "token torq --reason \(odd)", "init --key-file \(odd)"] {
            let result = await shell("\(home); \"$CLAVIGER\" \(command)")
            #expect(result.refuses(64, "an argument is no UTF-8"), "\(command): \(result)")
        }
        #expect(await files() == ".\n")
        let server = try await PracticeServer()
        #expect(await shell("\(home); \"$CLAVIGER\" init").status == 0)
        let keys = try await server.newKeys("torq").json
        let add = "add torq --provider torq --token-url \(server.address)/torq/v1/auth/token --from-json -"
        #expect(await shell("\(home); printf '%s' '\(keys)' | \"$CLAVIGER\" \(add)").status == 0)
        let passed = await shell("\(home); \"$CLAVIGER\" exec torq -- printf '%s' \(odd) | od -An -tx1 | tr -d ' \\n'")
        #expect(passed.output.hasSuffix("636166e9"), "\(passed)")
    }

    /// Whether a folder above keeps others out can't be told of a path that can't be written down.
    @Test func `a key file that others may read is refused where its path is no text`() async throws {
        let home = "export HOME=\(folder.path) CLAVIGER_SOCKET=\(folder.file("s"))"
        let enter = "cd \(folder.path) && d=$(printf 'caf\\351') && mkdir -p \"$d\" && cd \"$d\""
        let make = "\"$CLAVIGER\" init --key-file k --vault v && chmod 644 k"
        #expect(await shell("\(home); \(enter); \(make)").status == 0)
        let result = await shell("\(home); \(enter); \"$CLAVIGER\" list --key-file k --vault v")
        #expect(result.status == 77 && result.errors.contains("can"), "\(result)")
    }

    @Test func `a current folder that is no text is told of where it counts`() async throws {
        let home = "export HOME=\(folder.path) CLAVIGER_KEY_FILE=\(folder.file("key")) CLAVIGER_SOCKET=\(folder.file("s"))"
        let enter = "cd \(folder.path) && d=$(printf 'caf\\351') && mkdir -p \"$d\" && cd \"$d\""
        // What this process does itself needs no more than the name.
        #expect(await shell("\(home); \(enter); \"$CLAVIGER\" init --vault here && test -f here").status == 0)
        let result = await shell("\(home); \(enter); \"$CLAVIGER\" unlock --vault here")
        #expect(result.refuses(78, "the name of the current folder is no UTF-8"), "\(result)")
        let own = home.replacingOccurrences(of: "/key ", with: "/key2 ")
        #expect(await shell("\(own); \(enter); \"$CLAVIGER\" init").status == 0)
        #expect(await shell("\(own); \(enter); \"$CLAVIGER\" list").status == 0)
    }
}
