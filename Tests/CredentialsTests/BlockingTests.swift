import Access
import AgentProtocol
import Foundation
import HTTPTypes
import OAuth
import Sodium
import Synchronization
import TestSupport
import Testing
import TokenEngine
import Vault

@testable import Credentials

/// Grants tokens to everybody, and can be made to wait before an answer.
private final class SlowServer: HTTPTransport {
    private let state = Mutex((requests: 0, waits: AsyncStream<Void>?.none))
    var requests: Int { state.withLock { $0.requests } }

    /// Answers when the stream has ended.
    func wait(for stream: AsyncStream<Void>?) { state.withLock { $0.waits = stream } }

    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        let (number, waits) = state.withLock { state in
            state.requests += 1
            return (state.requests, state.waits)
        }
        if let waits { for await _ in waits {} }
        let refresh = String(decoding: request.body, as: UTF8.self).contains("refresh_token") ? #","refresh_token":"r"# : ""
        let body =
            #"{"access_token":"made-up-\#(number)","expires_in":3600\#(refresh.isEmpty ? "" : refresh + #"-\#(number)""#)}"#
        return EndpointAnswer(status: 200, body: Array(body.utf8))
    }
}

/// Hands out nothing until somebody unblocks it, and goes on being kept.
@Suite struct BlockingTests {
    private struct Fixture {
        let folder = TemporaryFolder()
        let server = SlowServer()
        let clock = MovableClock()
        let vault: UnlockedVault
        let log: AuditLog
        let service: CredentialService

        init(_ grant: GrantType = .clientCredentials) async throws {
            let key = UnlockKey.keyFile(Secret(try SecretBytes.random(count: 32)))
            vault = try LockedVault.create(at: folder.file("vault"), keys: [(key, "")], memory: nil)
            log = AuditLog(vault: vault, path: folder.file("vault.log"))
            service = CredentialService(vault: vault, log: log, transport: server, clock: clock, host: Host(id: "here"))
            _ = try await service.add("a", try Self.new(grant), verify: true)
        }

        static func new(_ grant: GrantType, _ change: (inout ClientSettings) -> Void = { _ in }) throws -> NewCredential {
            var settings = ClientSettings(
                grant: grant, clientAuthentication: .post, tokenURL: try EndpointURL("https://example.com/token"))
            change(&settings)
            var new = NewCredential(provider: nil, settings: settings, client: try client("old"))
            if grant == .refreshToken { new.refreshToken = try Secret(utf8: "r-0") }
            return new
        }

        static func client(_ name: String) throws -> ClientCredentials {
            ClientCredentials(id: name, secret: try Secret(utf8: "made-up-\(name)"))
        }

        func stored(_ name: String = "a") throws -> Credential {
            try CredentialRecord.credential(vault.record(name), name: name)
        }
    }

    private func isBlocked(_ error: any Error) -> Bool { (error as? TokenError)?.block != nil }

    @Test func `a blocked credential hands out no token and sends nothing until it is unblocked`() async throws {
        let fixture = try await Fixture()
        let first = try await fixture.service.token("a", TokenQuery()).token.revealed()
        let view = try await fixture.service.block("a", reason: "it leaked")
        #expect(view.state(at: fixture.clock.now()).state == .blocked && view.blockedReason == "it leaked")
        for mode in [TokenQuery.Mode.cached, .fresh, .rejected] {
            await #expect { try await fixture.service.token("a", TokenQuery(mode: mode)) } throws: { isBlocked($0) }
        }
        #expect(fixture.server.requests == 1)
        // The next process finds it in the vault.
        let other = CredentialService(vault: fixture.vault, log: fixture.log, transport: fixture.server, host: Host(id: "here"))
        await #expect { try await other.token("a", TokenQuery()) } throws: { isBlocked($0) }
        let unblocked = try await fixture.service.unblock("a")
        #expect(unblocked.blockedSince == nil && unblocked.blockedReason == nil)
        #expect(try await fixture.service.token("a", TokenQuery()).token.revealed() == first)
    }

    @Test func `blocked twice it is blocked since the first time, with the newest reason`() async throws {
        let fixture = try await Fixture()
        let first = try await fixture.service.block("a", reason: "one")
        fixture.clock.advance(60)
        #expect(try await fixture.service.block("a", reason: nil).blockedReason == "one")
        let last = try await fixture.service.block("a", reason: "two")
        #expect(last.blockedSince == first.blockedSince && last.blockedReason == "two")
    }

