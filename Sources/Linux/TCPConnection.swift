import CLinux
import Glibc

/// A TCP connection within this machine, and whose its other end is, as the kernel tells (sock_diag(7)).
///
/// A socket belongs to the user that made it, also after it was passed to another process.
public struct TCPConnection: Sendable {
    /// An end of a connection over IPv4, in the machine's byte order.
    public struct End: Sendable {
        public var address: UInt32
        public var port: UInt16

        public init(address: UInt32, port: UInt16) {
            (self.address, self.port) = (address, port)
        }

        static let loopback = End(address: INADDR_LOOPBACK, port: 0)
        /// What a socket is connected to that only listens.
        static let none = End(address: 0, port: 0)
        fileprivate var c: claviger_tcp_end { claviger_tcp_end(address: address, port: port) }
    }

    /// This process's own end.
    let own: End
    let other: End

    public init(own: End, other: End) {
        (self.own, self.other) = (own, other)
    }

    /// The user whose socket the other end is.
    /// - Returns: nil if that can't be told: it is closed, or of a user without a number here.
    public var otherUser: UInt32? {
        guard let uid = Self.user(of: other, connectedTo: own) else { return nil }
        // As long as our end is open, no other connection that is established can have these two ends.
        guard Self.user(of: own, connectedTo: other) != nil else { return nil }
        return UserNamespace.isKnown(uid) ? uid : nil
    }

    /// Makes sure that the owners of connections can be told here.
    /// - Throws: what hinders it: the kernel lacks `CONFIG_INET_DIAG`, or a sandbox forbids the question.
    public static func requireOwners() throws(FileError) {
        let (operation, path) = ("see whose a connection is on", "127.0.0.1")
        let listener = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard listener >= 0 else { throw FileError(operation, path) }
        defer { close(listener) }
        guard let port = port(listening: listener) else { throw FileError(operation, path) }
        var found = claviger_tcp_socket()
        guard unsafe claviger_find_tcp(End(address: INADDR_LOOPBACK, port: port).c, End.none.c, &found) == 0 else {
            throw FileError(operation, path)
        }
        guard found.uid == geteuid(), found.inode != 0, UserNamespace.isKnown(found.uid) else {
            throw FileError(operation: operation, path: path, code: EOVERFLOW)
        }
    }

    /// - Returns: the port that a socket listens at from now on; nil with errno.
    private static func port(listening socket: Int32) -> UInt16? {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        return unsafe withUnsafeMutablePointer(to: &address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                guard unsafe bind(socket, name, length) == 0, listen(socket, 1) == 0,
                    unsafe getsockname(socket, name, &length) == 0
                else { return nil }
                return unsafe UInt16(bigEndian: address.pointee.sin_port)
            }
        }
    }

    /// - Returns: nil for a socket that no process has open any more: of that the kernel says that it is root's.
    static func user(of end: End, connectedTo other: End) -> UInt32? {
        var found = claviger_tcp_socket()
        guard unsafe claviger_find_tcp(end.c, other.c, &found) == 0, found.inode != 0 else { return nil }
        return found.uid
    }
}

/// Which users have numbers of their own here (user_namespaces(7)).
enum UserNamespace {
    /// The number that stands for every user without one; nil if all have one.
    private static let unknown: UInt32? = {
        func text(_ path: String) -> String {
            String(decoding: (try? File.open(path).readToEnd(limit: 64 << 10)) ?? [], as: UTF8.self)
        }
        if isWhole(text("/proc/self/uid_map")) { return nil }
        return UInt32(text("/proc/sys/kernel/overflowuid").filter(\.isNumber)) ?? 65534
    }()

    static func isKnown(_ uid: UInt32) -> Bool { uid != unknown }

    /// - Parameter map: lines of the first number inside, the first outside, and how many.
    static func isWhole(_ map: String) -> Bool {
        let counts = map.split(separator: "\n").map { $0.split(separator: " ").last.flatMap { UInt64($0) } ?? 0 }
        return counts.reduce(0, +) >= UInt64(UInt32.max)
    }
}
