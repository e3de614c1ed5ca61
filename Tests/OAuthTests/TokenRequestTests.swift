import Foundation
import HTTPTypes
import Sodium
import Testing

@testable import OAuth

private func settings(_ change: (inout ClientSettings) -> Void = { _ in }) throws -> ClientSettings {
    var settings = ClientSettings(tokenURL: try EndpointURL("https://example.com/token"))
    change(&settings)
    return settings
}

private func client(_ id: String = "id", _ secret: String = "made-up") throws -> ClientCredentials {
    ClientCredentials(id: id, secret: try Secret(utf8: secret))
}

private func text(_ request: EndpointRequest) -> String { String(decoding: request.body, as: UTF8.self) }

@Suite struct TokenRequestTests {
    @Test func basicFormEncodesIDAndSecretFirst() throws {
        // RFC 6749 section 2.3.1, with the characters that servers get wrong.
        let request = try settings().tokenRequest(client("a:b", "c d+%ä"), access: RequestedAccess())
        // base64("a%3Ab:c+d%2B%25%C3%A4")
        #expect(request.head.headerFields[.authorization] == "Basic YSUzQWI6YytkJTJCJTI1JUMzJUE0")
        #expect(text(request) == "grant_type=client_credentials")
        #expect(request.head.method == .post)
        #expect(request.head.headerFields[.contentType] == "application/x-www-form-urlencoded")
        #expect(request.head.headerFields[.accept] == "application/json")
    }

    @Test func basicRawDoesNot() throws {
        let request = try settings { $0.clientAuthentication = .basicRaw }.tokenRequest(
            client("a", "b+c"), access: RequestedAccess())
        #expect(request.head.headerFields[.authorization] == "Basic YTpiK2M=")
    }

    @Test func theExampleOfRFC6749() throws {
        // Section 4.4.2.
        let request = try settings().tokenRequest(client("s6BhdRkqt3", "gX1fBat3bV"), access: RequestedAccess())
        #expect(request.head.headerFields[.authorization] == "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW")
    }

    @Test func postPutsIDAndSecretIntoTheForm() throws {
        let request = try settings { $0.clientAuthentication = .post }.tokenRequest(
            client("id", "a&b=c"), access: RequestedAccess())
        #expect(text(request) == "grant_type=client_credentials&client_id=id&client_secret=a%26b%3Dc")
        #expect(request.head.headerFields[.authorization] == nil)
    }

    @Test func noneSendsTheIDAlone() throws {
        let request = try settings { $0.clientAuthentication = .none }
            .tokenRequest(ClientCredentials(id: "id", secret: nil), access: RequestedAccess())
        #expect(text(request) == "grant_type=client_credentials&client_id=id")
    }

    @Test func `an assertion as a bearer token leaves nothing in the body to say whose it is`() throws {
        let request = try settings {
            $0.clientAuthentication = .bearerJWT
            $0.placement = .json
            $0.parameterNames = ["grant_type": ""]
        }.tokenRequest(client(), access: RequestedAccess(), clientAssertion: Secret(utf8: "made-up-assertion"))
        #expect(request.head.headerFields[.authorization] == "Bearer made-up-assertion")
        #expect(text(request) == "{}")
    }

    @Test func scopesAudiencesResourcesAndFurtherParameters() throws {
        let made = try settings {
            $0.scopes = ["a", "b"]
            $0.audiences = ["https://api"]
            $0.resources = ["https://one", "https://two"]
            $0.parameters = [Parameter("tenant", "x y")]
            $0.headers = [Parameter("Accept-Language", "en_US"), Parameter("Accept", "application/vnd+json")]
        }
        let request = try made.tokenRequest(client(), access: RequestedAccess())
        #expect(
            text(request) == "grant_type=client_credentials&scope=a+b&audience=https%3A%2F%2Fapi"
                + "&resource=https%3A%2F%2Fone&resource=https%3A%2F%2Ftwo&tenant=x+y")
        #expect(request.head.headerFields[.acceptLanguage] == "en_US")
        #expect(request.head.headerFields[.accept] == "application/vnd+json")
        let asked = try made.tokenRequest(client(), access: RequestedAccess(scopes: ["c"]))
        #expect(text(asked).contains("scope=c&"))
    }

    @Test func aParameterOfOnesOwnReplacesTheStandardOne() throws {
        let request = try settings { $0.parameters = [Parameter("grant_type", "urn:own")] }
            .tokenRequest(client(), access: RequestedAccess())
        #expect(text(request) == "grant_type=urn%3Aown")
    }

    @Test func parametersInTheQuery() throws {
        let request = try settings {
            $0.tokenURL = try! EndpointURL("https://example.com/token?tenant=1")
            $0.clientAuthentication = .post
            $0.placement = .query
        }.tokenRequest(client(), access: RequestedAccess())
        #expect(request.head.path == "/token?tenant=1&grant_type=client_credentials&client_id=id&client_secret=made-up")
        #expect(request.body.isEmpty)
    }

    @Test func parametersInJSON() throws {
        let request = try settings {
            $0.clientAuthentication = .post
            $0.placement = .json
            $0.audiences = ["a", "b"]
        }.tokenRequest(client("id", "q\"uote"), access: RequestedAccess())
        #expect(
            text(request)
                == #"{"audience":["a","b"],"client_id":"id","client_secret":"q\"uote","grant_type":"client_credentials"}"#)
        #expect(request.head.headerFields[.contentType] == "application/json")
    }

    @Test func revocationNamesTokenAndKind() throws {
        let token = try Secret(utf8: "made-up-token")
        #expect(try settings().revocationRequest(client(), token: token, hint: "access_token") == nil)
        let request = try settings { $0.revocationURL = try! EndpointURL("https://example.com/revoke") }
            .revocationRequest(client(), token: token, hint: "access_token")
        #expect(request.map(text) == "token=made-up-token&token_type_hint=access_token")
        #expect(request?.head.path == "/revoke")
    }
}

