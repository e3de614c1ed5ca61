import Foundation
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct TokenExchangeCommandTests {
    private func addExchange(_ fixture: CommandFixture, _ server: PracticeServer, _ more: String...) async throws -> ProgramResult
    {
        let keys = try await server.newKeys("qa")
        return await Program.run(
            Program.claviger,
            [
                "add", "narrow", "--grant", "token-exchange", "--client-auth", "post", "--token-url",
                server.address + "/qa/oauth2/token/", "--from-json", "-",
            ] + more, environment: fixture.environment, input: keys.json)
    }

    @Test func aTokenIsExchangedAndTheLinkSurvivesARename() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server, "wide")
        let added = try await addExchange(fixture, server, "--subject", "wide")
        #expect(added.status == 0, "\(added.errors)")
        #expect(await fixture.run("show", "narrow").output.contains("the token of wide (access_token)"))
        #expect(await fixture.run("rename", "wide", "broad").status == 0)
        let token = await fixture.run("token", "narrow", "--fresh")
        #expect(token.status == 0, "\(token.errors)")
        #expect(try await server.isAccepted(token.output.trimmingCharacters(in: .newlines)))
        #expect(await fixture.run("remove", "broad", "--yes").status == 0)
        #expect(
            await fixture.run("token", "narrow", "--fresh").refuses(78, "no credential “broad”, whose token is to be exchanged"))
    }

    @Test func aFilesTokenIsExchanged() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        let token = await fixture.run("token", "torq").output
        let file = fixture.folder.write("subject", token)
        let added = try await addExchange(fixture, server, "--subject-file", file, "--subject-type", "access_token")
        #expect(added.status == 0, "\(added.errors)")
        _ = fixture.folder.write("subject", "made-up-dead")
        #expect(await fixture.run("token", "narrow", "--fresh").refuses(77, "invalid_request"))
        #expect(await fixture.run("edit", "narrow", "--subject", "narrow").refuses(78, "is the result of an exchange itself"))
    }

    @Test func whatIsMissingIsSaid() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        #expect(try await addExchange(fixture, server).refuses(64, "needs a token to exchange"))
        #expect(
            try await addExchange(fixture, server, "--subject", "a", "--subject-file", "b").refuses(64, "can't both be given"))
        #expect(try await addExchange(fixture, server, "--subject", "a", "--actor-type", "jwt").refuses(64, "--actor-type needs"))
        #expect(try await addExchange(fixture, server, "--subject", "nobody").refuses(78, "no credential “nobody”"))
        #expect(
            try await addExchange(fixture, server, "--subject-file", "/nowhere").refuses(66, "no token to exchange in /nowhere"))
        #expect(await fixture.run("list").errors.contains("the vault is empty"))
    }
}
