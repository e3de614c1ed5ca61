import AgentProtocol
import Foundation
import TestSupport
import Testing

/// Something that listens where an agent should, and does with each connection what it is told.
private final class Listener: Sendable {
    let path: String
    private let folder = TemporaryFolder()
    private let descriptor: Int32

    init(_ serve: @escaping @Sendable (Int32) -> Void) {
        path = folder.file("s")
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        self.descriptor = descriptor
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        precondition(status == 0 && listen(descriptor, 8) == 0)
        Thread.detachNewThread {
            while case let connection = accept(descriptor, nil, nil), connection >= 0 {
                serve(connection)
                close(connection)
            }
            // Not before it has stopped accepting: its number may be another listener's a moment later.
            close(descriptor)
        }
    }

    deinit { shutdown(descriptor, Int32(SHUT_RDWR)) }
}

private func say(_ text: String, _ connection: Int32) {
    _ = Array(text.utf8).withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
}

private func hear(_ connection: Int32) {
    var buffer = [UInt8](repeating: 0, count: 4096)
    _ = recv(connection, &buffer, buffer.count, 0)
}

@Suite(.timeLimit(.minutes(1))) struct AgentSocketTests {
    private let final = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    /// - Returns: the answer's body, or what went wrong.
    private func ask(_ path: String, patience: Double = 0.3) -> String {
        do throws(AgentSocket.Failure) {
            return String(decoding: try AgentSocket(path: path, patience: patience).send(.status()).body, as: UTF8.self)
        } catch {
            return "\(error)".prefix { $0 != "(" }.description
        }
    }

    @Test func `a slow answer is waited for as long as the agent says that it works`() {
        let listener = Listener { [final] connection in
            hear(connection)
            for _ in 0..<6 {
                usleep(150_000)
                say("HTTP/1.1 102 Processing\r\n\r\n", connection)
            }
            usleep(150_000)
            say(final, connection)
        }
        #expect(ask(listener.path) == "hello")
    }

    @Test func `an agent that says nothing is silent`() {
        let listener = Listener { connection in
            hear(connection)
            usleep(1_500_000)
        }
        let start = ContinuousClock.now
        #expect(ask(listener.path) == "silent")
        #expect(ContinuousClock.now - start < .seconds(1))
    }

    @Test func `one that falls silent is, too`() {
        let listener = Listener { connection in
            hear(connection)
            say("HTTP/1.1 102 Processing\r\n\r\n", connection)
            usleep(1_500_000)
        }
        #expect(ask(listener.path) == "silent")
    }

    @Test func `one that accepts nothing is silent, also when its queue is full`() {
        let listener = Listener { _ in usleep(3_000_000) }
        // Its queue holds nine.
        let waiting = (0..<12).map { _ in Thread { _ = ask(listener.path, patience: 2) } }
        for thread in waiting { thread.start() }
        usleep(200_000)
        #expect(ask(listener.path) == "silent")
    }

    @Test func `an end before the first byte of an answer is told from one in its middle`() {
        let ended = Listener { hear($0) }
        #expect(ask(ended.path) == "closed")
        let working = Listener { connection in
            hear(connection)
            say("HTTP/1.1 102 Processing\r\n\r\n", connection)
        }
        #expect(ask(working.path) == "closed")
        let middle = Listener { connection in
            hear(connection)
            say("HTTP/1.1 200 OK\r\nContent-Le", connection)
        }
        #expect(ask(middle.path) == "broken")
    }

    @Test func `nobody listens`() {
        let folder = TemporaryFolder()
        #expect(ask(folder.file("s")) == "nobody")
        #expect(ask("/" + String(repeating: "a", count: 120)) == "nobody")
    }

    /// An agent refuses a body that is too long without reading it; what it says is read all the same.
    @Test func `an answer to half a request is read`() {
        let listener = Listener { connection in
            say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno", connection)
            shutdown(connection, Int32(SHUT_WR))
            usleep(100_000)
        }
        let body = [UInt8](repeating: 0, count: 4 << 20)
        let status = try? AgentSocket(path: listener.path, patience: 2).send(.unlock(body)).status
        #expect(status == 413)
    }
}
