import Foundation
import TestSupport

/// A file system in memory that can be as good as full.
final class SmallDisk {
    private let folder: TemporaryFolder

    /// Mounts it over a folder.
    /// - Returns: nil where nothing may be mounted.
    init?(over folder: TemporaryFolder) {
        self.folder = folder
        guard Self.run("/usr/bin/mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "claviger-test", folder.path) else {
            return nil
        }
    }

    deinit { _ = Self.run("/usr/bin/umount", "--lazy", folder.path) }

    /// Leaves room for so much more; nil for plenty.
    func leave(pages: Int?, files: Int?) -> Bool {
        var info = statvfs()
        guard statvfs(folder.path, &info) == 0 else { return false }
        let used = Int(info.f_blocks - info.f_bfree) * Int(info.f_frsize)
        // No size at all would be no limit.
        let size = pages.map { used + max($0, used == 0 ? 1 : 0) * Int(info.f_frsize) } ?? 16 << 20
        let names = files.map { Int(info.f_files - info.f_ffree) + $0 } ?? 4096
        return Self.run("/usr/bin/mount", "-o", "remount,size=\(size),nr_inodes=\(names)", folder.path)
    }

    private static func run(_ program: String, _ arguments: String...) -> Bool {
        guard geteuid() == 0, FileManager.default.isExecutableFile(atPath: program) else { return false }
        let child = Program.spawn(
            program, arguments, environment: [:], input: "/dev/null", output: "/dev/null", errors: "/dev/null")
        var status: Int32 = 0
        waitpid(child, &status, 0)
        return status == 0
    }
}
