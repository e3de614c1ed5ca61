import Foundation
import HTTPTypes
import HummingbirdCore
import Linux
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import HTTP

/// A streaming server answers the users that it was told, and nobody else.
extension HTTPServerTests {
    private static let request = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    private func server(_ admission: Admission, onRequest: @escaping @Sendable () -> Void = {}) -> HTTPServer {
        HTTPServer(admission: admission) { _, writer, _ in
            onRequest()
            try await writer.write(
                response: HTTPResponse(status: .ok), body: ResponseBody(byteBuffer: ByteBuffer(string: "served")))
        }
    }

    @Test func `who is admitted is served`() async throws {
        let server = server(try Admission(users: [geteuid()]) { _ in Issue.record("refused") })
        let answer = try await serving(server, on: .loopback("127.0.0.1", port: 0)) { port in
            await exchange(connectLoopback(port!), Self.request)
        }
        #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.contains("served"), "\(answer)")
    }

    /// Before a byte of it is read: also a request that would not fit gets the answer, and no reset in its place.
    @Test(arguments: ["", Self.request, "made up\r\n\r\n", Self.request + String(repeating: "a", count: 1 << 20)])
    func `who is not admitted is refused in words`(_ text: String) async throws {
        let users = Mutex<[UInt32?]>([])
        let other = geteuid() + 1
        let admission = try Admission(users: [other]) { user in users.withLock { $0.append(user) } }
        let server = server(admission) { Issue.record("read") }
        let answer = try await serving(server, on: .loopback("127.0.0.1", port: 0)) { port in
            await exchange(connectLoopback(port!), text)
        }
        #expect(
            answer.hasPrefix("HTTP/1.1 403 Forbidden\r\n") && answer.contains("this address is not for your user"), "\(answer)")
        #expect(users.withLock { $0 } == [geteuid()])
    }

    /// Where users can't be told: nobody is let in for want of an answer.
    @Test func `who can't be told is refused`() async throws {
        let folder = TemporaryFolder()
        let path = folder.file("s")
        let users = Mutex<[UInt32?]>([])
        let server = server(try Admission(users: [geteuid(), 0]) { user in users.withLock { $0.append(user) } })
        let answer = try await serving(server, on: .path(path)) { _ in
            await exchange(unixSocket(path) { connect($0, $1, $2) }, Self.request)
        }
        #expect(answer.hasPrefix("HTTP/1.1 403 ") && users.withLock { $0 } == [nil], "\(answer)")
    }

    /// A client that stays, says nothing and reads nothing does not keep its connection.
    @Test func `a refused connection does not last`() async throws {
        let server = server(try Admission(users: []) { _ in })
        let isClosed = try await serving(server, on: .loopback("127.0.0.1", port: 0)) { port in
            let descriptor = connectLoopback(port!)
            defer { close(descriptor) }
            return try await eventually { send(descriptor, "a", 1, Int32(MSG_NOSIGNAL)) < 0 }
        }
        #expect(isClosed)
    }

    @Test func `says where it can't listen`() async throws {
        let first = server(try Admission(users: []) { _ in })
        try await serving(first, on: .loopback("127.0.0.1", port: 0)) { port in
            let second = HTTPServer(bodyLimit: 0) { _ in [] }
            do {
                try await second.run(on: .loopback("127.0.0.1", port: port!)) { _ in }
                Issue.record("listens twice")
            } catch {
                #expect(HTTPServer.isTaken(error))
                #expect(
                    error as? FileError == FileError(operation: "listen on", path: "127.0.0.1, port \(port!)", code: EADDRINUSE))
            }
        }
    }
}
