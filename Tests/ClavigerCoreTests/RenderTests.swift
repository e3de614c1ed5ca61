import Foundation
import TestSupport
import Testing

/// `claviger render`: tokens in texts.
@Suite(.timeLimit(.minutes(3))) struct RenderTests {
    private struct Fixture {
        let server: PracticeServer
        let command: CommandFixture

        init() async throws {
            server = try await PracticeServer()
            command = try await CommandFixture()
            _ = try await command.addTorq(server)
        }

        func file(_ name: String, _ text: String) throws -> String {
            let path = command.folder.file(name)
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            return path
        }
    }

    private func text(_ path: String) -> String { String(decoding: bytes(ofFile: path), as: UTF8.self) }

    @Test func `a text is filled, from a pipe or a file, with one token for all its places`() async throws {
        let fixture = try await Fixture()
        let command = fixture.command
        let template = "a: {{ torq.access_token }}\nb: ##{{ $.integrations.torq.access_token }}\nc: {{ torq.token_type }}\n"
        let piped = await command.run("render", input: template)
        let token = await command.run("token", "torq").output.trimmingCharacters(in: .newlines)
        #expect(piped.output == "a: \(token)\nb: \(token)\nc: Bearer\n", "\(piped.errors)")
        let path = try fixture.file("t", template)
        #expect(await command.run("render", path).output == piped.output)
        let out = fixture.command.folder.file("out")
        let written = await command.run("render", path, "-o", out)
        #expect(written.status == 0 && written.output.isEmpty && text(out) == piped.output, "\(written.errors)")
        var status = stat()
        #expect(stat(out, &status) == 0 && status.st_mode & 0o777 == 0o600)
    }

    @Test(arguments: [
        ("x\n{{ torq.access_token", Int32(65), "t:2:1: {{ has no }}"),
        ("{{ nobody.access_token }}", 66, "no credential “nobody”"),
        ("{{ torq.refresh_token }}", 77, "refresh_token"), ("{{ torq.made_up }}", 66, "made_up"),
    ])
    func `a text that can't be filled changes nothing`(_ template: String, _ status: Int32, _ words: String) async throws {
        let fixture = try await Fixture()
        let path = try fixture.file("t", "{{ torq.access_token }}" + template)
        let out = try fixture.file("out", "before")
        let result = await fixture.command.run("render", path, "-o", out)
        #expect(result.status == status && result.errors.contains(words) && result.output.isEmpty, "\(result)")
        #expect(text(out) == "before")
    }

    @Test func `what can't be is refused`() async throws {
        let fixture = try await Fixture()
        let path = try fixture.file("t", "{{ torq.access_token }}")
        let command = fixture.command
        #expect(await command.run("render", path, "--watch").refuses(64, "--watch needs a file to keep"))
        #expect(await command.run("render", "-", "--watch", "-o", "x").refuses(64, "needs a file"))
        #expect(await command.run("render", path, "--check", "-o", "x").refuses(64, "--check writes nothing"))
        #expect(await command.run("render", "/made/up").refuses(66, "/made/up"))
        #expect(await command.run("render", path, "-o", command.folder.path).refuses(73, "is a folder"))
        #expect(await command.run("render", path, "-o", "/proc/x").status == 74)
    }

    @Test func `check says what would be used, and asks for nothing`() async throws {
        let fixture = try await Fixture()
        let before = try await fixture.server.counts().requests
        let path = try fixture.file("t", "{{ torq.access_token }}\n {{ nobody.scope }}")
        let checked = await fixture.command.run("render", path, "--check")
        #expect(checked.status == 66 && checked.errors.contains("no credential “nobody”"))
        #expect(checked.output.contains("1:1    torq        access_token  ready"), "\(checked.output)")
        #expect(checked.output.contains("2:2    nobody      scope         NOT THERE"), "\(checked.output)")
        #expect(try await fixture.server.counts().requests == before)
        #expect(await fixture.command.run("render", "--check", input: "none").errors.contains("no place for a token"))
    }

    @Test func `a file with tokens of a blocked credential goes`() async throws {
        let fixture = try await Fixture()
        let path = try fixture.file("t", "{{ torq.access_token }}")
        let out = fixture.command.folder.file("out")
        #expect(await fixture.command.run("render", path, "-o", out).status == 0)
        #expect(await fixture.command.run("block", "torq").status == 0)
        let watching = await fixture.command.run("render", path, "-o", out, "--watch")
        #expect(watching.status == 77 && watching.errors.contains("has been blocked") && watching.errors.contains("removed "))
        #expect(access(out, F_OK) != 0)
    }

    @Test func `a watched file follows its tokens`() async throws {
        let home = try await AgentHome()
        let folder = home.fixture.folder
        try Data("t={{ torq.access_token }}".utf8).write(to: URL(fileURLWithPath: folder.file("t")))
        #expect(await home.run("revoke", "torq", as: home.admin).status == 0)
        try await home.server.fail(#"{"expires_in":2}"#)
        let watching = Program.spawn(
            Program.claviger, ["render", folder.file("t"), "-o", folder.file("out"), "--watch"], environment: home.admin,
            input: "/dev/null", output: "/dev/null", errors: folder.file("err"))
        #expect(try await eventually { !bytes(ofFile: folder.file("out")).isEmpty })
        let first = text(folder.file("out"))
        #expect(try await eventually { text(folder.file("out")) != first && !text(folder.file("out")).isEmpty })
        kill(watching, SIGTERM)
        #expect(await Program.wait(watching) == 128 + SIGTERM)
    }
}
