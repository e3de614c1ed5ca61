import HTTPTypes
import Sodium
import Testing

@testable import OAuth

@Suite struct AuthorizationTests {
    private func request(issuer: String? = nil, scopes: [String] = []) throws -> AuthorizationRequest {
        var settings = ClientSettings(grant: .authorizationCode, tokenURL: try EndpointURL("https://example.com/token"))
        settings.authorizationURL = try EndpointURL("https://example.com/authorize?tenant=x")
        settings.issuer = issuer
        settings.scopes = scopes
        return try #require(try settings.authorizationRequest(clientID: "id &", redirectURI: "http://127.0.0.1:7/callback"))
    }

    @Test func theChallengeOfRFC7636() {
        // Appendix B.
        #expect(
            PKCE.challenge(verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
                == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
    }

    @Test func saysEverythingThatTheServerNeeds() throws {
        let request = try request(scopes: ["a", "openid"])
        #expect(request.url.hasPrefix("https://example.com/authorize?tenant=x&response_type=code&client_id=id%20%26&"))
        let parameters = Dictionary(FormEncoding.decode(String(request.url.split(separator: "?")[1])).map { ($0.name, $0.value) })
        { $1 }
        #expect(parameters["redirect_uri"] == "http://127.0.0.1:7/callback")
        #expect(parameters["state"] == request.state)
        #expect(parameters["code_challenge"] == PKCE.challenge(verifier: request.verifier.revealed()))
        #expect(parameters["code_challenge_method"] == "S256")
        #expect(parameters["scope"] == "a openid")
        #expect(parameters["nonce"] != nil)
    }

    private func pushing(_ authentication: ClientAuthentication) throws -> (
        request: AuthorizationRequest, pushed: EndpointRequest
    ) {
        var settings = ClientSettings(
            grant: .authorizationCode, clientAuthentication: authentication,
            tokenURL: try EndpointURL("https://example.com/token"))
        settings.authorizationURL = try EndpointURL("https://example.com/authorize?tenant=x")
        settings.pushedAuthorizationURL = try EndpointURL("https://example.com/par")
        (settings.scopes, settings.resources) = (["a"], ["https://api.example"])
        settings.authorizationParameters = [Parameter("prompt", "consent")]
        let request = try #require(try settings.authorizationRequest(clientID: "id", redirectURI: "http://127.0.0.1:7/callback"))
        let client = ClientCredentials(id: "id", secret: try Secret(utf8: "made-up"))
        return (request, try #require(settings.pushedAuthorizationRequest(request, client)))
    }

    /// RFC 9126 section 2.1.
    @Test(arguments: [ClientAuthentication.basic, .post, .none, .tls])
    func `a request that is handed in says the same as the browser would, and each thing once`(
        _ authentication: ClientAuthentication
    ) throws {
        let (request, pushed) = try pushing(authentication)
        #expect(pushed.head.method == .post && pushed.head.path == "/par")
        let said = FormEncoding.decode(String(decoding: pushed.body, as: UTF8.self))
        #expect(Set(said.map(\.name)).count == said.count)
        let values = Dictionary(said.map { ($0.name, $0.value) }) { $1 }
        let browser = FormEncoding.decode(String(request.url.split(separator: "?")[1])).filter { $0.name != "tenant" }
        for parameter in browser { #expect(values[parameter.name] == parameter.value, "\(parameter.name)") }
        #expect(values["client_id"] == "id" && values["resource"] == "https://api.example" && values["prompt"] == "consent")
        #expect((pushed.head.headerFields[.authorization] != nil) == (authentication == .basic))
        #expect(values["client_secret"] == (authentication == .post ? "made-up" : nil))
    }

    @Test func `the browser gets nothing but the client's id and the name of the request`() throws {
        let (request, _) = try pushing(.basic)
        let endpoint = try EndpointURL("https://example.com/authorize?tenant=x")
        let answer = JSONValue.object(["request_uri": .string("urn:x:a&b"), "expires_in": .integer(60)])
        let pushed = try request.pushed(answer, clientID: "id", to: endpoint)
        #expect(pushed.url == "https://example.com/authorize?tenant=x&client_id=id&request_uri=urn%3Ax%3Aa%26b")
        #expect(pushed.state == request.state && pushed.redirectURI == request.redirectURI)
    }

    @Test(arguments: ["", "a b", "ä"])
    func `an answer that names no request is refused`(_ uri: String) throws {
        let (request, _) = try pushing(.basic)
        #expect(throws: TokenRefusal.unusable(reason: "no request_uri")) {
            try request.pushed(.object(["request_uri": .string(uri)]), clientID: "id", to: EndpointURL("https://example.com/a"))
        }
    }

    @Test func stateAndVerifierAreNewEachTime() throws {
        let (a, b) = (try request(), try request())
        #expect(a.state != b.state)
        #expect(!a.verifier.equals(b.verifier))
        #expect((43...128).contains(a.verifier.count))
    }

    @Test func takesTheCodeThatBelongsToIt() throws {
        let request = try request(issuer: "https://example.com")
        #expect(try request.code(fromQuery: "code=made%2Bup&state=\(request.state)").revealed() == "made+up")
        #expect(try request.code(fromQuery: "iss=https%3A%2F%2Fexample.com&code=x&state=\(request.state)").revealed() == "x")
        #expect(try request.code(fromPasted: " https://127.0.0.1/?code=x&state=\(request.state)#frag \n").revealed() == "x")
        #expect(try request.code(fromPasted: " x-y_z \n").revealed() == "x-y_z")
    }

    /// What people copy, from an address bar, a terminal or a page.
    @Test(
        arguments: [
            ("4%2F0Abc", "4/0Abc"), ("code=X&state=STATE", "X"), ("X&state=STATE", "X"), ("X#STATE", "X"), ("code=X", "X"),
            ("\"https://127.0.0.1/?code=X&state=STATE\"", "X"), ("<https://127.0.0.1/?code=X&state=STATE>", "X"),
            ("\u{1B}[200~https://127.0.0.1/?code=X&state=STATE\u{1B}[201~", "X"), ("'X'", "X"), ("\u{201C}X\u{201D}", "X"),
            ("https://127.0.0.1/?code=4%2F0A+b&state=STA TE", nil), ("https://127.0.0.1/?a=1&state=STATE&code=4%2F0A", "4/0A"),
            ("https://127.0.0.1/#code=X&state=STATE", nil), ("https://127.0.0.1/?#code=X&state=STATE", "X"), ("a+b", "a+b"),
            ("?code=X&state=STATE", "X"), ("https://127.0.0.1/?code=\n4%2F0A\n&state=STATE", "4/0A"), ("<\"X\">", "X"),
        ] as [(String, String?)])
    func `takes a code in the ways in which it is pasted`(_ text: String, _ code: String?) throws {
        let request = try request()
        let pasted = text.replacing("STATE", with: request.state)
        #expect((try? request.code(fromPasted: pasted).revealed()) == code)
    }

    @Test(arguments: [
        ("code=X&state=wrong", AuthorizationRefusal.wrongState), ("X&state=wrong", .wrongState), ("X#wrong", .wrongState),
        ("https://127.0.0.1/?code=X&scope=a", .noState), ("https://127.0.0.1/?state=STATE", .noCode),
        ("https://127.0.0.1/?error=access_denied", .denied(.registered("access_denied"))),
        ("error=made-up", .denied(.unregistered(status: 302))),
        ("state=STATE", .noCode), ("code=&state=STATE", .noCode), ("%0A", .noCode),
    ])
    func `says what is wrong with what was pasted`(_ text: String, _ refusal: AuthorizationRefusal) throws {
        let request = try request()
        #expect(throws: refusal) { try request.code(fromPasted: text.replacing("STATE", with: request.state)) }
    }

    @Test func `a denial without a state is one`() throws {
        let request = try request()
        #expect(throws: AuthorizationRefusal.denied(.registered("access_denied"))) {
            try request.code(fromQuery: "error=access_denied")
        }
        for query in ["error=x&code=y", "error=x&state=wrong", "error=", "error=a&error=b", "x=1"] {
            #expect(throws: AuthorizationRefusal.wrongState) { try request.code(fromQuery: query) }
        }
    }

    @Test func `says nothing twice, and a space as %20`() throws {
        var settings = ClientSettings(
            grant: .authorizationCode, tokenURL: try EndpointURL("https://example.com/token"))
        settings.authorizationURL = try EndpointURL("https://example.com/login?access_type=offline")
        settings.authorizationParameters = [Parameter("access_type", "offline"), Parameter("prompt", "a b")]
        settings.parameterNames = ["client_id": "app_id"]
        (settings.scopes, settings.audiences) = (["openid", "b"], ["https://api.example"])
        (settings.pkce, settings.nonce) = (false, false)
        let request = try #require(try settings.authorizationRequest(clientID: "id", redirectURI: "http://127.0.0.1/x"))
        #expect(
            request.url
                == "https://example.com/login?access_type=offline&response_type=code&app_id=id&redirect_uri=http%3A%2F%2F127.0.0.1%2Fx&state=\(request.state)&scope=openid%20b&audience=https%3A%2F%2Fapi.example&prompt=a%20b"
        )
        #expect(request.nonce == nil)
        let client = ClientCredentials(id: "id", secret: try Secret(utf8: "made-up"))
        let body = settings.tokenRequest(client, grant: request.grant(code: try Secret(utf8: "c")), access: RequestedAccess())
            .body
        #expect(!String(decoding: body, as: UTF8.self).contains("code_verifier"))
    }