@Suite struct CatalogueTests {
    @Test func theBuiltInProvidersAreThose() {
        #expect(
            Catalogue.builtIn.providers.map(\.name) == [
                "torq", "torq-eu", "qa", "cloudacademy", "iot-x", "google", "dropbox", "github", "github-app",
                "github-installation", "gitlab", "entra", "entra-login", "okta", "auth0", "auth0-device", "slack",
                "slack-user", "salesforce", "salesforce-jwt", "zoom", "zoom-server", "atlassian", "atlassian-service",
                "hubspot", "spotify", "paypal", "xero", "box", "box-server", "reddit", "twitch", "linkedin", "notion",
                "digitalocean", "linear", "shopify", "shopify-login", "snowflake", "servicenow", "workday", "quickbooks",
                "zoho", "amazon", "amazon-selling-partner", "stripe", "docusign", "docusign-jwt", "asana", "webex",
                "webex-device", "adobe", "sap", "uipath", "mailchimp", "bitbucket", "discord", "figma", "lark", "feishu",
                "harvest", "docker-hub", "google-workload",
            ])
        #expect(Catalogue.builtIn.providers.allSatisfy { $0.keysPage != nil && !$0.grants.isEmpty })
    }

    /// The file is read strictly only where it is a user's: what the built-in one says must pass there, too.
    @Test(arguments: Catalogue.builtIn.providers)
    func everyMemberIsOne(_ provider: Provider) throws {
        var catalogue = Catalogue.builtIn
        try catalogue.add(json: Array(JSONEncoder().encode(provider)))
        #expect(catalogue[provider.name] == provider)
        #expect(!provider.sources.isEmpty && (provider.sources.count > 2 || provider.sources.contains { $0.hasPrefix("lacks ") }))
    }

    /// Every address is whole once its variables are filled in, and each that a grant needs is there.
    @Test(arguments: Catalogue.builtIn.providers)
    func aProviderHasWhatItsGrantsNeed(_ provider: Provider) throws {
        let values = Dictionary(provider.variables.map { ($0.name, "made-up.example") }) { $1 }
        let settings = try provider.settings(values)
        for grant in provider.grants {
            switch grant {
            case .authorizationCode: #expect(settings.authorizationURL != nil)
            case .deviceCode: #expect(settings.deviceAuthorizationURL != nil)
            default: break
            }
        }
        let addresses = [
            settings.tokenURL, settings.authorizationURL, settings.deviceAuthorizationURL, settings.revocationURL,
            settings.introspectionURL,
        ]
        #expect(addresses.compactMap { $0?.description }.allSatisfy { $0.hasPrefix("https://") && !$0.contains("{") })
        for variable in provider.variables where variable.fallback == nil {
            #expect(throws: CatalogueError.self) { try provider.settings() }
        }
    }

    @Test func whatAPersonSaysGoesIntoTheAddresses() throws {
        let okta = try #require(Catalogue.builtIn["okta"])
        let settings = try okta.settings(["domain": "dev-1.okta.com"])
        #expect(settings.tokenURL.description == "https://dev-1.okta.com/oauth2/default/v1/token")
        #expect(settings.revocationURL?.description == "https://dev-1.okta.com/oauth2/default/v1/revoke")
        let zoom = try #require(Catalogue.builtIn["zoom-server"]).settings(["account": "a1"])
        #expect(
            text(zoom.tokenRequest(try client("id", "made-up"), access: RequestedAccess()))
                == "grant_type=account_credentials&account_id=a1")
        #expect(throws: CatalogueError.self) { try okta.settings(["domain": "dev-1.okta.com", "nonsense": "x"]) }
    }

    /// What would lead a secret elsewhere.
    @Test(arguments: ["", "a/b", "a@evil.example", "a?b", "a#b", "..", "-a", "a b", "a%2e", "a:b", "a:99999", "ä.example"])
    func aValueThatCouldLeadElsewhereIsRefused(_ value: String) throws {
        let auth0 = try #require(Catalogue.builtIn["auth0"])
        #expect(throws: CatalogueError.self) { try auth0.settings(["domain": value]) }
    }

    @Test func scopesGoAsTheServiceWantsThem() throws {
        var linear = try #require(Catalogue.builtIn["linear"]).settings()
        linear.scopes = ["read", "write"]
        let request = try #require(try linear.authorizationRequest(clientID: "id", redirectURI: "http://127.0.0.1"))
        #expect(request.url.contains("&scope=read%2Cwrite"))
    }

    @Test(arguments: [
        ("incorrect_client_credentials", "invalid_client"), ("bad_refresh_token", "invalid_grant"),
        ("invalid_refresh_token", "invalid_grant"),
    ])
    func refusalsInOtherWordsAreUnderstood(_ theirs: String, _ registered: String) {
        #expect(throws: TokenRefusal.oauth(.registered(registered))) {
            try TokenResponse.read(status: 200, headers: [:], body: Array(#"{"error":"\#(theirs)"}"#.utf8), now: Date()).result
                .get()
        }
    }

    @Test func torqGetsBasicAndItsHeaders() throws {
        let torq = try #require(Catalogue.builtIn["torq"])
        let request = try torq.settings().tokenRequest(client("id", "made-up"), access: RequestedAccess())
        #expect(request.head.authority == "auth.torq.io")
        #expect(request.head.path == "/v1/auth/token")
        #expect(request.head.headerFields[.authorization]?.hasPrefix("Basic ") == true)
        #expect(request.head.headerFields[.acceptLanguage] == "en_US")
        #expect(try #require(Catalogue.builtIn["torq-eu"]).settings().tokenURL.host == "auth.eu.torq.io")
    }

    @Test(arguments: [("qa", "app.qa.com"), ("cloudacademy", "cloudacademy.com")])
    func qaGetsTheFormBody(_ name: String, _ host: String) throws {
        let provider = try #require(Catalogue.builtIn[name])
        let request = try provider.settings().tokenRequest(client("id", "made-up"), access: RequestedAccess())
        #expect(request.head.authority == host)
        #expect(request.head.path == "/oauth2/token/")
        #expect(text(request) == "grant_type=client_credentials&client_id=id&client_secret=made-up")
        #expect(provider.newSecretRevokesOld)
    }

    /// A user's credentials in the query, no grant type, no client id.
    @Test func iotXGetsItsQuery() throws {
        let provider = try #require(Catalogue.builtIn["iot-x"])
        let user = ClientCredentials(id: "", secret: nil, username: "a b", password: try Secret(utf8: "made&up"))
        let request = try provider.settings().tokenRequest(user, grant: .password, access: RequestedAccess())
        #expect(request.head.path == "/authorization?username=a%20b&password=made%26up")
        #expect(request.head.authority == "api.iot-x.com")
        #expect(request.body.isEmpty)
    }

    @Test func googleIsAskedForAnOfflineConsent() throws {
        let provider = try #require(Catalogue.builtIn["google"])
        let request = try #require(
            try provider.settings().authorizationRequest(clientID: "id", redirectURI: "http://127.0.0.1:7/callback"))
        #expect(request.url.hasPrefix("https://accounts.google.com/o/oauth2/v2/auth?response_type=code&client_id=id&"))
        #expect(request.url.hasSuffix("&access_type=offline&prompt=consent"))
    }

    @Test func aUsersProviderJoinsAndMayReplace() throws {
        var catalogue = Catalogue.builtIn
        try catalogue.add(
            json: Array(
                #"{"name":"mine","title":"Mine","token_url":"https://mine.example/t","grants":["client_credentials"]}"#.utf8))
        #expect(try #require(catalogue["mine"]).settings().clientAuthentication == .basic)
        try catalogue.add(
            json: Array(#"{"name":"torq","title":"T","token_url":"https://t.example/t","grants":["client_credentials"]}"#.utf8))
        #expect(try catalogue["torq"]?.settings().tokenURL.description == "https://t.example/t")
        #expect(catalogue.providers.count == Catalogue.builtIn.providers.count + 1)
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"name":"x"}"#,
        #"{"name":"x","title":"X","token_url":"http://x.example/t","grants":["client_credentials"]}"#,
        #"{"name":"x","title":"X","token_url":"https://x.example/t","grants":[]}"#,
        #"{"name":"x","title":"X","token_url":"https://x.example/t","grants":["implicit"]}"#,
        #"{"name":"x","title":"X","token_url":"https://x.example/t","grants":["client_credentials"],"tokenurl":"y"}"#,
        #"{"name":"x","title":"X","token_url":"https://{tenant}.example/t","grants":["client_credentials"]}"#,
        #"{"name":"x","title":"X","token_url":"http://{h}/t","grants":["client_credentials"],"variables":[{"name":"h","title":"h"}]}"#,
    ])
    func aFileThatIsNoProviderIsRefused(_ json: String) {
        var catalogue = Catalogue.builtIn
        #expect(throws: CatalogueError.self) { try catalogue.add(json: Array(json.utf8)) }
    }
}
