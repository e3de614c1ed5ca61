import CLinux
import Glibc
import NIOCore

/// Who asks, as the kernel tells (`SO_PEERCRED` and `SO_PEERGROUPS`, unix(7)): nothing of it comes from the caller.
public struct Caller: Sendable, Equatable {
    public var uid: UInt32
    public var gid: UInt32
    public var pid: Int32
    /// The further groups, without the one of number 0.
    public var groups: Set<UInt32> = []
    /// The program, where the kernel lets us see it: that of another user it shows to root alone.
    public var exe: String?

    public init(uid: UInt32, gid: UInt32, pid: Int32, groups: Set<UInt32> = []) {
        (self.uid, self.gid, self.pid, self.groups) = (uid, gid, pid, groups)
    }

    /// The user that this process runs as, and root.
    public var isOwner: Bool { uid == geteuid() || uid == 0 }

    /// The caller at the other end of a channel; on the channel's event loop.
    static func of(_ channel: any Channel) -> EventLoopFuture<Caller> {
        guard let options = channel as? any SocketOptionProvider else {
            return channel.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
        }
        let peer: EventLoopFuture<claviger_peer> = option(CLAVIGER_SO_PEERCRED, options)
        return peer.flatMap { peer in
            var caller = Caller(uid: peer.uid, gid: peer.gid, pid: peer.pid)
            caller.exe = program(peer.pid)
            guard !caller.isOwner else { return channel.eventLoop.makeSucceededFuture(caller) }
            return withGroups(caller, options)
        }
    }

    /// What is left of the array behind the last group is zeros: number 0 can't be told from nothing. A caller with more
    /// groups than fit is taken for one with none.
    private static func withGroups(_ caller: Caller, _ options: any SocketOptionProvider) -> EventLoopFuture<Caller> {
        let groups: EventLoopFuture<claviger_groups> = option(CLAVIGER_SO_PEERGROUPS, options)
        return groups.map { groups in
            var caller = caller
            caller.groups = withUnsafeBytes(of: groups) { Set($0.bindMemory(to: UInt32.self)) }.subtracting([0])
            return caller
        }.flatMapErrorThrowing { _ in caller }
    }

    private static func program(_ pid: Int32) -> String? {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1024) { buffer in
            let length = readlink("/proc/\(pid)/exe", buffer.baseAddress!, buffer.count)
            return length > 0 ? String(decoding: buffer[..<length], as: UTF8.self) : nil
        }
    }

    private static func option<Value: Sendable>(_ number: Int, _ options: any SocketOptionProvider) -> EventLoopFuture<Value> {
        options.unsafeGetSocketOption(level: .socket, name: NIOBSDSocket.Option(rawValue: CInt(number)))
    }
}