    @Test(arguments: [
        ("code=x", AuthorizationRefusal.wrongState), ("code=x&state=wrong", .wrongState), ("", .wrongState),
        ("code=x&state=STATE&state=STATE", .wrongState), ("state=STATE", .noCode), ("code=&state=STATE", .noCode),
        ("code=a%0Ab&state=STATE", .noCode), ("code=a&code=b&state=STATE", .noCode),
        ("iss=https%3A%2F%2Fevil.example&code=x&state=STATE", .wrongIssuer),
        ("iss=https%3A%2F%2Fevil.example&iss=https%3A%2F%2Fexample.com&code=x&state=STATE", .wrongIssuer),
        ("iss=https%3A%2F%2Fexample.com&iss=https%3A%2F%2Fexample.com&code=x&state=STATE", .wrongIssuer),
        ("error=access_denied&state=STATE", .denied(.registered("access_denied"))),
        ("error=made-up&state=STATE", .denied(.unregistered(status: 302))),
        ("error=access_denied&code=x&state=STATE", .denied(.registered("access_denied"))),
    ])
    func refusesTheRest(_ query: String, _ refusal: AuthorizationRefusal) throws {
        let request = try request(issuer: "https://example.com")
        #expect(throws: refusal) { try request.code(fromQuery: query.replacing("STATE", with: request.state)) }
    }

