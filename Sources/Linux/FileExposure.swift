import CLinux
import Glibc

/// A file that others than its owner, root and this process's user can read or change.
public struct FileExposure: Codable, Equatable, Sendable {
    public let path: String
    /// One at least.
    public let readers: [FileReader]
    /// Whether an access control list lets them in, and not the permission bits alone.
    public let hasList: Bool
    /// Whether nothing can be changed on its file system.
    public let isReadOnly: Bool
    /// Whether this process may change it.
    public let isOurs: Bool
}

extension File {
    /// Whether others can read or change what is in this file: a folder on the way to it that they can't enter keeps them out, whatever
    /// the file itself allows them.
    ///
    /// What was handed over for this process by those who do so is not exposed, though its permissions look like it: systemd's
    /// credentials (`$CREDENTIALS_DIRECTORY`, systemd.exec(5)), and the secrets of containers, which are a read-only file system
    /// below `/run/secrets` on which everybody of the container can read.
    /// - Parameter credentialsFolder: where systemd has put the credentials of this service.
    /// - Returns: nil if nobody else can. Only files and FIFOs hold what could be read.
    public func exposure(
        credentialsFolder: String? = ChildProcess.variable("CREDENTIALS_DIRECTORY")
    ) throws(FileError) -> FileExposure? {
        let status = try status()
        guard status.kind == .file || status.kind == .fifo else { return nil }
        // Its owner could put another in its place.
        let insiders: Set<UInt32> = [0, geteuid()]
        let list = unsafe Self.list { unsafe Int(claviger_access_list(descriptor, $0.baseAddress, $0.count)) }
        let readers = AccessRights(status, list: list).holders(of: AccessRights.read | AccessRights.write, besides: insiders)
        guard !readers.isEmpty else { return nil }
        let link = "/proc/self/fd/\(descriptor)"
        let real = Path.resolve(link)
        // One whose path can't be told is as open as its permissions say.
        if real != link, Self.isShut(real, insiders) || isHandedOver(real, status, credentialsFolder) { return nil }
        return FileExposure(
            path: path, readers: readers, hasList: list != nil, isReadOnly: isOnReadOnlyFileSystem,
            isOurs: geteuid() == 0 || geteuid() == status.owner)
    }

    /// Whether some folder above can be entered by nobody else.
    private static func isShut(_ path: String, _ insiders: Set<UInt32>) -> Bool {
        var folder = path
        while folder.hasPrefix("/"), folder != "/" {
            folder = Path.folder(of: folder)
            guard let status = try? Path.status(of: folder), insiders.contains(status.owner) else { continue }
            let list = unsafe list { [folder] in unsafe Int(claviger_access_list_at(folder, $0.baseAddress, $0.count)) }
            if AccessRights(status, list: list).holders(of: AccessRights.enter, besides: insiders).isEmpty { return true }
        }
        return false
    }

    private func isHandedOver(_ path: String, _ status: FileStatus, _ credentialsFolder: String?) -> Bool {
        guard [0, geteuid()].contains(status.owner), status.permissions & 0o022 == 0 else { return false }
        if let credentialsFolder, credentialsFolder.hasPrefix("/"), path.hasPrefix(Path.resolve(credentialsFolder) + "/") {
            return true
        }
        return path.hasPrefix("/run/secrets/") && isOnReadOnlyFileSystem
    }

    private var isOnReadOnlyFileSystem: Bool {
        var info = statvfs()
        return unsafe fstatvfs(descriptor, &info) == 0 && info.f_flag & UInt(ST_RDONLY) != 0
    }

    /// - Returns: nil where there is none, or the file system has none.
    private static func list(_ read: (UnsafeMutableRawBufferPointer) -> Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe read($0) }
        return count > 0 ? Array(bytes.prefix(count)) : nil
    }
}
