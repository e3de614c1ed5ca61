import Access
import CoreFoundation
import Foundation
import OAuth
import Sodium
import Synchronization
import TestSupport
import Testing
import TokenEngine
import Vault

@testable import Agent
@testable import Credentials

@Suite(.timeLimit(.minutes(2))) struct RenewalScheduleTests {
    /// What an agent told of, one after the other.
    private final class Reports: Sendable {
        private let all = Mutex<[String]>([])
        var lines: [String] { all.withLock { $0 } }
        func add(_ line: String) { all.withLock { $0.append(line) } }
    }

    /// Forty more credentials, each with a token.
    private func askForForty(_ fixture: AgentFixture) async throws {
        let local = CredentialService(vault: fixture.vault, transport: fixture.server)
        for number in 0..<40 {
            _ = try await local.add("c\(number)", try AgentFixture.credential(), verify: false)
            _ = try await token(fixture, "c\(number)")
        }
    }

    private func token(_ fixture: AgentFixture, _ name: String = "a") async throws -> String {
        let answer = try await fixture.ask("GET", "/v1/tokens/\(name)", headers: ["Accept: text/plain"])
        #expect(answer.status == 200, "\(answer.body)")
        return answer.body
    }

    private func failures(_ fixture: AgentFixture) async throws -> [RefreshFailure] {
        try await fixture.client.status().failures ?? []
    }

    @Test func aTokenIsRenewedBeforeAnybodyWaitsForIt() async throws {
        let fixture = try await AgentFixture()
        let first = try await token(fixture)
        fixture.clock.advance(3600 * 0.74)
        await fixture.agent.refresh()
        #expect(fixture.server.requests == 1)
        fixture.clock.advance(3600 * 0.15)
        await fixture.agent.refresh()
        #expect(fixture.server.requests == 2)
        // Once is enough; and who asks now has the new one at once.
        await fixture.agent.refresh()
        #expect(try await token(fixture) != first)
        #expect(fixture.server.requests == 2)
        let events = try AuditFiles.lines(fixture.folder.file("vault.log")).compactMap(AuditEvent.init).dropFirst()
        #expect(events.map(\.event) == [.token, .refresh, .token])
        #expect(events[2].outcome == "done" && events[2].token == events[3].token)
    }

    @Test func `a login that would end of idleness is used, though nobody wants its token`() async throws {
        let fixture = try await AgentFixture()
        let day = 86_400.0
        var settings = ClientSettings(grant: .refreshToken, tokenURL: try EndpointURL("https://example.com/token"))
        settings.loginIdle = Int(10 * day)
        let client = ClientCredentials(id: "id", secret: try Secret(utf8: "made-up-secret"))
        let configuration = CredentialConfiguration(
            provider: nil, settings: settings, keyPair: KeyPair(client: client, since: fixture.clock.now()))
        let login = Login(
            refreshToken: try Secret(utf8: "made-up-refresh"), since: fixture.clock.now(), renewed: fixture.clock.now(),
            rotation: .keeps, owner: "here")
        let record = try CredentialRecord.record(Credential(configuration, TokenState(login: login)))
        try fixture.vault.update { try $0.add("idle", record) }
        _ = try await token(fixture, "idle")
        #expect(fixture.server.requests == 1)
        for _ in 0..<2 {
            let before = fixture.server.requests
            fixture.clock.advance(7 * day)
            await fixture.agent.refresh()
            #expect(fixture.server.requests == before)
            fixture.clock.advance(day)
            for _ in 0..<3 { await fixture.agent.refresh() }
            #expect(fixture.server.requests == before + 1)
        }
        // One that can't be used is tried again the next day.
        fixture.server.refuse(400)
        fixture.clock.advance(8 * day)
        await fixture.agent.refresh()
        #expect(try await failures(fixture).map(\.credential) == ["idle"])
        fixture.server.refuse(nil)
        fixture.clock.advance(day)
        await fixture.agent.refresh()
        #expect(try await failures(fixture).isEmpty)
    }

    @Test func whatWasBoughtTogetherDoesNotComeBackTogether() async throws {
        let fixture = try await AgentFixture()
        try await askForForty(fixture)
        #expect(fixture.server.requests == 40)
        func renewed() async -> Int {
            for _ in 0..<4 { await fixture.agent.refresh() }
            return fixture.server.requests - 40
        }
        fixture.clock.advance(3600 * 0.815)
        #expect((1..<40).contains(await renewed()))
        fixture.clock.advance(3600 * 0.07)
        #expect(await renewed() == 40)
    }

    @Test func `all that is due is renewed, over a few connections to the server`() async throws {
        let fixture = try await AgentFixture(server: GrantingServer(delay: .milliseconds(20)))
        try await askForForty(fixture)
        fixture.clock.advance(3600 * 0.89)
        await fixture.agent.refresh()
        #expect(fixture.server.requests == 80)
        #expect((2...RenewalPlans.connections).contains(fixture.server.mostAtOnce))
    }

    @Test func `a record of a newer version keeps no other token from being renewed or listed`() async throws {
        var settings = RefreshSettings()
        settings.keepsAllFresh = true
        let fixture = try await AgentFixture(refresh: settings)
        let newer = try Record(description: Array(#"{"from":"a later version"}"#.utf8), secrets: [:])
        try fixture.vault.update { try $0.replace("a", with: newer) }
        await fixture.agent.refresh()
        #expect(fixture.server.requests == 1)
        let b = try #require(await fixture.client.credential("b").view)
        #expect(try await fixture.client.list() == [.unreadable(name: "a", .newer), .readable(b)])
        let answer = try await fixture.ask("GET", "/v1/credentials")
        #expect(answer.status == 200 && answer.body.contains(#"{"name":"a","unreadable":"newer"}"#))
        let token = try await fixture.ask("GET", "/v1/tokens/a")
        #expect(token.status == 500 && token.body.contains("was written by a newer claviger"), "\(token.body)")
    }

    /// The whole way, with a vault and its commits: nobody waits for a server, and no token ends.
    @Test func `three hundred tokens of a minute are valid at every moment`() async throws {
        var settings = RefreshSettings()
        settings.keepsAllFresh = true
        let fixture = try await AgentFixture(server: GrantingServer(lifetime: 60), refresh: settings)
        let names = (0..<300).map { "c\($0)" }
        try fixture.addAll(names)
        // Two minutes, half a second at a time.
        for step in 0..<240 {
            await fixture.agent.refresh()
            if step % 24 == 0 {
                let before = fixture.server.requests
                for name in names { _ = try await token(fixture, name) }
                #expect(fixture.server.requests == before, "after \(Double(step) / 2) s")
            }
            fixture.clock.advance(0.5)
        }
    }

    @Test func `a failure's remedy says how long the next try is put off`() {
        func pause(_ failure: TokenError, left: Double = 100) -> Double { RenewalSchedule.pause(after: failure, left: left) }
        #expect(pause(.keyPairRefused) == 3600)
        #expect(pause(.loginNeeded(.never)) == 3600)
        #expect(pause(.refused(.registered("invalid_scope"))) == 3600)
        #expect(pause(.busy(retryAfter: 300)) == 300)
        #expect(pause(.busy(retryAfter: 1)) == 25)
        #expect(pause(.serverFailing(status: 500)) == 25)
        #expect(pause(.unusableAnswer(reason: "made up"), left: 1000) == 60)
        // The network may be another one in a minute.
        #expect(pause(.unreachable(.certificate(host: "a", reason: "made up")), left: 0) == 5)
        #expect(RenewalSchedule.pause(after: VaultError.lockTimeout, left: 100) == 25)
    }

    @Test func whatNobodyAskedForInADayIsLeftAlone() async throws {
        for keepsAll in [false, true] {
            var settings = RefreshSettings()
            settings.keepsAllFresh = keepsAll
            let fixture = try await AgentFixture(server: GrantingServer(lifetime: 7 * 86_400), refresh: settings)
            _ = try await token(fixture)
            // With it, the other credential gets a token before anybody asks.
            await fixture.agent.refresh()
            #expect(fixture.server.requests == (keepsAll ? 2 : 1))
            fixture.clock.advance(7 * 86_400 * 0.89)
            await fixture.agent.refresh()
            #expect(fixture.server.requests == (keepsAll ? 4 : 1))
        }
    }

    @Test func aTokenThatCannotBeRenewedIsHandedOutWhileItIsValid() async throws {
        let reports = Reports()
        var settings = RefreshSettings()
        settings.report = { reports.add($0) }
        let fixture = try await AgentFixture(refresh: settings)
        let first = try await token(fixture)
        fixture.server.refuse(200, "<html>")
        fixture.clock.advance(3600 * 0.89)
        await fixture.agent.refresh()
        let tries = fixture.server.requests
        #expect(tries == 2)
        #expect(try await token(fixture) == first)
        let failure = try #require(try await failures(fixture).first)
        #expect(failure.credential == "a" && !failure.needsPerson)
        // Not again in the same moment; but soon, and with no second report.
        await fixture.agent.refresh()
        #expect(fixture.server.requests == tries)
        fixture.clock.advance(75)
        await fixture.agent.refresh()
        #expect(fixture.server.requests > tries)
        #expect(reports.lines.count == 1 && reports.lines[0].hasPrefix("the token of a could not be renewed"))
        fixture.server.refuse(nil)
        fixture.clock.advance(75)
        await fixture.agent.refresh()
        #expect(try await token(fixture) != first)
        #expect(try await failures(fixture).isEmpty)
    }

    @Test func whatNeedsAPersonIsTriedOnceAnHour() async throws {
        let fixture = try await AgentFixture(server: GrantingServer(lifetime: 86_400))
        _ = try await token(fixture)
        fixture.server.refuse(401, #"{"error":"invalid_client"}"#)
        fixture.clock.advance(86_400 * 0.885)
        await fixture.agent.refresh()
        let tries = fixture.server.requests
        #expect(try await failures(fixture).map(\.needsPerson) == [true])
        fixture.clock.advance(2000)
        await fixture.agent.refresh()
        #expect(fixture.server.requests == tries)
        #expect(try await fixture.ask("GET", "/v1/status").body.contains(#""needs_person":true"#))
    }

    @Test func aRemovedCredentialIsForgotten() async throws {
        let fixture = try await AgentFixture()
        _ = try await token(fixture)
        try await CredentialService(vault: fixture.vault, transport: fixture.server).remove("a")
        fixture.clock.advance(3600 * 0.89)
        await fixture.agent.refresh()
        #expect(fixture.server.requests == 1)
        #expect(try await failures(fixture).isEmpty)
    }

    @Test func aSinkHoldsAValidToken() async throws {
        let folder = TemporaryFolder()
        var settings = RefreshSettings()
        let owner: (uid: UInt32, gid: UInt32)? = geteuid() == 0 ? (65_534, 65_534) : nil
        settings.sinks = [
            TokenSink(credential: "a", path: folder.file("token"), owner: owner) { token in
                Array("is \(token.token.revealed())".utf8)
            }
        ]
        let fixture = try await AgentFixture(refresh: settings)
        func content() -> String { String(decoding: bytes(ofFile: folder.file("token")), as: UTF8.self) }
        await fixture.agent.refresh()
        #expect(content() == "is made-up-token-1")
        var status = stat()
        #expect(stat(folder.file("token"), &status) == 0 && status.st_mode & 0o7777 == 0o600)
        #expect(status.st_uid == owner?.uid ?? geteuid())
        // A file that goes away comes back; one that is good is left alone.
        let inode = status.st_ino
        await fixture.agent.refresh()
        #expect(stat(folder.file("token"), &status) == 0 && status.st_ino == inode)
        unlink(folder.file("token"))
        await fixture.agent.refresh()
        #expect(content() == "is made-up-token-1")
        // Renewed before its end, it is replaced in one step.
        fixture.clock.advance(3600 * 0.89)
        await fixture.agent.refresh()
        await fixture.agent.refresh()
        #expect(content() == "is made-up-token-2")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["token"])
        let events = try AuditFiles.lines(fixture.folder.file("vault.log")).compactMap(AuditEvent.init).dropFirst()
        #expect(events.first?.reason == "sink " + folder.file("token"))
        // Nothing is written while the vault is locked.
        fixture.agent.lock()
        unlink(folder.file("token"))
        await fixture.agent.refresh()
        #expect(content() == "")
    }

    @Test func aSinkThatCannotBeWrittenIsReported() async throws {
        let folder = TemporaryFolder()
        let reports = Reports()
        var settings = RefreshSettings()
        settings.report = { reports.add($0) }
        settings.sinks = [TokenSink(credential: "a", path: folder.file("none/token")) { _ in [] }]
        let fixture = try await AgentFixture(refresh: settings)
        await fixture.agent.refresh()
        #expect(reports.lines.count == 1 && reports.lines[0].contains("none/token could not be written"))
        #expect(try await failures(fixture).count == 1)
        mkdir(folder.file("none"), 0o700)
        fixture.clock.advance(60)
        await fixture.agent.refresh()
        #expect(FileManager.default.fileExists(atPath: folder.file("none/token")))
        #expect(try await failures(fixture).isEmpty)
    }
}
