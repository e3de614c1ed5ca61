import Foundation
import TestSupport
import Testing

/// Files with what opens the vault: who else may read them, and what they can be besides files.
@Suite(.timeLimit(.minutes(2))) struct SecretFileTests {
    /// A folder that everybody may enter, with a file that is to be read there.
    private func exposed(_ text: String, _ mode: mode_t) -> (folder: TemporaryFolder, path: String) {
        let folder = TemporaryFolder()
        chmod(folder.path, 0o755)
        let path = folder.write("secret", text)
        chmod(path, mode)
        return (folder, path)
    }

    @Test func `what opens the vault is refused where others can read it`() async throws {
        let fixture = try await CommandFixture()
        let key = exposed(String(decoding: bytes(ofFile: fixture.keyFile), as: UTF8.self), 0o640)
        let result = await fixture.run("list", "--key-file", key.path)
        #expect(result.refuses(77, "\(key.path) can be read or changed by group \(getegid())"), "\(result.errors)")
        #expect(result.errors.contains("hint: chmod 600 \(key.path), and ask yourself who has read it"))
        let passphrase = exposed("made-up passphrase of a test", 0o644)
        let environment = ["HOME": fixture.folder.path, "CLAVIGER_SOCKET": "/none", "CLAVIGER_PASSPHRASE_FILE": passphrase.path]
        for command in [["list"], ["--vault", fixture.folder.file("new"), "init"]] {
            let result = await Program.run(Program.claviger, command, environment: environment)
            #expect(result.refuses(77, "\(passphrase.path) can be read or changed by everybody"), "\(result.errors)")
        }
        #expect(
            await fixture.run("key", "add", "--new-passphrase-file", passphrase.path).refuses(77, "by everybody"))
        // A folder that nobody else can enter keeps it from them.
        chmod(passphrase.folder.path, 0o700)
        #expect(await fixture.run("key", "add", "--new-passphrase-file", passphrase.path).status == 0)
        #expect(await Program.run(Program.claviger, ["list"], environment: environment).status == 0)
    }

    @Test func `a secret to be stored is used all the same, with a note`() async throws {
        let fixture = try await CommandFixture()
        let secret = exposed("made-up", 0o644)
        let result = await fixture.run(
            "add", "a", "--no-verify", "--token-url", "https://example.com/t", "--client-id", "x", "--secret-file", secret.path)
        #expect(
            result.status == 0 && result.errors.contains("can be read or changed by everybody; chmod 600"), "\(result.errors)")
        chmod(secret.path, 0o600)
        let quiet = await fixture.run(
            "add", "b", "--no-verify", "--token-url", "https://example.com/t", "--client-id", "x", "--secret-file", secret.path)
        #expect(quiet.status == 0 && !quiet.errors.contains("can be read"), "\(quiet.errors)")
    }

    /// As container engines mount them: for everybody in the container, and read-only.
    @Test(.enabled(if: geteuid() == 0, "needs root, to mount a file system"))
    func `a secret of a container is taken`() async throws {
        let fixture = try await CommandFixture()
        let script = """
            mkdir -p /run/secrets && mount -t tmpfs -o mode=755 none /run/secrets && cp "$1" /run/secrets/key &&
            chmod 444 /run/secrets/key; "$0" list --key-file /run/secrets/key; echo "status $?"
            mount -o remount,ro /run/secrets && "$0" list --key-file /run/secrets/key; echo "status $?"
            """
        let result = await Program.run(
            "/usr/bin/unshare", ["-m", "/bin/sh", "-c", script, Program.claviger, fixture.keyFile],
            environment: ["HOME": fixture.folder.path, "CLAVIGER_SOCKET": "/none"])
        #expect(result.output == "status 77\nstatus 0\n", "\(result)")
    }

    @Test func `a credential of systemd is taken`() async throws {
        let fixture = try await CommandFixture()
        let key = exposed(String(decoding: bytes(ofFile: fixture.keyFile), as: UTF8.self), 0o440)
        let environment = fixture.environment.merging(["CREDENTIALS_DIRECTORY": key.folder.path]) { $1 }
        #expect(await fixture.run("list", "--key-file", key.path, environment: environment).status == 0)
        #expect(await fixture.run("list", "--key-file", key.path).status == 77)
    }

    /// As a shell writes `<(...)`: a pipe that is there once.
    @Test(arguments: [
        "list", "token torq", "exec torq -- true", "exec --proxy torq -- true", "unlock", "agent",
    ])
    func `a key file may be a pipe`(_ words: String) async throws {
        let home = try await AgentHome()
        let script = "set -- \(words); c=$1; shift; exec \"$0\" $c --key-file <(cat \"$KEY\") \"$@\""
        let environment = home.caller.merging(["KEY": home.fixture.keyFile]) { $1 }
        let result = await Program.run("/bin/bash", ["-c", script, Program.claviger], environment: environment)
        #expect(result.status == 0, "\(result)")
        guard ["unlock", "agent"].contains(words) else { return }
        #expect(await home.run("token", "torq").status == 0)
    }
}
