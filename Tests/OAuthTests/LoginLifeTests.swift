import Foundation
import HTTPTypes
import Testing

@testable import OAuth

@Suite struct LoginLifeTests {
    private func life(_ members: String) -> LoginLife {
        TokenResponse.read(status: 200, headers: [:], body: Array(#"{"access_token":"made-up"\#(members)}"#.utf8), now: .now).life
    }

    /// draft-ietf-oauth-refresh-token-expiration section 6.3.
    @Test func `the example of the draft`() {
        let said = life(#","refresh_token_timeout":604800,"authorization_expires_in":864000"#)
        #expect(said == LoginLife(idle: 604_800, rest: 864_000))
    }

    @Test(arguments: [
        #","refresh_token_expires_in":60"#, #","refresh_token_expires_in":"60""#, #","x_refresh_token_expires_in":60"#,
        #","refresh_expires_in":60"#, #","refresh_token_timeout":60,"refresh_token_expires_in":90"#,
    ])
    func `a refresh token's life is read in the words of all servers`(_ members: String) {
        #expect(life(members) == LoginLife(idle: 60))
    }

    @Test(arguments: [
        "", #","refresh_expires_in":0"#, #","refresh_token_expires_in":null"#, #","authorization_expires_in":"soon""#,
    ])
    func `what says nothing costs no token`(_ members: String) {
        #expect(life(members) == LoginLife())
    }

    @Test func `the settings know what a server does not say`() throws {
        var settings = ClientSettings(tokenURL: try EndpointURL("https://example.com/token"))
        (settings.loginIdle, settings.loginLifetime) = (10, 20)
        #expect(LoginLife().completed(by: settings) == LoginLife(idle: 10, total: 20))
        #expect(LoginLife(idle: 5, rest: 6).completed(by: settings) == LoginLife(idle: 5, rest: 6, total: 20))
    }
}