    @Test func `a token that is acquired while its credential is blocked is stored, and handed out to nobody`() async throws {
        let fixture = try await Fixture()
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        fixture.server.wait(for: stream)
        let service = fixture.service
        let asking = Task { try await service.token("a", TokenQuery(mode: .fresh)) }
        #expect(try await eventually { fixture.server.requests == 2 })
        // It does not wait for the acquisition.
        _ = try await service.block("a", reason: nil)
        continuation.finish()
        await #expect { try await asking.value } throws: { isBlocked($0) }
        #expect(try fixture.stored().state.tokens.map { $0.token.revealed() } == ["made-up-2"])
        #expect(try fixture.stored().configuration.block != nil)
    }

    @Test func `a blocked key pair is rotated, edited and checked, and stays blocked`() async throws {
        let fixture = try await Fixture()
        let since = try await fixture.service.block("a", reason: "made up").blockedSince
        #expect(try await fixture.service.check("a") == .granted)
        let rotated = try await fixture.service.rotate("a", .to(try Fixture.client("new")), verify: true)
        #expect(rotated.clientID == "new" && rotated.blockedSince == since)
        var settings = rotated.settings
        settings.scopes = ["read"]
        let edit = SettingsEdit(
            before: .init(clientID: "new", settings: rotated.settings), after: .init(clientID: "new", settings: settings))
        let edited = try await fixture.service.edit("a", edit, verify: true)
        #expect(edited.settings.scopes == ["read"] && edited.blockedSince == since && edited.blockedReason == "made up")
        try await fixture.service.rename("a", to: "b")
        await #expect { try await fixture.service.token("b", TokenQuery()) } throws: { isBlocked($0) }
    }

    @Test func `a blocked login is checked and renewed by that, and logged in to again`() async throws {
        let fixture = try await Fixture(.refreshToken)
        _ = try await fixture.service.block("a", reason: nil)
        let before = fixture.server.requests
        #expect(try await fixture.service.check("a") == .granted)
        #expect(fixture.server.requests == before + 1)
        let loggedIn = try await fixture.service.logIn("a", with: .refreshToken(try Secret(utf8: "r-9")))
        #expect(loggedIn.blockedSince != nil && loggedIn.stateOfClient(at: fixture.clock.now()).state == .ready)
        await #expect { try await fixture.service.token("a", TokenQuery()) } throws: { isBlocked($0) }
    }

    @Test func `the token of a blocked credential is not exchanged either`() async throws {
        let fixture = try await Fixture()
        let exchange = try Fixture.new(.tokenExchange) {
            $0.subject = ExchangedToken(source: .credential(name: "a"), type: "urn:ietf:params:oauth:token-type:access_token")
        }
        _ = try await fixture.service.add("x", exchange, verify: false)
        _ = try await fixture.service.block("a", reason: "a secret plan")
        do {
            _ = try await fixture.service.token("x", TokenQuery())
            Issue.record("there is a token")
        } catch let error as TokenError {
            #expect(error.block?.reason == "a secret plan")
            #expect(Problem(describing: error, of: "x").code == .blocked)
            // Neither the other credential nor what is said of it is for others.
            let told = Problem(toOthers: error, of: "x", keeper: "keeper")
            #expect(told.title == "there is no token of “x”: what it is made from is blocked" && told.code == .blocked)
        }
    }

    @Test func `others are told since when and why, and whom to ask`() async throws {
        let block = CredentialBlock(since: Date(timeIntervalSince1970: 0), reason: "in a\u{1B}[2J repository")
        let told = Problem(toOthers: TokenError.blocked(block), of: "a", keeper: "keeper")
        #expect(told.title.hasPrefix("there is no token of “a”: it has been blocked since 1970-01-01T00:00:00Z (in a"))
        #expect(!told.title.unicodeScalars.contains("\u{1B}"))
        #expect(told.hint?.text == "ask keeper, who keeps it" && (told.code.exit, told.code.status) == (77, 403))
        let owner = Problem(describing: TokenError.blocked(block), of: "a b")
        #expect(owner.hint?.text.hasPrefix("claviger unblock 'a b'") == true)
    }

    @Test func `the log has who blocked it, why, and who was refused`() async throws {
        let fixture = try await Fixture()
        let audited = AuditedService(fixture.service, log: fixture.log, clock: fixture.clock, caller: .own)
        _ = try await audited.block("a", reason: "it leaked")
        _ = try? await audited.token("a", TokenQuery())
        _ = try await audited.unblock("a")
        let events = try AuditFiles.lines(fixture.folder.file("vault.log")).compactMap(AuditEvent.init)
        #expect(events.map(\.event) == [.block, .block, .token, .unblock, .unblock])
        #expect(events.map(\.outcome) == ["begun", "done", "denied", "begun", "done"])
        #expect(events.map(\.reason) == ["it leaked", "it leaked", nil, nil, nil])
    }
}
