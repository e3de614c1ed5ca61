import CLinux
import Glibc
import Linux
import NIOCore

/// What a connection itself proves about its other side. Nothing of it is said by the other side. Who that is, and what it
/// may do, is decided elsewhere.
public enum ConnectionPeer: Sendable, Equatable {
    /// A Unix socket: the process that connected, as the kernel tells.
    case process(PeerProcess)
    /// A TCP connection within this machine: the user whose socket its other end is.
    case user(UInt32)
    /// Nothing is known of it. TCP alone proves nothing.
    case unproven
}

/// A process at the other end of a Unix socket (`SO_PEERCRED` and `SO_PEERGROUPS`, unix(7)), as it was when it connected.
public struct PeerProcess: Sendable, Equatable {
    public var uid: UInt32
    public var gid: UInt32
    public var pid: Int32
    /// The supplementary groups, without number 0. Empty for this process's own user and for root, who need none.
    public var groups: Set<UInt32>
    /// The path of the program, where the kernel lets us see it: it shows another user's to root alone.
    public var exe: String?

    public init(uid: UInt32, gid: UInt32, pid: Int32, groups: Set<UInt32> = [], exe: String? = nil) {
        (self.uid, self.gid, self.pid, self.groups, self.exe) = (uid, gid, pid, groups, exe)
    }
}

extension ConnectionPeer {
    /// The user's number, where it is known.
    var uid: UInt32? {
        switch self {
        case .process(let process): process.uid
        case .user(let uid): uid
        case .unproven: nil
        }
    }

    /// Whether it is this process's own user, or root.
    var isOwner: Bool { uid == geteuid() || uid == 0 }

    /// The other side of a TCP connection within this machine, once the channel is active.
    static func ofLoopback(_ channel: any Channel) -> ConnectionPeer {
        guard let own = end(channel.localAddress), let other = end(channel.remoteAddress),
            let uid = TCPConnection(own: own, other: other).otherUser
        else { return .unproven }
        return .user(uid)
    }

    private static func end(_ address: SocketAddress?) -> TCPConnection.End? {
        guard case .v4 = address, let numbers = address?.ipAddress?.split(separator: ".").compactMap({ UInt32($0) }),
            numbers.count == 4, let port = address?.port.flatMap({ UInt16(exactly: $0) })
        else { return nil }
        return TCPConnection.End(address: numbers.reduce(0) { $0 << 8 | $1 }, port: port)
    }

    /// The other side of a Unix socket; on the channel's event loop.
    static func ofUnixSocket(_ channel: any Channel) -> EventLoopFuture<ConnectionPeer> {
        guard let options = channel as? any SocketOptionProvider else {
            return channel.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
        }
        let peer: EventLoopFuture<claviger_peer> = option(CLAVIGER_SO_PEERCRED, options)
        return peer.flatMap { peer in
            let process = PeerProcess(uid: peer.uid, gid: peer.gid, pid: peer.pid, exe: program(peer.pid))
            guard peer.uid != geteuid(), peer.uid != 0 else {
                return channel.eventLoop.makeSucceededFuture(.process(process))
            }
            return withGroups(process, options)
        }
    }

    /// What is left of the array behind the last group is zeros: number 0 can't be told from nothing. A process with more
    /// groups than fit counts as one without any.
    private static func withGroups(_ process: PeerProcess, _ options: any SocketOptionProvider) -> EventLoopFuture<ConnectionPeer>
    {
        let groups: EventLoopFuture<claviger_groups> = option(CLAVIGER_SO_PEERGROUPS, options)
        return groups.map { groups in
            var process = process
            process.groups = unsafe withUnsafeBytes(of: groups) { unsafe Set($0.bindMemory(to: UInt32.self)) }.subtracting([0])
            return .process(process)
        }.flatMapErrorThrowing { _ in .process(process) }
    }

    private static func program(_ pid: Int32) -> String? {
        unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1024) { buffer in
            let length = unsafe readlink("/proc/\(pid)/exe", buffer.baseAddress!, buffer.count)
            return length > 0 ? unsafe String(decoding: buffer[..<length], as: UTF8.self) : nil
        }
    }

    private static func option<Value: Sendable>(_ number: Int, _ options: any SocketOptionProvider) -> EventLoopFuture<Value> {
        options.unsafeGetSocketOption(level: .socket, name: NIOBSDSocket.Option(rawValue: CInt(number)))
    }
}
