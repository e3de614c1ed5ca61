import AgentProtocol
import Sodium
import Testing

@Suite struct TokenFormatTests {
    private func text(_ format: TokenFormat, _ token: TokenFormat.Token, _ name: String = "a-b", now: Int = 1_800_000_000)
        -> String
    {
        // A form that there is not has no words.
        (try? format.text(token, of: name, at: now)) ?? "none"
    }

    @Test func `each form is what its reader wants`() {
        let token = TokenFormat.Token(text: "made.up'to\"k\\en", type: "Bearer", scope: "read write", expires: 1_800_003_600)
        #expect(text(.raw, token) == "made.up'to\"k\\en")
        #expect(text(.header, token) == "Authorization: Bearer made.up'to\"k\\en")
        #expect(text(.headersJSON, token) == "{\n  \"Authorization\" : \"Bearer made.up'to\\\"k\\\\en\"\n}")
        #expect(text(.curl, token) == #"header = "Authorization: Bearer made.up'to\"k\\en""#)
        #expect(text(.netrc, token) == "default login oauth2 password made.up'to\"k\\en")
        #expect(text(.env, token) == #"export A_B_ACCESS_TOKEN='made.up'\''to"k\en'"#)
        #expect(
            text(.json, token) == """
                {
                  "access_token" : "made.up'to\\"k\\\\en",
                  "expires_at" : "2027-01-15T09:00:00Z",
                  "expires_in" : 3600,
                  "scope" : "read write",
                  "token_type" : "Bearer"
                }
                """)
    }

    @Test func `a token goes where its API wants it`() {
        var token = TokenFormat.Token(text: "made\\up", type: "x", scope: nil, expires: nil)
        token.place = .header(name: "X-Key", before: "key=", after: ";v=1")
        #expect(text(.header, token) == #"X-Key: key=made\up;v=1"#)
        #expect(text(.headersJSON, token) == "{\n  \"X-Key\" : \"key=made\\\\up;v=1\"\n}")
        #expect(text(.curl, token) == #"header = "X-Key: key=made\\up;v=1""#)
        token.place = .query(name: "key")
        #expect(text(.curl, token) == #"url-query = "key=made\\up""#)
        #expect(text(.raw, token) == #"made\up"#)
        for format in [TokenFormat.header, .headersJSON] {
            #expect(throws: Problem.self) { try format.text(token, of: "a", at: 0) }
        }
    }

    @Test func `a document leaves out what is not known, and no token lives less than nothing`() {
        let token = TokenFormat.Token(text: "t", type: "x\u{1}", scope: nil, expires: nil)
        #expect(text(.json, token) == "{\n  \"access_token\" : \"t\",\n  \"token_type\" : \"x\\u0001\"\n}")
        let ended = TokenFormat.Token(text: "t", type: "x", scope: nil, expires: 0)
        #expect(text(.json, ended).contains("\"expires_at\" : \"1970-01-01T00:00:00Z\",\n  \"expires_in\" : 0,"))
    }

    @Test func `forms are found by their words`() {
        for format in TokenFormat.allCases { #expect(TokenFormat(word: format.word) == format) }
        #expect(TokenFormat(word: "made-up") == nil)
    }
}

@Suite struct TokenNameTests {
    @Test func `a token's name begins its SHA-256, as libsodium makes it`() {
        for length in 0...200 {
            let token = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ length) }
            let hash = SHA256.hash(token).prefix(16).map { byte in
                let digits = String(byte, radix: 16)
                return digits.count == 1 ? "0" + digits : digits
            }
            #expect(TokenName(of: token).text == hash.joined(), "\(length) bytes")
        }
    }

    @Test(arguments: [
        "", "1", String(repeating: "g", count: 32), String(repeating: "A", count: 32), String(repeating: "a", count: 33),
    ])
    func `what is no name is none`(_ text: String) {
        #expect(TokenName(text) == nil)
    }

    @Test func `names are read as they are written`() {
        let name = TokenName(of: [1, 2, 3])
        #expect(TokenName(name.text) == name)
    }
}
