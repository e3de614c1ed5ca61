import Testing

@testable import AgentProtocol

@Suite struct AgentRequestTests {
    @Test func `a token's request says all that was asked for`() {
        var parameters = AgentRequest.TokenParameters()
        parameters.scopes = ["read", "a&b=c"]
        parameters.audiences = ["https://api.example/"]
        parameters.minimumLifetime = 60
        parameters.rejected = .stored
        parameters.takesOver = true
        parameters.format = .headersJSON
        #expect(
            AgentRequest.token("a/b ü", parameters).target
                == "/v1/tokens/a%2Fb%20%C3%BC?min_ttl=60&rejected=1&take_over=1&scope=read&scope=a%26b%3Dc"
                + "&audience=https%3A%2F%2Fapi.example%2F&format=headers-json")
        #expect(AgentRequest.token("a").target == "/v1/tokens/a")
    }

    @Test func `a rejected token travels by its name alone`() {
        var parameters = AgentRequest.TokenParameters()
        parameters.rejected = .named(TokenName(of: Array("made-up-token".utf8)))
        let target = AgentRequest.token("a", parameters).target
        #expect(target.hasPrefix("/v1/tokens/a?rejected=") && target.utf8.count == 22 + 32 && !target.contains("made-up"))
    }

    @Test func `no header can be smuggled in by a vault or a reason`() {
        let request = AgentRequest.list().with(vault: "/a\r\nX: y", reason: "made up\n\n", accept: .json)
        let head = String(decoding: request.head, as: UTF8.self)
        #expect(head.contains("Claviger-Vault: %2Fa%0D%0AX%3A%20y\r\nClaviger-Reason: made%20up%0A%0A\r\n"))
        #expect(head.hasPrefix("GET /v1/credentials HTTP/1.1\r\n") && head.hasSuffix("\r\n\r\n"))
        #expect(!head.contains("Content-Length"))
        #expect(String(decoding: AgentRequest.unlock([1, 2]).head, as: UTF8.self).contains("\r\nContent-Length: 2\r\n"))
    }
}

@Suite struct AgentAnswerTests {
    private func read(_ parts: String...) throws(AgentSocket.Failure) -> AgentAnswer? {
        var reader = AgentAnswer.Reader()
        for part in parts {
            if let answer = try reader.read(Array(part.utf8)[...]) { return answer }
        }
        return nil
    }

    @Test func `an answer may arrive byte by byte`() throws {
        var reader = AgentAnswer.Reader()
        var answer: AgentAnswer?
        for byte in "HTTP/1.1 200 OK\r\ncontent-LENGTH:  5 \r\n\r\nhello".utf8 {
            #expect(answer == nil)
            answer = try reader.read([byte])
        }
        #expect(answer?.status == 200 && answer?.body == Array("hello".utf8))
    }

    @Test func `interim answers are dropped, however they are cut`() throws {
        let working = "HTTP/1.1 102 Processing\r\n\r\n"
        let final = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
        #expect(try read(working, working, final)?.status == 403)
        #expect(try read(working + working + final)?.body == Array("no".utf8))
        #expect(try read("HTTP/1.1 102 Proc", "essing\r\nX: y\r\n\r", "\n" + final)?.status == 403)
        #expect(try read(working) == nil)
        var reader = AgentAnswer.Reader()
        _ = try reader.read(Array(working.utf8)[...])
        #expect(!reader.hasBegun)
    }

    @Test func `an answer without a body needs no length`() throws {
        #expect(try read("HTTP/1.1 204 No Content\r\n\r\n")?.body == [])
    }

    @Test(arguments: [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nno length", "HTTP/1.1 abc\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    ])
    func `what is no such answer is refused`(_ text: String) {
        #expect(throws: AgentSocket.Failure.self) { try read(text) }
    }
}
