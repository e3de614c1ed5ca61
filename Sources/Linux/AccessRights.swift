import Glibc

/// Who may use a file, by its permission bits and its access control list (acl(5)).
struct AccessRights {
    static let read: UInt32 = 4
    static let write: UInt32 = 2
    static let enter: UInt32 = 1

    private let owner: UInt32
    private var entries: [(who: FileReader, bits: UInt32)]

    /// - Parameter list: the extended attribute `system.posix_acl_access`, where there is one.
    init(_ status: FileStatus, list: [UInt8]?) {
        owner = status.owner
        entries = list.flatMap { Self.entries($0, status) } ?? Self.entries(status)
    }

    private static func entries(_ status: FileStatus) -> [(who: FileReader, bits: UInt32)] {
        let bits = status.permissions
        return [(.user(status.owner), bits >> 6 & 7), (.group(status.group), bits >> 3 & 7), (.everybody, bits & 7)]
    }

    /// A version, 2, and entries of a tag, bits and an id, in the byte order of the machine's little-endian kind
    /// (linux/posix_acl_xattr.h). With such a list, the group's permission bits are its mask, and say nothing of the group.
    private static func entries(_ list: [UInt8], _ status: FileStatus) -> [(who: FileReader, bits: UInt32)]? {
        func number(_ at: Int, _ width: Int) -> UInt32 {
            list[at..<at + width].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
        guard list.count >= 4, (list.count - 4) % 8 == 0, number(0, 4) == 2 else { return nil }
        let raw = stride(from: 4, to: list.count, by: 8).map {
            (tag: number($0, 2), bits: number($0 + 2, 2), id: number($0 + 4, 4))
        }
        let mask = raw.first { $0.tag == 0x10 }?.bits ?? 7
        return raw.compactMap { tag, bits, id in
            switch tag {
            case 0x01: (.user(status.owner), bits)
            case 0x02: (.user(id), bits & mask)
            case 0x04: (.group(status.group), bits & mask)
            case 0x08: (.group(id), bits & mask)
            case 0x20: (.everybody, bits)
            default: nil
            }
        }
    }

    /// Who has one of these rights at least, besides some users.
    func holders(of rights: UInt32, besides users: Set<UInt32>) -> [FileReader] {
        entries.filter { entry in
            guard entry.bits & rights != 0 else { return false }
            if case .user(let id) = entry.who { return !users.contains(id) }
            return true
        }.map(\.who)
    }
}

/// Somebody whom a file lets in.
public enum FileReader: Codable, Equatable, Sendable {
    case everybody, group(UInt32), user(UInt32)
}
