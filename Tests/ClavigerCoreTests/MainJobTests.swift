import Foundation
import TestSupport
import Testing

@Suite struct MainJobTests {
    @Test func fromAnEmptyHomeToARevokedToken() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        let old = try await fixture.addTorq(server)

        let first = await fixture.run("token", "torq")
        #expect(first.status == 0)
        #expect(first.errors == "")
        #expect(first.output.count == 37 && first.output.hasSuffix("\n"))
        let token = String(first.output.dropLast())
        #expect(try await server.isAccepted(token))
        #expect(await fixture.run("token", "torq").output == first.output)
        #expect(try await server.counts().granted == 1)

        let new = try await server.newKeys("torq")
        let rotated = await fixture.run("rotate", "torq", "--from-json", "-", input: new.json)
        #expect(rotated.status == 0, "\(rotated.errors)")
        #expect(try await fixture.show("torq")["client_id"] as? String == new.id)
        let second = String(await fixture.run("token", "torq").output.dropLast())
        #expect(second != token)
        #expect(try await server.isAccepted(second))

        let revoked = await fixture.run("revoke", "torq")
        #expect(revoked.errors == "claviger: revoked 1 token at the server\n")
        #expect(try await server.isAccepted(second) == false)

        // Nothing that was written anywhere holds a secret or a token; what came in came through pipes.
        for secret in [old.secret, new.secret, token, second] { #expect(fixture.folder.filesHolding(secret) == []) }
    }

