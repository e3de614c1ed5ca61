import Glibc
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import HTTP

@Suite struct ConnectionLimitTests {
    private func peer(_ uid: UInt32) -> ConnectionPeer { .process(PeerProcess(uid: uid, gid: 1, pid: 1)) }

    /// Connects, and closes again what is refused.
    private func connect(
        _ peer: ConnectionPeer, _ connections: Connections, _ limits: HTTPServer.Limits, _ channels: inout [EmbeddedChannel]
    ) throws -> Bool {
        let channel = EmbeddedChannel()
        let isAdmitted =
            connections.admit(channel, IdleDeadline(.seconds(30)), atMost: limits.connections)
            && connections.attribute(channel, to: peer, limits)
        if isAdmitted { channels.append(channel) } else { _ = try channel.finish() }
        return isAdmitted
    }

    @Test(arguments: [true, false])
    func `one user has a part, all others three quarters, and the owner is never kept out`(_ isPort: Bool) throws {
        func user(_ number: UInt32) -> ConnectionPeer { isPort ? .user(geteuid() + number) : peer(geteuid() + number) }
        let connections = Connections()
        var limits = HTTPServer.Limits()
        (limits.connections, limits.connectionsOfUser) = (16, 5)
        var channels: [EmbeddedChannel] = []
        var counts: [Int] = []
        for number in 1...4 as ClosedRange<UInt32> {
            counts.append(try (0..<20).filter { _ in try connect(user(1000 + number), connections, limits, &channels) }.count)
        }
        #expect(counts == [5, 5, 2, 0])
        #expect(try (0..<20).filter { _ in try connect(user(0), connections, limits, &channels) }.count == 4)
        // A connection that is closed makes room for another.
        _ = try channels.removeFirst().finish()
        #expect(try !connect(user(1002), connections, limits, &channels))
        #expect(try connect(user(1001), connections, limits, &channels))
        #expect(try !connect(user(1001), connections, limits, &channels))
        for channel in channels { _ = try channel.finish() }
    }

    /// It would lie in memory until it is whole.
    @Test(arguments: [true, false])
    func `a body from another user is refused at its head`(_ isOwner: Bool) throws {
        let channel = EmbeddedChannel()
        let batcher = RequestBatcher(channel.eventLoop) { requests in
            requests.map { _ in .now(ServerResponse(status: 200, headers: [], body: [])) }
        }
        let handler = ConnectionHandler(
            peer(isOwner ? geteuid() : geteuid() + 1000), batcher, Connections(), IdleDeadline(.seconds(30)), bodyLimit: 100)
        try channel.pipeline.syncOperations.addHandler(handler)
        var head = HTTPRequestHead(version: .http1_1, method: .POST, uri: "/v1/unlock")
        head.headers.add(name: "Content-Length", value: "4")
        try channel.writeInbound(HTTPServerRequestPart.head(head))
        if isOwner {
            try channel.writeInbound(HTTPServerRequestPart.body(ByteBuffer(string: "body")))
            try channel.writeInbound(HTTPServerRequestPart.end(nil))
        }
        channel.embeddedEventLoop.run()
        guard case .head(let answer)? = try channel.readOutbound(as: HTTPServerResponsePart.self) else {
            Issue.record("nothing was answered")
            return
        }
        #expect(answer.status.code == (isOwner ? 200 : 403))
        _ = try channel.finish(acceptAlreadyClosed: true)
    }
}
