import Foundation
import HummingbirdCore
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import HTTP

/// A server in this process, on each kind of address.
@Suite(.timeLimit(.minutes(2))) struct HTTPServerTests {
    /// Serves until `body` returns, and ends with it.
    func serving<R: Sendable>(
        _ server: HTTPServer, on address: HTTPServer.Address, _ body: @Sendable @escaping (Int?) async throws -> R
    ) async throws -> R {
        try await withThrowingTaskGroup(of: R?.self) { group in
            let (ports, continuation) = AsyncStream<Int?>.makeStream()
            group.addTask {
                try await server.run(on: address) { continuation.yield($0) }
                return nil
            }
            for await port in ports {
                group.addTask { try await body(port) }
                break
            }
            while let result = try await group.next() {
                group.cancelAll()
                if let result { return result }
            }
            throw CancellationError()
        }
    }

    private func echo() -> HTTPServer {
        HTTPServer(bodyLimit: 100) { requests in
            requests.map { request in
                let text = "\(request.method) \(request.target) \(request.header("x-made-up") ?? "-") \(request.peer) "
                return .now(ServerResponse(status: 200, headers: [("X-Answer", "yes")], body: Array(text.utf8) + request.body))
            }
        }
    }

    /// Sends bytes over a socket, and reads until the other side closes it.
    func exchange(_ descriptor: Int32, _ text: String) async -> String {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                _ = send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL))
                var answer: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 65536)
                while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 { answer += buffer[..<count] }
                close(descriptor)
                continuation.resume(returning: String(decoding: answer, as: UTF8.self))
            }
        }
    }

    func connectLoopback(_ port: Int) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        precondition(status == 0)
        return descriptor
    }

    func unixSocket(_ path: String, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                call(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        precondition(status == 0)
        return descriptor
    }

    private static let request =
        "POST /a?b=c HTTP/1.1\r\nHost: a\r\nX-Made-Up: d\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"

    @Test func `a loopback port proves nothing about who is there`() async throws {
        let answer = try await serving(echo(), on: .loopback("127.0.0.1", port: 0)) { port in
            await exchange(connectLoopback(port!), Self.request)
        }
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.hasSuffix("POST /a?b=c d unproven body"), "\(answer)")
        #expect(answer.contains("X-Answer: yes\r\n") && answer.contains("Connection: close\r\n"))
    }

    @Test func `a Unix socket proves which process is there`() async throws {
        let folder = TemporaryFolder()
        let path = folder.file("s")
        let peers = Mutex<[ConnectionPeer]>([])
        let server = HTTPServer(bodyLimit: 100) { requests in
            peers.withLock { $0 += requests.map(\.peer) }
            return requests.map { _ in .now(ServerResponse(status: 204, headers: [], body: [])) }
        }
        let answer = try await serving(server, on: .path(path)) { _ in
            await exchange(unixSocket(path, { connect($0, $1, $2) }), Self.request)
        }
        #expect(answer.hasPrefix("HTTP/1.1 204 "))
        guard case .process(let process) = peers.withLock({ $0 }).first else {
            Issue.record("no process")
            return
        }
        #expect(process.uid == getuid() && process.gid == getgid() && process.pid == getpid())
        #expect(process.exe == (try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")))
    }

    @Test func `serves a socket that it inherits`() async throws {
        let folder = TemporaryFolder()
        let path = folder.file("s")
        let listener = unixSocket(path) { bind($0, $1, $2) }
        #expect(listen(listener, 10) == 0)
        let answer = try await serving(echo(), on: .inherited(listener)) { _ in
            await exchange(unixSocket(path, { connect($0, $1, $2) }), Self.request)
        }
        #expect(answer.contains("process") && answer.hasSuffix("body"))
    }

    /// The body limit is the server's, and the page that a login lands on has none.
    @Test func `a body over the limit is refused unread`() async throws {
        let answer = try await serving(HTTPServer(bodyLimit: 3) { _ in [] }, on: .loopback("127.0.0.1", port: 0)) { port in
            await exchange(connectLoopback(port!), Self.request)
        }
        #expect(answer.hasPrefix("HTTP/1.1 413 "))
    }

    @Test func `an answer that takes its time comes before what was asked behind it`() async throws {
        let server = HTTPServer(bodyLimit: 0) { requests in
            requests.map { request in
                let response = ServerResponse(status: 200, headers: [], body: Array("<\(request.target)>".utf8))
                guard request.target == "/slow" else { return .now(response) }
                return .later {
                    try? await Task.sleep(for: .milliseconds(100))
                    return response
                }
            }
        }
        let text = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /fast HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        let answer = try await serving(server, on: .loopback("127.0.0.1", port: 0)) { port in
            await exchange(connectLoopback(port!), text)
        }
        #expect(answer.components(separatedBy: "<").dropFirst().map { String($0.prefix(6)) } == ["/slow>", "/fast>"])
    }

    @Test func `a reply that takes its time is announced at once and every two seconds`() async throws {
        let server = HTTPServer(bodyLimit: 0) { requests in
            requests.map { request in
                .later(reports: request.target != "/silent") {
                    try? await Task.sleep(for: .milliseconds(2200))
                    return ServerResponse(status: 200, headers: [], body: Array("done".utf8))
                }
            }
        }
        @Sendable func request(_ target: String, _ version: String = "1.1") -> String {
            "GET \(target) HTTP/\(version)\r\nHost: a\r\nConnection: close\r\n\r\n"
        }
        let answers = try await serving(server, on: .loopback("127.0.0.1", port: 0)) { port in
            async let told = exchange(connectLoopback(port!), request("/told"))
            async let silent = exchange(connectLoopback(port!), request("/silent"))
            async let old = exchange(connectLoopback(port!), request("/told", "1.0"))
            return await [told, silent, old]
        }
        let interim = "HTTP/1.1 102 Processing\r\n\r\n"
        // One more for every two seconds that a busy machine takes longer.
        #expect(answers[0].hasPrefix(interim + interim), "\(answers[0])")
        #expect(answers[0].replacingOccurrences(of: interim, with: "").hasPrefix("HTTP/1.1 200 OK\r\n"), "\(answers[0])")
        #expect(answers.dropFirst().allSatisfy { $0.hasPrefix("HTTP/1.1 200 OK\r\n") })
        #expect(answers.allSatisfy { $0.hasSuffix("\r\n\r\ndone") })
    }

    @Test(arguments: [false, true])
    func `what is begun for a client that is gone by then is done all the same`(_ reports: Bool) async throws {
        let folder = TemporaryFolder()
        let path = folder.file("s")
        let (isRead, isClosed) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let isDone = Mutex(false)
        let server = HTTPServer(bodyLimit: 0) { requests in
            isRead.signal()
            isClosed.wait()
            return requests.map { _ in
                .later(reports: reports) {
                    isDone.withLock { $0 = true }
                    return ServerResponse(status: 204, headers: [], body: [])
                }
            }
        }
        let isSeen = try await serving(server, on: .path(path)) { _ in
            await withCheckedContinuation { continuation in
                Thread.detachNewThread {
                    let descriptor = unixSocket(path) { connect($0, $1, $2) }
                    let text = "POST / HTTP/1.1\r\nHost: a\r\n\r\n"
                    _ = send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL))
                    isRead.wait()
                    close(descriptor)
                    isClosed.signal()
                    continuation.resume()
                }
            }
            return try await eventually { isDone.withLock { $0 } }
        }
        #expect(isSeen)
    }

    /// Cancelled in the middle of a request, and of a stream: nothing hangs, nothing traps.
    @Test(arguments: [false, true])
    func `ends with its connections, whatever they are doing`(_ isStreaming: Bool) async throws {
        for _ in 0..<20 {
            let server =
                isStreaming
                ? HTTPServer(admission: try Admission(users: [geteuid()]) { _ in }) { _, _, _ in
                    try await Task.sleep(for: .seconds(60))
                }
                : HTTPServer(bodyLimit: 0) { requests in
                    requests.map { _ in
                        .later {
                            try? await Task.sleep(for: .seconds(60))
                            return ServerResponse(status: 200, headers: [], body: [])
                        }
                    }
                }
            let descriptors = try await serving(server, on: .loopback("127.0.0.1", port: 0)) { port in
                (0..<8).map { number in
                    let descriptor = connectLoopback(port!)
                    let text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                    if number % 2 == 0 { _ = send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL)) }
                    return descriptor
                }
            }
            descriptors.forEach { close($0) }
        }
    }
}
