import CLinux
import Glibc

/// What stands in a file's inode (inode(7)).
public struct FileStatus: Equatable, Sendable {
    /// The raw value is the kind's name for people.
    public enum Kind: String, Sendable {
        case file, folder, socket, device
        case fifo = "FIFO"
        case other = "special file"
    }

    /// Tells a file from every other one, as long as somebody keeps it open: after that its inode may be used again.
    public struct Identity: Equatable, Sendable {
        public let device: UInt64
        public let inode: UInt64
    }

    /// In bytes.
    public let size: UInt64
    /// The bytes that the file has on the disk, also those reserved behind its end.
    public let allocated: UInt64
    public let kind: Kind
    /// The permission bits, with set-user-ID, set-group-ID and the sticky bit.
    public let permissions: UInt32
    public let owner: UInt32
    public let group: UInt32
    public let identity: Identity

    init(_ info: stat) {
        size = UInt64(info.st_size)
        allocated = UInt64(info.st_blocks) * 512
        kind = Self.kind(info.st_mode)
        permissions = info.st_mode & 0o7777
        (owner, group) = (info.st_uid, info.st_gid)
        identity = Identity(device: UInt64(info.st_dev), inode: UInt64(info.st_ino))
    }

    private static func kind(_ mode: mode_t) -> Kind {
        switch mode & S_IFMT {
        case S_IFREG: .file
        case S_IFDIR: .folder
        case S_IFIFO: .fifo
        case S_IFSOCK: .socket
        case S_IFCHR, S_IFBLK: .device
        default: .other
        }
    }
}
