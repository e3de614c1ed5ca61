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
        #expect(request.url.hasPrefix("https://example.com/authorize?tenant=x&response_type=code&client_id=id+%26&"))
        let parameters = Dictionary(FormEncoding.decode(String(request.url.split(separator: "?")[1])).map { ($0.name, $0.value) })
        { $1 }
        #expect(parameters["redirect_uri"] == "http://127.0.0.1:7/callback")
        #expect(parameters["state"] == request.state)
        #expect(parameters["code_challenge"] == PKCE.challenge(verifier: request.verifier.revealed()))
        #expect(parameters["code_challenge_method"] == "S256")
        #expect(parameters["scope"] == "a openid")
        #expect(parameters["nonce"] != nil)
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

    @Test(arguments: [
        "{}", "[]", #"{"device_code":"a","user_code":"b"}"#, #"{"device_code":"","user_code":"b","verification_uri":"c"}"#,
        #"{"device_code":"a","user_code":"b\u001b[0m","verification_uri":"c"}"#,
    ])
    func refusesTheRest(_ json: String) {
        #expect(throws: TokenRefusal.self) { try parse(json) }
    }
}