    @Test(arguments: ["", "  ", "https://127.0.0.1/", "two words ä"])
    func refusesWhatIsPastedByMistake(_ text: String) throws {
        let request = try request()
        #expect(throws: AuthorizationRefusal.noCode) { try request.code(fromPasted: text) }
    }
}

@Suite struct DeviceCodesTests {
    private func parse(_ json: String) throws -> DeviceCodes {
        try DeviceCodes(parsing: try #require(JSONValue(parsing: Array(json.utf8))))
    }

    @Test func theExampleOfRFC8628() throws {
        // Section 3.2.
        let codes = try parse(
            #"{"device_code":"GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS","user_code":"WDJB-MJHT","verification_uri":"https://example.com/device","verification_uri_complete":"https://example.com/device?user_code=WDJB-MJHT","expires_in":1800,"interval":5}"#
        )
        #expect(codes.userCode == "WDJB-MJHT")
        #expect(codes.completeURI == "https://example.com/device?user_code=WDJB-MJHT")
        #expect((codes.expiresIn, codes.interval) == (1800, 5))
    }

    @Test func theIntervalIsFiveSecondsWhereNoneIsSaid() throws {
        #expect(try parse(#"{"device_code":"a","user_code":"b","verification_url":"c"}"#).interval == 5)
    }

    @Test func `what says nothing is left out`() throws {
        for complete in ["null", #""""#, #""https://a.example/ü""#, "1"] {
            let codes = try parse(
                #"{"device_code":"a","user_code":"b","verification_uri":"c","verification_uri_complete":\#(complete),"interval":2.0}"#
            )
            #expect(codes.completeURI == nil && codes.interval == 2)
        }
        #expect(
            try parse(#"{"device_code":"a","user_code":"b","verification_uri":null,"verification_url":"c"}"#).verificationURI
                == "c")
    }

    @Test(arguments: [
        "{}", "[]", #"{"device_code":"a","user_code":"b"}"#, #"{"device_code":"","user_code":"b","verification_uri":"c"}"#,
        #"{"device_code":"a","user_code":"b\u001b[0m","verification_uri":"c"}"#,
    ])
    func refusesTheRest(_ json: String) {
        #expect(throws: TokenRefusal.self) { try parse(json) }
    }
}
