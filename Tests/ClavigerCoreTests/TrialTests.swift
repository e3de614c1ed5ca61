import Foundation
import TestSupport
import Testing

/// `claviger add --try`: a person with an API that nobody has heard of.
@Suite(.timeLimit(.minutes(1))) struct TrialTests {
    @Test func `the settings are found with one try`() async throws {
        let server = try await PracticeServer()
        let fixture = CommandFixture(withoutVault: ())
        let keys = try await server.newKeys("qa")
        func add(_ options: String...) async -> ProgramResult {
            await Program.run(
                Program.claviger,
                ["add", "erp", "--token-url", server.address + "/qa/oauth2/token/", "--client-auth", "post", "--from-json", "-"]
                    + options,
                environment: fixture.environment, input: keys.json)
        }
        try await server.fail(
            #"{"status":200,"body":"{\"code\":0,\"data\":{\"token\":\"made-up-token\",\"until\":1900000000}}"}"#)
        let tried = await add("--try", "--header", "X-A: b")
        #expect(tried.status == 0, "\(tried.errors)")
        for line in [
            "POST \(server.address)/qa/oauth2/token/", "X-A: b", "client_secret=CLIENT-SECRET", "status 200",
            "/data/token: a text of 13",
            "try --answer access_token=/data/token", "try --answer expires_at=/data/until", "try --answer success=/code=0",
        ] { #expect(tried.output.contains(line), "\(line): \(tried.output)") }
        #expect(
            !tried.output.contains("made-up-token") && !tried.output.contains(keys.secret) && !tried.errors.contains(keys.secret))
        // Nothing is stored, not even a vault.
        #expect(!FileManager.default.fileExists(atPath: fixture.vault))
        try await server.fail(
            #"{"status":200,"body":"{\"code\":0,\"data\":{\"token\":\"made-up-token\",\"until\":1900000000}}"}"#)
        let right = await add(
            "--try", "--answer", "access_token=/data/token", "--answer", "expires_at=/data/until", "--answer", "success=/code=0")
        #expect(right.output.contains("a token was found; it lives "))
        #expect(await add("--try").output.contains("a token was found; it lives 36000 s"))
    }

    @Test func `what is refused comes with what else could be tried`() async throws {
        let server = try await PracticeServer()
        let fixture = CommandFixture(withoutVault: ())
        let keys = try await server.newKeys("torq")
        func add(_ options: String...) async -> ProgramResult {
            await Program.run(
                Program.claviger,
                ["add", "x", "--try", "--token-url", server.address + "/torq/v1/auth/token", "--from-json", "-"] + options,
                environment: fixture.environment, input: keys.json)
        }
        let post = await add("--client-auth", "post")
        #expect(
            post.status == 0 && post.output.contains("invalid_client") && post.output.contains("try --client-auth basic"),
            "\(post)")
        try await server.fail(#"{"status":405}"#)
        #expect(await add().output.contains("try --method GET"))
        try await server.fail(#"{"status":200,"body":"<html>"}"#)
        #expect(await add().output.contains("a body of 6 bytes that is neither JSON nor a form"))
        #expect(await add("--grant", "device-code").refuses(64, "--try is for client credentials and passwords"))
    }
}
