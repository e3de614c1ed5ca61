import Foundation
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

    /// The request has arrived, and may have been acted on: this must never pass for a server that was not reached.
    @Test func aConnectionThatIsResetIsALostAnswer() async throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 1) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        try #require(isListening)
        Thread.detachNewThread {
            let connection = accept(listener, nil, nil)
            var byte: UInt8 = 0
            _ = recv(connection, &byte, 1, 0)
            // To close with this is to reset.
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(connection, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
            close(connection)
        }
        let settings = ClientSettings(tokenURL: try EndpointURL("http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))/"))
        let request = settings.tokenRequest(
            ClientIdentity(id: "id", secret: try Secret(utf8: "made-up")), access: RequestedAccess())
        let transport = NetworkTransport(proxies: ProxySettings(environment: [:]))
        await #expect(throws: TransportFailure.answerLost(host: "127.0.0.1", reason: "the connection broke")) {
            try await transport.send(request)
        }
        await transport.close()
    }

    @Test func aCutConnectionIsALostAnswer() async throws {
        await #expect(throws: TransportFailure.answerLost(host: "127.0.0.1", reason: "the connection broke")) {
            try await send(#"{"drop":true}"#)
        }
    }
}
