import AsyncHTTPClient
import HTTPTypes
import NIOCore
import OAuth
import Sodium
import TestSupport
import Testing
import TokenEngine

@testable import HTTP

/// What stands in the request line, as a server sees it that decodes nothing.
@Suite(.timeLimit(.minutes(1))) struct RequestTargetTests {
    /// Targets that Foundation's parser would change, or lose.
    static let targets = [
        "/%ff", "/%c0?Action=Delete", "/caf%E9.txt", "/%zz", "/100%", "/a|b", "//a//", "/a%2Fb", "/%2e", "/a;b=c", "/[x]",
        "/a%00b",
        "/?", "?q=%ff", "?a=100%&b=|", "/a?b?c", "/%E2%82%AC", "/~%7E", "",
    ]

    private func server() async throws -> PracticeServer {
        try await PracticeServer(
            program: "/usr/bin/python3", arguments: [Program.root + "/Tests/HTTPTests/endpoint_server.py", "plain"])
    }

    @Test func `a stream's target arrives byte for byte`() async throws {
        let server = try await server()
        let client = StreamingClient(proxies: ProxySettings(environment: [:]))
        for target in Self.targets {
            let url = try EndpointURL(server.address + "/wire" + target)
            let request = StreamedRequest(
                method: .get, url: url, headerFields: [:], body: .whole(ByteBuffer()), certificateAuthority: nil)
            let answer = try? await client.stream(request)
            let body = try? await answer?.body.collect(upTo: 1000)
            #expect(body.map { String(buffer: $0) } == "/wire" + target)
        }
        await client.close()
    }

    /// A client secret must not go to another path of its server either.
    @Test func `an endpoint's target arrives byte for byte`() async throws {
        let server = try await server()
        let transport = HTTPClientTransport(proxies: ProxySettings(environment: [:]))
        for target in Self.targets {
            let settings = ClientSettings(tokenURL: try EndpointURL(server.address + "/wire" + target))
            let request = settings.tokenRequest(
                ClientCredentials(id: "id", secret: try Secret(utf8: "made-up")), access: RequestedAccess())
            let answer = try? await transport.send(request)
            #expect(answer?.body == Array(("/wire" + target).utf8))
        }
        await transport.close()
    }

    @Test func `takes only what was written for it`() {
        #expect(RequestTarget.target(of: "/2f61") == "/a")
        // The last three would end the request's line.
        for path in ["", "/", "/2", "/zz", "2f", "/61", "/2fe9", "/2f20", "/2f0d0a", "/2f00"] {
            #expect(RequestTarget.target(of: path) == nil, "\(path)")
        }
    }
}
