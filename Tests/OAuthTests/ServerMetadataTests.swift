import OAuth
import Testing

@Suite struct ServerMetadataTests {
    private func parse(_ json: String, issuer: String = "https://server.example.com") throws -> ServerMetadata {
        try ServerMetadata(parsing: Array(json.utf8), issuer: EndpointURL(issuer))
    }

    @Test func theExampleOfRFC8414() throws {
        // Section 3.2.
        let metadata = try parse(
            """
            {"issuer":"https://server.example.com","authorization_endpoint":"https://server.example.com/authorize",
             "token_endpoint":"https://server.example.com/token",
             "token_endpoint_auth_methods_supported":["client_secret_basic","private_key_jwt"],
             "token_endpoint_auth_signing_alg_values_supported":["RS256","ES256"],
             "userinfo_endpoint":"https://server.example.com/userinfo","jwks_uri":"https://server.example.com/jwks.json",
             "registration_endpoint":"https://server.example.com/register",
             "scopes_supported":["openid","profile","email","address","phone","offline_access"],
             "response_types_supported":["code","code token"],
             "service_documentation":"http://server.example.com/service_documentation.html",
             "ui_locales_supported":["en-US","en-GB","en-CA","fr-FR","fr-CA"]}
            """)
        #expect(metadata.tokenURL.description == "https://server.example.com/token")
        let settings = try metadata.settings(grant: nil)
        #expect(settings.grant == .authorizationCode)
        #expect(settings.clientAuthentication == .basic)
        #expect(settings.authorizationURL?.path == "/authorize")
        #expect(settings.issuer == "https://server.example.com")
    }

    /// Plain http to this machine is for servers that are on it.
    @Test func `a server elsewhere sends nobody to this machine`() throws {
        for name in ["token_endpoint", "authorization_endpoint", "revocation_endpoint"] {
            let other = name == "token_endpoint" ? "" : #""token_endpoint":"https://example.com/token","#
            let json = #"{"issuer":"ISSUER",\#(other)"\#(name)":"http://127.0.0.1:8080/x"}"#
            #expect(throws: ServerMetadata.Refusal(reason: "its \(name) is no address that may see a secret")) {
                try parse(json.replacing("ISSUER", with: "https://server.example.com"))
            }
        }
        let local = #"{"issuer":"http://localhost:8080","token_endpoint":"http://localhost:8080/token"}"#
        #expect(try parse(local, issuer: "http://localhost:8080").tokenURL.path == "/token")
    }

    @Test func theWellKnownAddressesOfAnIssuerWithAPath() throws {
        // RFC 8414 section 3.1, and OpenID Connect Discovery section 4.1.
        #expect(
            ServerMetadata.addresses(of: try EndpointURL("https://example.com/issuer1")) == [
                "https://example.com/.well-known/oauth-authorization-server/issuer1",
                "https://example.com/issuer1/.well-known/openid-configuration",
            ])
        #expect(ServerMetadata.addresses(of: try EndpointURL("https://example.com")).allSatisfy { !$0.contains("//.well") })
    }

    @Test func aServerWithoutAPersonIsPreferred() throws {
        let metadata = try parse(
            #"{"issuer":"https://server.example.com","token_endpoint":"https://server.example.com/t","grant_types_supported":["authorization_code","client_credentials"],"token_endpoint_auth_methods_supported":["client_secret_post","none"]}"#
        )
        #expect(try metadata.settings(grant: nil).grant == .clientCredentials)
        #expect(try metadata.settings(grant: nil).clientAuthentication == .post)
        #expect(try metadata.settings(grant: .password).grant == .password)
    }

    @Test(arguments: [
        ("", "it is no JSON object"), ("[]", "it is no JSON object"), ("{}", "it names no issuer"),
        (#"{"issuer":"https://server.example.com/","token_endpoint":"https://a.example/t"}"#, "it is that of another issuer"),
        (#"{"issuer":"https://evil.example","token_endpoint":"https://a.example/t"}"#, "it is that of another issuer"),
        (#"{"issuer":"https://server.example.com"}"#, "it names no token endpoint"),
        (
            #"{"issuer":"https://server.example.com","token_endpoint":"http://a.example/t"}"#,
            "its token_endpoint is no address that may see a secret"
        ),
    ])
    func refusesTheRest(_ json: String, _ reason: String) {
        #expect(throws: ServerMetadata.Refusal(reason: reason)) { try parse(json) }
    }

    @Test func refusesAServerWithNothingInCommon() throws {
        let metadata = try parse(
            #"{"issuer":"https://server.example.com","token_endpoint":"https://server.example.com/t","grant_types_supported":["implicit"],"token_endpoint_auth_methods_supported":["made-up"]}"#
        )
        #expect(throws: ServerMetadata.Refusal.self) { try metadata.settings(grant: nil) }
        #expect(throws: ServerMetadata.Refusal.self) { try metadata.settings(grant: .clientCredentials) }
    }
}
