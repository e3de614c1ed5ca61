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

    /// RFC 8705 section 5.
    @Test func `a client with a certificate goes to the addresses that are for it`() throws {
        let metadata = try parse(
            """
            {"issuer":"https://server.example.com","token_endpoint":"https://server.example.com/token",
             "revocation_endpoint":"https://server.example.com/revoke","introspection_endpoint":"https://server.example.com/about",
             "pushed_authorization_request_endpoint":"https://server.example.com/par",
             "token_endpoint_auth_methods_supported":["client_secret_basic","tls_client_auth"],
             "grant_types_supported":["client_credentials"],
             "mtls_endpoint_aliases":{"token_endpoint":"https://mtls.example.com/token",
              "revocation_endpoint":"https://mtls.example.com/revoke","introspection_endpoint":"http://mtls.example.com/about"}}
            """)
        let plain = try metadata.settings(grant: nil)
        #expect(plain.clientAuthentication == .basic && plain.tokenURL.host == "server.example.com")
        #expect(plain.pushedAuthorizationURL?.path == "/par")
        let tls = try metadata.settings(grant: nil, authentication: .tls)
        #expect(tls.tokenURL.host == "mtls.example.com" && tls.revocationURL?.host == "mtls.example.com")
        // What may see no secret is no alias.
        #expect(tls.introspectionURL?.host == "server.example.com" && tls.clientAuthentication == .tls)
    }

    @Test(arguments: [
        (#"["private_key_jwt","client_secret_post","client_secret_basic"]"#, [ClientAuthentication.basic, .post]),
        (#"["client_secret_post"]"#, [.post]), (#"["private_key_jwt"]"#, []), ("null", [.basic]),
    ])
    func `the ways of a client with a secret are known, best first`(_ methods: String, _ ways: [ClientAuthentication]) throws {
        let metadata = try parse(
            #"{"issuer":"https://server.example.com","token_endpoint":"https://a.example/t","#
                + #""token_endpoint_auth_methods_supported":\#(methods)}"#)
        #expect(metadata.secretMethods == ways)
    }

    /// Plain http to this machine is for servers that are on it.
    @Test func `a server elsewhere sends nobody to this machine`() throws {
        let json = #"{"issuer":"https://server.example.com","token_endpoint":"http://127.0.0.1:8080/x"}"#
        #expect(throws: ServerMetadata.Refusal(reason: "its token_endpoint is no address that may see a secret")) {
            try parse(json)
        }
        let local = #"{"issuer":"http://localhost:8080","token_endpoint":"http://localhost:8080/token"}"#
        #expect(try parse(local, issuer: "http://localhost:8080").tokenURL.path == "/token")
    }

    /// The token endpoint is all that is needed.
    @Test(arguments: [
        "http://127.0.0.1:8080/x", "http://cluster.internal/x", "/authorize", "https://a.example/x#y", "https://a@b.example/",
    ])
    func `an optional address that may see no secret is left out, and named`(_ address: String) throws {
        for name in ["authorization_endpoint", "revocation_endpoint", "introspection_endpoint", "jwks_uri"] {
            let metadata = try parse(
                #"{"issuer":"https://server.example.com","token_endpoint":"https://a.example/t","\#(name)":"\#(address)"}"#)
            #expect(metadata.leftOut == [name] && metadata.authorizationURL == nil && metadata.revocationURL == nil)
        }
    }

    @Test(arguments: ["null", #""""#])
    func `an address that says nothing is none`(_ value: String) throws {
        let metadata = try parse(
            #"{"issuer":"https://server.example.com","token_endpoint":"https://a.example/t","revocation_endpoint":\#(value)}"#)
        #expect(metadata.revocationURL == nil && metadata.leftOut.isEmpty)
    }

    @Test func `metadata is read as leniently as a token`() throws {
        let json = "\u{FEFF}" + #"{"issuer":"https://server.example.com","token_endpoint":"https://a.example/t"}"# + "\0// x"
        #expect(try parse(json).tokenURL.host == "a.example")
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
        (
            #"{"issuer":"https://server.example.com/","token_endpoint":"https://a.example/t"}"#,
            "it names the issuer https://server.example.com/, and not https://server.example.com: use --issuer https://server.example.com/"
        ),
        (
            #"{"issuer":"https://evil.example","token_endpoint":"https://a.example/t"}"#,
            "it is that of another issuer, https://evil.example"
        ),
        (#"{"issuer":"https://server.example.com"}"#, "it names no token endpoint"),
        (
            #"{"issuer":"https://server.example.com","token_endpoint":"http://a.example/t"}"#,
            "its token_endpoint is no address that may see a secret"
        ),
    ])
    func refusesTheRest(_ json: String, _ reason: String) {
        #expect {
            try parse(json)
        } throws: { error in
            (error as? ServerMetadata.Refusal)?.reason == reason
        }
    }

    @Test func refusesAServerWithNothingInCommon() throws {
        let metadata = try parse(
            #"{"issuer":"https://server.example.com","token_endpoint":"https://server.example.com/t","grant_types_supported":["implicit"],"token_endpoint_auth_methods_supported":["made-up"]}"#
        )
        #expect(throws: ServerMetadata.Refusal.self) { try metadata.settings(grant: nil) }
        #expect(throws: ServerMetadata.Refusal.self) { try metadata.settings(grant: .clientCredentials) }
    }
}
