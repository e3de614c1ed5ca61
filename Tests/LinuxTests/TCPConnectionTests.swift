import Foundation
import TestSupport
import Testing

@testable import Linux

@Suite struct TCPConnectionTests {
    /// Both ends of a connection within this process.
    private final class Pair {
        let listener: Int32
        let client: Int32
        let server: Int32
        let connection: TCPConnection

        /// - Parameter family: of the client's socket.
        init(_ family: Int32 = AF_INET) {
            let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            let client = socket(family, Int32(SOCK_STREAM.rawValue), 0)
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
            Self.with(&name) { _ = bind(listener, $0, $1) }
            listen(listener, 1)
            name = Self.name(listener, getsockname)
            if family == AF_INET {
                Self.with(&name) { _ = connect(client, $0, $1) }
            } else {
                // ::ffff:127.0.0.1, which is what Java connects to.
                var mapped = sockaddr_in6()
                mapped.sin6_family = sa_family_t(AF_INET6)
                mapped.sin6_port = name.sin_port
                let bytes = [UInt8](repeating: 0, count: 10) + [255, 255, 127, 0, 0, 1]
                withUnsafeMutableBytes(of: &mapped.sin6_addr) { $0.copyBytes(from: bytes) }
                Self.with(&mapped) { _ = connect(client, $0, $1) }
            }
            let server = accept(listener, nil, nil)
            precondition(server >= 0)
            (self.listener, self.client, self.server) = (listener, client, server)
            connection = TCPConnection(
                own: Self.end(Self.name(server, getsockname)), other: Self.end(Self.name(server, getpeername)))
        }

        deinit { for descriptor in [listener, client, server] { close(descriptor) } }

        private static func with<Name>(_ name: inout Name, _ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Void) {
            withUnsafeMutablePointer(to: &name) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<Name>.size)) }
            }
        }

        private static func name(
            _ socket: Int32, _ call: (Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?) -> Int32
        ) -> sockaddr_in {
            var name = sockaddr_in()
            with(&name) {
                var length = $1
                precondition(call(socket, $0, &length) == 0)
            }
            return name
        }

        private static func end(_ name: sockaddr_in) -> TCPConnection.End {
            .init(address: UInt32(bigEndian: name.sin_addr.s_addr), port: UInt16(bigEndian: name.sin_port))
        }
    }

    @Test(arguments: [AF_INET, AF_INET6]) func `the other end is the user's who made its socket`(_ family: Int32) throws {
        try TCPConnection.requireOwners()
        let pair = Pair(family)
        #expect(pair.connection.otherUser == geteuid())
        // A client that has said all that it wants to say is still there.
        shutdown(pair.client, Int32(SHUT_WR))
        #expect(pair.connection.otherUser == geteuid())
    }

    /// Of a socket that nobody has open any more, the kernel says that it is root's; and once this end is closed, another
    /// connection may have the same two ends.
    @Test(arguments: [true, false]) func `an end that is closed is nobody's`(_ isClient: Bool) {
        let pair = Pair()
        // The number stays taken until the pair goes.
        let null = open("/dev/null", O_RDONLY)
        dup2(null, isClient ? pair.client : pair.server)
        close(null)
        #expect(pair.connection.otherUser == nil)
    }

    @Test func `a connection that is none has no user`() {
        let pair = Pair()
        let (own, other) = (pair.connection.own, pair.connection.other)
        #expect(TCPConnection.user(of: own, connectedTo: .none) == geteuid())
        // The kernel tells of the listener then.
        #expect(TCPConnection.user(of: own, connectedTo: .init(address: other.address, port: 1)) == nil)
        #expect(TCPConnection(own: own, other: .init(address: other.address, port: 1)).otherUser == nil)
        #expect(TCPConnection(own: .init(address: own.address, port: 1), other: other).otherUser == nil)
        #expect(TCPConnection(own: .none, other: own).otherUser == nil)
    }

    @Test func `in a user namespace, one number stands for all others`() {
        #expect(UserNamespace.isWhole("         0          0 4294967295\n"))
        for part in ["0 1000 1\n", "0 1000 1\n1 100000 65536\n", "", "made up"] { #expect(!UserNamespace.isWhole(part)) }
    }
}
