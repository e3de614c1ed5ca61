import CLinux
import Foundation
import TestSupport
import Testing

@testable import Linux

/// Who else can read a file. The folders of tests are their owner's alone, which hides everything: they are opened first.
@Suite struct FileExposureTests {
    /// A folder that everybody may enter, and a file in it.
    private func fixture(_ mode: mode_t) -> (TemporaryFolder, path: String) {
        let folder = TemporaryFolder()
        chmod(folder.path, 0o755)
        let path = folder.write("secret", "made up")
        chmod(path, mode)
        return (folder, path)
    }

    private func readers(_ path: String, credentialsFolder: String? = nil) throws -> [FileReader]? {
        try File.openStream(path).exposure(credentialsFolder: credentialsFolder)?.readers
    }

    @Test(
        arguments: [
            (0o600, []), (0o400, []), (0o604, [.everybody]), (0o602, [.everybody]),
            (0o644, [.group(getegid()), .everybody]), (0o640, [.group(getegid())]), (0o611, []),
        ] as [(mode_t, [FileReader])])
    func `its permission bits tell`(_ mode: mode_t, _ expected: [FileReader]) throws {
        let (folder, path) = fixture(mode)
        #expect(try readers(path) ?? [] == expected)
        withExtendedLifetime(folder) {}
    }

    /// Who could put another passphrase in its place.
    @Test(.enabled(if: geteuid() == 0)) func `a file of another user is that user's`() throws {
        let (folder, path) = fixture(0o600)
        try #require(chown(path, 54321, 0) == 0)
        #expect(try readers(path) == [.user(54321)])
        // A folder that only they and root can enter hides it from nobody else than from others.
        chmod(folder.path, 0o700)
        try #require(chown(folder.path, 54321, 0) == 0)
        #expect(try readers(path) == [.user(54321)])
    }

    @Test(arguments: [(0o700, true), (0o750, false), (0o701, false), (0o766, true)] as [(mode_t, Bool)])
    func `a folder that nobody else can enter hides it`(_ mode: mode_t, _ isHidden: Bool) throws {
        let (folder, path) = fixture(0o644)
        chmod(folder.path, mode)
        #expect(try (readers(path) == nil) == isHidden)
        // The file counts, not a link from elsewhere.
        let (other, _) = fixture(0o600)
        symlink(path, other.file("link"))
        #expect(try (readers(other.file("link")) == nil) == isHidden)
    }

    /// Sets an access control list, as the kernel has it.
    private func setList(_ path: String, _ entries: [(tag: UInt8, bits: UInt8, id: UInt32)]) -> Bool {
        var bytes: [UInt8] = [2, 0, 0, 0]
        for entry in entries {
            bytes += [entry.tag, 0, entry.bits, 0]
            for shift in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: entry.id >> (8 * shift))) }
        }
        return setxattr(path, "system.posix_acl_access", bytes, bytes.count, 0) == 0
    }

    /// As systemd makes a credential for a service's user: the group's bits are the list's mask, and the group has nothing.
    @Test func `an access control list tells`() throws {
        let (folder, path) = fixture(0o400)
        func list(_ user: UInt32, mask: UInt8, group: UInt8 = 0) throws -> [FileReader]? {
            try #require(
                setList(path, [(1, 4, .max), (2, 4, user), (4, group, .max), (0x10, mask, .max), (0x20, 0, .max)]),
                "the folder for temporary files has no access control lists")
            return try readers(path)
        }
        #expect(try list(geteuid(), mask: 4) == nil)
        #expect(try File.openStream(path).status().permissions & 0o070 == 0o040)
        #expect(try list(4711, mask: 4) == [.user(4711)])
        #expect(try list(4711, mask: 0) == nil)
        #expect(try list(geteuid(), mask: 4, group: 4) == [.group(getegid())])
        withExtendedLifetime(folder) {}
    }

    @Test func `what systemd hands over is meant for this process`() throws {
        let (folder, path) = fixture(0o440)
        #expect(try readers(path, credentialsFolder: folder.path) == nil)
        #expect(try readers(path, credentialsFolder: folder.path + "/other") != nil)
        #expect(try readers(path, credentialsFolder: ".") != nil)
        // What others can change was not handed over so.
        chmod(path, 0o666)
        #expect(try readers(path, credentialsFolder: folder.path) != nil)
    }

    @Test func `a pipe is its owner's, and a device holds nothing`() throws {
        let (reading, writing) = try File.pipe()
        #expect(try reading.exposure() == nil)
        #expect(try File.null().exposure() == nil)
        withExtendedLifetime(writing) {}
    }
}
