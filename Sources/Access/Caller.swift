import Glibc

/// Who asks: a user of this machine, with the process that asks for them. All of it comes from the kernel, nothing from
/// the caller.
public struct Caller: Sendable, Equatable {
    public var uid: UInt32
    public var gid: UInt32
    public var pid: Int32
    /// The supplementary groups, without number 0.
    public var groups: Set<UInt32>
    /// The path of the program, where the kernel lets us see it.
    public var exe: String?

    public init(uid: UInt32, gid: UInt32, pid: Int32, groups: Set<UInt32> = [], exe: String? = nil) {
        (self.uid, self.gid, self.pid, self.groups, self.exe) = (uid, gid, pid, groups, exe)
    }

    /// Whether this is the user that this process runs as, or root. Either could read this process's memory.
    public var isOwner: Bool { uid == geteuid() || uid == 0 }

    /// This process itself. Its program is not named: the log names a program only where the kernel told it.
    public static var own: Caller { Caller(uid: getuid(), gid: getgid(), pid: getpid()) }
}
