import Foundation
import TestSupport
import Testing

/// A vault that is copied, put back, and moved: what claviger-backup(7) says, on two homes.
@Suite(.timeLimit(.minutes(3))) struct MovingTests {
    private struct Home {
        let folder = TemporaryFolder()
        let name: String
        var vault: String { folder.file(".local/share/claviger/vault") }
        var environment: [String: String] {
            [
                "HOME": folder.path, "CLAVIGER_KEY_FILE": folder.file("key"), "CLAVIGER_SOCKET": folder.file("a.sock"),
                "CLAVIGER_HOST_ID": name,
            ]
        }

        func run(_ arguments: String..., input: String? = nil) async -> ProgramResult {
            await Program.run(Program.claviger, arguments, environment: environment, input: input)
        }

        func take(_ vault: String, key: String) throws {
            try FileManager.default.createDirectory(
                atPath: folder.file(".local/share/claviger"), withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
            for (from, to) in [(vault, self.vault), (key, folder.file("key"))] where from != to {
                try? FileManager.default.removeItem(atPath: to)
                try FileManager.default.copyItem(atPath: from, toPath: to)
                chmod(to, 0o600)
            }
        }
    }

    private struct Fixture {
        let server: PracticeServer
        let old = Home(name: "old")
        let new = Home(name: "new")
        var backup: String { old.folder.file("backup") }

        init() async throws {
            server = try await PracticeServer()
            try #require(await old.run("init").status == 0)
            let torq = try await server.newKeys("torq")
            let added = await old.run(
                "add", "torq", "--provider", "torq", "--token-url", server.address + "/torq/v1/auth/token", "--from-json", "-",
                input: torq.json)
            try #require(added.status == 0, "\(added.errors)")
            let keys = try await server.newKeys("logins")
            let login = try await server.newLogin()
            let json = #"{"client_id":"\#(keys.id)","client_secret":"\#(keys.secret)","refresh_token":"\#(login)"}"#
            let logged = await old.run(
                "add", "login", "--grant", "refresh-token", "--client-auth", "post", "--token-url",
                server.address + "/logins/token",
                "--from-json", "-", input: json)
            try #require(logged.status == 0, "\(logged.errors)")
            try FileManager.default.copyItem(atPath: old.vault, toPath: backup)
        }
    }

    @Test func `a copy is restored, and an older one only with a word`() async throws {
        let fixture = try await Fixture()
        let (old, backup) = (fixture.old, fixture.backup)
        #expect(await old.run("unlock").status == 0)
        #expect(await old.run("allow", "torq", "--user", "root").status == 0)
        #expect(await old.run("lock").status == 0)
        try old.take(backup, key: old.folder.file("key"))
        let refused = await old.run("list")
        #expect(refused.refuses(65, "the vault is older") && refused.errors.contains("--accept-older-vault"), "\(refused.errors)")
        #expect(await old.run("list", "--accept-older-vault").output.contains("torq"))
        #expect(await old.run("token", "torq").status == 0)
        #expect(await old.run("policy").errors.contains("no rules"))
        #expect(await old.run("check", "torq").status == 0)
        #expect(await old.run("agent", "stop").status == 0)
    }

    @Test func `a login that was renewed since the copy ends, and begins anew`() async throws {
        let fixture = try await Fixture()
        let old = fixture.old
        #expect(await old.run("token", "login", "--fresh").status == 0)
        try old.take(fixture.backup, key: old.folder.file("key"))
        #expect(await old.run("list", "--accept-older-vault").status == 0)
        let ended = await old.run("token", "login", "--fresh")
        #expect(ended.refuses(77, "the login has ended") && ended.errors.contains("claviger login login"), "\(ended.errors)")
        let again = await old.run("login", "login", "--refresh-token-file", "-", input: try await fixture.server.newLogin())
        #expect(again.status == 0, "\(again.errors)")
        #expect(await old.run("token", "login", "--fresh").status == 0)
    }

    @Test func `key pairs work on both machines, and a login is taken over`() async throws {
        let fixture = try await Fixture()
        let (old, new) = (fixture.old, fixture.new)
        try new.take(old.vault, key: old.folder.file("key"))
        for home in [old, new] { #expect(await home.run("token", "torq", "--fresh").status == 0) }
        let kept = await new.run("token", "login", "--fresh")
        #expect(kept.refuses(77, "kept alive by another machine") && kept.errors.contains("--take-over"), "\(kept.errors)")
        #expect(try await fixture.server.reuses() == 0)
        #expect(await new.run("token", "login", "--fresh", "--take-over").status == 0)
        #expect(await new.run("token", "login", "--fresh").status == 0)
        #expect(try await fixture.server.reuses() == 0)
    }

    @Test func `a second key opens the copy, too`() async throws {
        let fixture = try await Fixture()
        let (old, new) = (fixture.old, fixture.new)
        #expect(await old.run("key", "add", "--new-key-file", old.folder.file("safe")).status == 0)
        try new.take(old.vault, key: old.folder.file("safe"))
        #expect(await new.run("list").output.contains("torq"))
        chmod(new.vault, 0o644)
        #expect(await new.run("list").errors.contains("chmod"))
    }
}