    @Test func qaKillsTheOldPairAtOnce() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        let old = try await server.newKeys("qa")
        let added = await fixture.run(
            "add", "qa", "--provider", "qa", "--token-url", server.address + "/qa/oauth2/token/", "--client-id", old.id,
            "--secret-file", "-", input: old.secret + "\n")
        #expect(added.status == 0, "\(added.errors)")
        #expect(added.output == "")
        #expect(await fixture.run("token", "qa").output.count == 31)
        let new = try await server.newKeys("qa")
        #expect(await fixture.run("token", "qa", "--fresh").refuses(77, "rotate qa"))
        #expect(await fixture.run("list").output.contains("key pair refused"))
        #expect(await fixture.run("rotate", "qa", "--from-json", "-", input: old.json).refuses(64, "in use already"))
        #expect(await fixture.run("rotate", "qa", "--from-json", "-", input: new.json).status == 0)
        #expect(await fixture.run("token", "qa", "--fresh").status == 0)
        #expect(await fixture.run("rotate", "qa", "--rollback").refuses(77, "invalid_client"))
        let revoked = await fixture.run("revoke", "qa", "--json")
        #expect(revoked.output.contains(#""forgotten" : 1"#) && revoked.output.contains("valid_until"))
    }

    @Test func manyProcessesShareOneAcquisition() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        try await server.fail(#"{"expires_in":0}"#, #"{"delay":100}"#)
        #expect(await fixture.run("token", "torq", "--fresh").status == 0)
        let outputs = await withTaskGroup(of: ProgramResult.self) { group in
            for _ in 0..<12 { group.addTask { await fixture.run("token", "torq") } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(outputs.map(\.output)).count == 1)
        #expect(outputs.allSatisfy { $0.status == 0 })
        #expect(try await server.counts().granted == 3)
    }

    @Test func everyFormatOfAToken() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        let token = String(await fixture.run("token", "torq").output.dropLast())
        #expect(await fixture.run("token", "torq", "--format", "header").output == "Authorization: Bearer \(token)\n")
        #expect(await fixture.run("token", "torq", "--format", "curl").output == "header = \"Authorization: Bearer \(token)\"\n")
        let json = await fixture.run("token", "torq", "--format", "json").output
        let document = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        #expect(document["access_token"] as? String == token)
        #expect(document["token_type"] as? String == "Bearer")
        #expect((3500...3600).contains(document["expires_in"] as? Int ?? 0))
    }

    @Test func aRejectedTokenIsReplaced() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        let token = await fixture.run("token", "torq").output
        let next = await fixture.run("token", "torq", "--rejected").output
        #expect(next != token)
        #expect(await fixture.run("token", "torq").output == next)
    }

    @Test func editingRenamingAndRemoving() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        let edited = await fixture.run("edit", "torq", "--scope", "a b", "--scope", "c", "--param", "x=1", "--json")
        #expect(edited.status == 0, "\(edited.errors)")
        #expect(try await fixture.show("torq")["scopes"] as? [String] == ["a", "b", "c"])
        #expect(await fixture.run("edit", "torq", "--clear", "scope").status == 0)
        #expect(try await fixture.show("torq")["scopes"] as? [String] == [])
        #expect(await fixture.run("edit", "torq", "--token-url", server.address + "/nowhere").refuses(77, "status 404"))
        #expect(await fixture.run("rename", "torq", "torq-prod").status == 0)
        #expect(await fixture.run("remove", "torq-prod").refuses(64, "needs a yes"))
        #expect(await fixture.run("remove", "torq-prod", "--yes").status == 0)
        #expect(await fixture.run("list", "--json").output == "[\n\n]\n")
    }

    @Test func theAnswerLostOnTheWayIsFetchedAgain() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        try await server.fail(#"{"lose_answer":true}"#)
        #expect(await fixture.run("token", "torq", "--fresh").status == 0)
        #expect(try await server.counts() == (requests: 3, granted: 3))
    }

    @Test func aShortLivedTokenIsRenewed() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        _ = try await fixture.addTorq(server)
        try await server.fail(#"{"expires_in":0}"#)
        let first = await fixture.run("token", "torq", "--fresh").output
        #expect(await fixture.run("token", "torq").output != first)
    }

    @Test func aProviderIsShownWithEverythingThatIsSent() async throws {
        let fixture = CommandFixture(withoutVault: ())
        let torq = await fixture.run("providers", "torq").output
        for words in ["POST https://auth.torq.io/v1/auth/token", "Accept-Language: en_US", "Basic (CLIENT-ID and CLIENT-SECRET)"]
        {
            #expect(torq.contains(words), "\(words)")
        }
        #expect(await fixture.run("providers", "iot-x").output.contains("/authorization?username=USER&password=PASSWORD"))
        #expect(await fixture.run("providers", "google").output.contains("prompt=consent"))
        #expect(await fixture.run("providers", "torg").refuses(64, "no provider"))
    }

    @Test func providersAreListedWithWhereTheirKeysAreMade() async throws {
        let fixture = CommandFixture(withoutVault: ())
        let list = await fixture.run("providers").output
        for words in ["torq-eu", "cloudacademy", "https://app.torq.io"] { #expect(list.contains(words)) }
        try FileManager.default.createDirectory(
            atPath: fixture.folder.file(".config/claviger/providers"), withIntermediateDirectories: true)
        fixture.folder.write(
            ".config/claviger/providers/mine.json",
            #"{"name":"mine","title":"Mine","token_url":"https://mine.example/t","grants":["client_credentials"]}"#)
        #expect(await fixture.run("providers", "--json").output.contains("https://mine.example/t"))
        fixture.folder.write(".config/claviger/providers/mine.json", #"{"name":"mine"}"#)
        #expect(await fixture.run("providers").refuses(78, "mine.json"))
    }

    @Test func aServerThatSaysWhereItsEndpointsAre() async throws {
        let server = try await PracticeServer()
        let fixture = try await CommandFixture()
        let keys = try await server.newKeys("qa")
        let added = await fixture.run("add", "found", "--issuer", server.address, "--from-json", "-", input: keys.json)
        #expect(added.status == 0, "\(added.errors)")
        #expect(added.errors.contains("client-credentials with post at \(server.address)/qa/oauth2/token/"))
        #expect(try await fixture.show("found")["revocation_url"] as? String == server.address + "/revoke")
        // The issuer must match to the letter.
        let slash = await fixture.run("add", "x", "--issuer", server.address + "/", "--from-json", "-", input: keys.json)
        #expect(slash.refuses(69, "it names the issuer http:"))
        let nothing = await fixture.run("add", "x", "--issuer", server.address + "/nowhere", "--from-json", "-", input: keys.json)
        #expect(nothing.refuses(69, "there is none at either of the well-known addresses (status 404)"))
    }
}
