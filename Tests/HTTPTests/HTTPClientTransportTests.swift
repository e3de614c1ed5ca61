import Foundation
import HTTPTypes
import OAuth
import Sodium
import TestSupport
import Testing
import TokenEngine

@testable import HTTP

/// The shipped transport against servers of Python's standard library that answer as no server should.
@Suite(.timeLimit(.minutes(3))) struct HTTPClientTransportTests {
    static let host = "127.0.0.1"
    /// What endpoint_server.py answers.
    static let body = Array(
        (#"{"access_token":"made-up","refresh_token":"made-up-too","padding":""# + String(repeating: "abc", count: 100) + #""}"#)
            .utf8)

    private func server(_ mode: String, _ certificate: Certificate? = nil) async throws -> PracticeServer {
        let files = certificate.map { [$0.path, $0.keyPath] } ?? []
        return try await PracticeServer(
            program: "/usr/bin/python3", arguments: [Program.root + "/Tests/HTTPTests/endpoint_server.py", mode] + files)
    }

    private func send(
        _ address: String, authority: String? = nil, change: (inout HTTPClientTransport.Limits) -> Void = { _ in }
    ) async throws -> EndpointAnswer {
        var settings = ClientSettings(tokenURL: try EndpointURL(address))
        settings.certificateAuthority = authority
        let request = settings.tokenRequest(
            ClientCredentials(id: "id", secret: try Secret(utf8: "made-up")), access: RequestedAccess())
        var limits = HTTPClientTransport.Limits()
        change(&limits)
        let transport = HTTPClientTransport(limits: limits, proxies: ProxySettings(environment: [:]))
        do {
            let answer = try await transport.send(request)
            await transport.close()
            return answer
        } catch {
            await transport.close()
            throw error
        }
    }

    private func isLost(_ reason: String) -> TransportFailure { .answerLost(host: Self.host, reason: reason) }

    // MARK: What is served

    @Test func `brings back status, headers and body`() async throws {
        let server = try await PracticeServer()
        try await server.fail(#"{"status":418,"body":"short and stout","headers":{"Retry-After":"7"}}"#)
        let answer = try await send(server.address + "/torq/v1/auth/token")
        #expect(answer.status == 418)
        #expect(answer.headerFields[.retryAfter] == "7")
        #expect(answer.body == Array("short and stout".utf8))
        #expect(answer.isWhole)
    }

    @Test func `follows no redirect`() async throws {
        let server = try await PracticeServer()
        try await server.fail(#"{"status":307,"headers":{"Location":"/api"}}"#)
        #expect(try await send(server.address + "/torq/v1/auth/token").status == 307)
    }

    @Test(arguments: ["/whole", "/to-the-end", "/gzip", "/deflate", "/raw", "/not-gzip", "/not-deflate"])
    func `hands over the body as it was before it was encoded`(_ path: String) async throws {
        let server = try await server("plain")
        let answer = try await send(server.address + path)
        #expect(answer.body == Self.body && answer.isWhole)
        // What is still encoded, for all we know, says so.
        #expect((answer.headerFields[.contentEncoding] == nil) == !path.hasPrefix("/not"))
    }

    // MARK: What breaks

    @Test(arguments: ["/cut", "/cut-chunk"])
    func `keeps what has come of an answer that breaks after its head`(_ path: String) async throws {
        let server = try await server("plain")
        let answer = try await send(server.address + path)
        #expect(answer.status == 200 && !answer.isWhole)
        #expect(answer.body == Array(Self.body.prefix(100)))
    }

    @Test func `keeps what has come of an answer that stops in the middle`() async throws {
        let server = try await server("plain")
        let stalled = try await send(server.address + "/stall") { $0.read = .milliseconds(300) }
        #expect(stalled.body == Array(Self.body.prefix(100)) && !stalled.isWhole)
        let late = try await send(server.address + "/stall") { $0.total = .seconds(3) }
        #expect(late.body == Array(Self.body.prefix(100)) && !late.isWhole)
    }

    @Test func `decodes what has come of an encoded answer`() async throws {
        let server = try await server("plain")
        let answer = try await send(server.address + "/cut-gzip")
        #expect(!answer.isWhole)
        #expect(String(decoding: answer.body, as: UTF8.self).contains(#""refresh_token":"made-up-too""#))
    }

    @Test(arguments: ["/nothing", "/half-head", "/reset", "/garbage"])
    func `an answer without a head is lost, never a server that was not reached`(_ path: String) async throws {
        let server = try await server("plain")
        do {
            _ = try await send(server.address + path)
            Issue.record("there was an answer")
        } catch TransportFailure.answerLost(let host, _) {
            #expect(host == Self.host)
        }
    }

    @Test func `a server that says nothing is given up at the limits`() async throws {
        let server = try await server("plain")
        let expected = isLost("no answer within the time limit")
        await #expect(throws: expected) { try await send(server.address + "/silent") { $0.read = .milliseconds(200) } }
        await #expect(throws: expected) { try await send(server.address + "/silent") { $0.total = .seconds(3) } }
    }

    /// The engine sends a refresh token again only when an earlier sending can't be answered any more.
    @Test func `a server has three minutes`() {
        let limits = HTTPClientTransport.Limits()
        #expect(limits.connect == .seconds(10) && limits.read == .seconds(180) && limits.total == .seconds(180))
    }

    @Test(arguments: ["/large", "/bomb"])
    func `of an answer over four mebibytes the first four are read, encoded or not`(_ path: String) async throws {
        let server = try await server("plain")
        let answer = try await send(server.address + path)
        #expect(answer.extent == .tooLarge)
        #expect(answer.body == [UInt8](repeating: UInt8(ascii: "a"), count: 4 << 20))
    }

    @Test func `a caller that gives up leaves it open whether the request was sent`() async throws {
        let server = try await server("plain")
        let task = Task { try await send(server.address + "/silent") }
        try await Task.sleep(for: .milliseconds(300))
        task.cancel()
        do {
            _ = try await task.value
            Issue.record("there was an answer")
        } catch TransportFailure.answerLost {}
    }

    // MARK: What was never sent

    @Test func `a port where nobody listens is no connection`() async throws {
        await #expect(throws: TransportFailure.noConnection(host: Self.host, reason: "the connection was refused")) {
            try await send("http://127.0.0.1:1/")
        }
    }

    @Test func `a name that nobody knows is no connection`() async throws {
        await #expect(throws: TransportFailure.noConnection(host: "nobody.invalid", reason: "no such host is known")) {
            try await send("https://nobody.invalid/")
        }
    }

    @Test(arguments: ["notls", "hangup"])
    func `a TLS handshake that fails is no connection`(_ mode: String) async throws {
        let server = try await server(mode)
        do {
            _ = try await send(server.address + "/whole")
            Issue.record("there was an answer")
        } catch TransportFailure.noConnection(let host, _) {
            #expect(host == Self.host)
        }
    }

    @Test func `an authority that is not trusted is a bad certificate, and gets no request`() async throws {
        let (certificate, other) = (try Certificate(), try Certificate())
        let server = try await server("tls", certificate)
        do {
            _ = try await send(server.address + "/whole", authority: other.pem)
            Issue.record("there was an answer")
        } catch TransportFailure.certificate(let host, _) {
            #expect(host == Self.host)
        }
        #expect(try await send(server.address + "/count", authority: certificate.pem).body == Array("1".utf8))
    }

    @Test func `TLS is 1.2 at least`() async throws {
        let certificate = try Certificate()
        let server = try await server("tls11", certificate)
        await #expect(throws: TransportFailure.noConnection(host: Self.host, reason: "no secure connection could be agreed")) {
            try await send(server.address + "/whole", authority: certificate.pem)
        }
    }

    // MARK: Behind the handshake

    /// Whatever TLS says then, the request may have arrived.
    @Test(arguments: ["/broken-tls", "/reset", "/nothing"])
    func `a TLS connection that breaks after the handshake is a lost answer`(_ path: String) async throws {
        let certificate = try Certificate()
        let server = try await server("tls", certificate)
        do {
            _ = try await send(server.address + path, authority: certificate.pem)
            Issue.record("there was an answer")
        } catch TransportFailure.answerLost {}
    }

    @Test func `an answer over TLS that is cut is kept as far as it came`() async throws {
        let certificate = try Certificate()
        let server = try await server("tls", certificate)
        let answer = try await send(server.address + "/cut", authority: certificate.pem)
        #expect(answer.body == Array(Self.body.prefix(100)) && !answer.isWhole)
        #expect(try await send(server.address + "/whole", authority: certificate.pem).isWhole)
    }
}

/// A certificate for 127.0.0.1 that signs itself.
private struct Certificate {
    let folder = TemporaryFolder()
    var path: String { folder.file("certificate.pem") }
    var keyPath: String { folder.file("key.pem") }

    init() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", keyPath, "-out", path,
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }

    var pem: String { String(decoding: bytes(ofFile: path), as: UTF8.self) }
}
