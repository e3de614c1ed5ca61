import Foundation
@testable import OAuth
import Testing

/// What the catalogue knows of refresh tokens. claviger-providers(5) names the page that says so for each.
@Suite struct RefreshRotationTests {
    struct Knowledge: Sendable, Equatable {
        var rotates: Bool?
        var grace: RefreshTokenGrace?
        var olderTokensLive: Bool?
    }

    static let known: [String: Knowledge] = [
        "google": Knowledge(rotates: false),
        "dropbox": Knowledge(rotates: false),
        "github-app": Knowledge(rotates: true, olderTokensLive: false),
        "gitlab": Knowledge(rotates: true, olderTokensLive: false),
        "entra-login": Knowledge(rotates: true, grace: .seconds(86_400), olderTokensLive: true),
        "okta": Knowledge(grace: .seconds(30)),
        "slack": Knowledge(rotates: true), "slack-user": Knowledge(rotates: true),
        "zoom": Knowledge(rotates: true),
        "atlassian": Knowledge(rotates: true, grace: .seconds(600), olderTokensLive: false),
        "xero": Knowledge(rotates: true, grace: .seconds(1800)),
        "box": Knowledge(rotates: true, grace: .untilSuccessorIsUsed),
        "notion": Knowledge(rotates: true), "shopify-login": Knowledge(rotates: true),
    ]

    @Test(arguments: Catalogue.builtIn.providers)
    func `a new credential gets what is known of its provider's refresh tokens`(_ provider: Provider) throws {
        let values = Dictionary(provider.variables.map { ($0.name, "made-up.example") }) { $1 }
        let settings = try provider.settings(values)
        let found = Knowledge(
            rotates: settings.refreshTokenRotates, grace: settings.refreshTokenGrace,
            olderTokensLive: settings.olderTokensLive)
        #expect(found == Self.known[provider.name] ?? Knowledge())
    }

    private func add(_ members: String) throws -> Provider {
        var catalogue = Catalogue.builtIn
        try catalogue.add(
            json: Array(
                #"{"name":"x","title":"X","token_url":"https://x.example/t","grants":["authorization_code"],\#(members)}"#.utf8))
        return try #require(catalogue["x"])
    }

    @Test func `a user's file says it, too`() throws {
        let provider = try add(#""refresh_token_rotates":true,"refresh_token_grace":30,"older_tokens_live":true"#)
        #expect(try provider.settings().refreshTokenGrace == .seconds(30))
        #expect(
            try add(#""refresh_token_grace":"until_successor_is_used""#).settings().refreshTokenGrace == .untilSuccessorIsUsed)
        #expect(try add(#""refresh_token_grace":0"#).settings().refreshTokenGrace == .seconds(0))
        let again = try JSONDecoder().decode(Provider.self, from: JSONEncoder().encode(provider))
        #expect(again == provider)
    }

    @Test(arguments: [#""soon""#, #""30""#, "-1", "1.5", "true", "31536001", "[30]", #"{"seconds":30}"#])
    func `a grace that is none is refused by its name`(_ value: String) {
        let words = #"the member "refresh_token_grace" must be a number of seconds, or "until_successor_is_used""#
        #expect(throws: CatalogueError(words, at: ["refresh_token_grace"])) { try add(#""refresh_token_grace":\#(value)"#) }
    }

    @Test(arguments: ["refresh_token_rotates", "older_tokens_live"], [#""sometimes""#, #""true""#, "1", "[]"])
    func `a word that is neither true nor false is refused by its member's name`(_ member: String, _ value: String) {
        #expect(throws: CatalogueError("the member \"\(member)\" must be true or false", at: [member])) {
            try add("\"\(member)\":\(value)")
        }
    }
}
