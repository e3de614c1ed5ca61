import HTTPTypes
import OAuth
import Sodium
import TestSupport
import Testing

@testable import TokenEngine

/// The real transport, against the practice server.
@Suite struct NetworkTransportTests {
    private func send(_ fault: String, change: (inout NetworkTransport.Limits) -> Void = { _ in }) async throws -> EndpointAnswer
    {
        let server = try await PracticeServer()
        try await server.fail(fault)
        let settings = ClientSettings(tokenURL: try EndpointURL(server.address + "/torq/v1/auth/token"))
        let request = settings.tokenRequest(
            ClientIdentity(id: "id", secret: try Secret(utf8: "made-up")), access: RequestedAccess())
        var limits = NetworkTransport.Limits()
        change(&limits)
        let transport = NetworkTransport(limits: limits, proxies: ProxySettings(environment: [:]))
        do {
            let answer = try await transport.send(request)
            await transport.close()
            return answer
        } catch {
            await transport.close()
            throw error
        }
    }

    @Test func bringsBackStatusHeadersAndBody() async throws {
        let answer = try await send(#"{"status":418,"body":"short and stout","headers":{"Retry-After":"7"}}"#)
        #expect(answer.status == 418)
        #expect(answer.headerFields[.retryAfter] == "7")
        #expect(answer.body == Array("short and stout".utf8))
    }

    @Test func followsNoRedirect() async throws {
        #expect(try await send(#"{"status":307,"headers":{"Location":"/api"}}"#).status == 307)
    }

    @Test func aServerThatHangsIsGivenUp() async throws {
        let expected = TransportFailure.answerLost(host: "127.0.0.1", reason: "no answer within the time limit")
        await #expect(throws: expected) { try await send(#"{"delay":5000}"#) { $0.read = .milliseconds(50) } }
        await #expect(throws: expected) { try await send(#"{"delay":5000}"#) { $0.total = .milliseconds(50) } }
    }

    @Test func anAnswerThatIsTooLargeIsGivenUp() async throws {
        await #expect(throws: TransportFailure.answerTooLarge(host: "127.0.0.1")) { try await send(#"{"huge_body":1048577}"#) }
    }

    @Test func aCutConnectionIsALostAnswer() async throws {
        await #expect(throws: TransportFailure.answerLost(host: "127.0.0.1", reason: "the connection broke")) {
            try await send(#"{"drop":true}"#)
        }
    }
}
