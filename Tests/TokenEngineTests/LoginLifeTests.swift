import Foundation
import OAuth
import Sodium
import Testing

@testable import TokenEngine

@Suite struct LoginLifeTests {
    private static let start = Date(timeIntervalSince1970: 1_000_000)

    private static func login() throws -> Login {
        Login(refreshToken: try Secret(utf8: "made-up"), since: start, renewed: start, owner: "here")
    }

    @Test func `each answer says anew until when the refresh token must be used`() throws {
        var login = try Self.login()
        login.note(LoginLife(idle: 100, rest: 1000), isNew: true, at: Self.start)
        #expect(login.refreshBy == Self.start + 100 && login.expires == Self.start + 1000)
        // No word, no news: it is the same refresh token.
        login.note(LoginLife(), isNew: false, at: Self.start + 50)
        #expect(login.refreshBy == Self.start + 100 && login.expires == Self.start + 1000)
        login.note(LoginLife(idle: 100), isNew: false, at: Self.start + 50)
        #expect(login.refreshBy == Self.start + 150 && login.expires == Self.start + 1000)
        // Of another one, nothing was said.
        login.note(LoginLife(rest: 2000), isNew: true, at: Self.start + 60)
        #expect(login.refreshBy == nil && login.expires == Self.start + 2060)
    }

    @Test func `what only the documentation knows counts from the login, and once`() throws {
        var login = try Self.login()
        login.note(LoginLife(total: 500), isNew: true, at: Self.start + 10)
        login.note(LoginLife(total: 900), isNew: true, at: Self.start + 20)
        #expect(login.expires == Self.start + 500)
    }

    @Test func `a refresh stores what its answer says of the login`() async throws {
        let store = MemoryStore([
            "a": try someCredential { credential in
                credential.configuration.settings.grant = .refreshToken
                credential.configuration.settings.loginIdle = 100
                credential.state.login = try? Self.login()
            }
        ])
        let body = #"{"access_token":"x","expires_in":60,"refresh_token":"made-up-2","authorization_expires_in":864000}"#
        let transport = ScriptedTransport(.status(200, body))
        let driver = TokenDriver(store: store, transport: transport, clock: ManualClock(), host: Host(id: "here"), jitter: { 1 })
        _ = try await driver.token("a", TokenQuery())
        let login = store.peek("a").state.login
        #expect(login?.refreshBy == Self.start + 100 && login?.expires == Self.start + 864_000)
    }
}
