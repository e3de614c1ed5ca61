import Foundation
import TestSupport
import Testing

@testable import Linux

@Suite struct FileTests {
    private let folder = TemporaryFolder()
    private var path: String { folder.file("made-up") }

    @Test func `writes all bytes and reads them back`() throws {
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 * 7) }
        let file = try File.create(path)
        try file.write(bytes)
        try file.sync()
        #expect(try file.read(bytes.count, at: 0) == bytes)
        #expect(try file.read(10, at: UInt64(bytes.count - 4)) == bytes.suffix(4))
        #expect(try File.openStream(path).readToEnd(limit: 400_000) == bytes)
        #expect(try File.openStream(path).readToEnd(limit: 7) == Array(bytes.prefix(7)))
        #expect(try file.status().permissions == 0o600)
    }

    @Test func `an error names the operation, the path and the error number`() throws {
        #expect(throws: FileError(operation: "open", path: path, code: ENOENT)) { try File.open(path) }
        folder.write("made-up", "x")
        #expect(throws: FileError(operation: "create", path: path, code: EEXIST)) { try File.create(path) }
        #expect(throws: FileError(operation: "write", path: path, code: EBADF)) { try File.open(path).write([1]) }
        #expect(FileError(operation: "write", path: "", code: ENOSPC).isFull)
        #expect(FileError(operation: "write", path: "", code: EDQUOT).isFull)
        #expect(!FileError(operation: "write", path: "", code: EIO).isFull)
    }

    @Test func `a descriptor closes with its owner, and a borrowed one does not`() throws {
        var (reading, writing): (File, File?) = try File.pipe()
        do { try File.borrowing(#require(writing).descriptor, path: "a borrowed one").write([1]) }
        try writing?.write([2])
        writing = nil
        #expect(try reading.readToEnd(limit: 10) == [1, 2])
    }

    @Test func `a byte is locked once, and until its file closes`() throws {
        let other = try File.openLock(path)
        var file: File? = try File.openLock(path)
        #expect(try file?.tryLock(byte: 5) == true)
        #expect(try !other.tryLock(byte: 5))
        #expect(try other.tryLock(byte: 6))
        file = nil
        #expect(try other.tryLock(byte: 5))
    }

    @Test func `a whole file is locked once`() throws {
        let other = try File.createToAppend(path)
        var file: File? = try File.openToAppend(path)
        #expect(try file?.tryLock() == true)
        #expect(try !other.tryLock())
        file = nil
        #expect(try other.tryLock())
    }

    @Test func `copies a range of another file`() throws {
        let source = try File.open(folder.write("source", "0123456789"))
        let file = try File.create(path)
        #expect(try file.append(2..<5, of: source))
        #expect(try !file.append(8..<12, of: source))
        #expect(bytes(ofFile: path) == Array("23489".utf8))
    }

    @Test func `reserving takes blocks and leaves the size`() throws {
        let file = try File.create(path)
        try file.write([1])
        try file.reserve(1 << 20)
        #expect(try file.status().size == 1)
        #expect(try file.status().allocated >= 1 << 20)
        try file.truncate(to: 1)
        #expect(try file.status().allocated < 1 << 20)
    }

    @Test func `nothing is read through a link where a file is made`() throws {
        symlink(folder.file("target"), path)
        #expect(throws: FileError.self) { try File.create(path) }
        #expect(throws: FileError(operation: "open", path: path, code: ELOOP)) { try File.openToAppend(path) }
        #expect(Path.exists(path) && !Path.exists(folder.file("target")))
    }

    @Test func `a path has a folder and a name`() {
        #expect(Path.folder(of: "/a/b") == "/a" && Path.name(of: "/a/b") == "b")
        #expect(Path.folder(of: "/a") == "/" && Path.name(of: "/a") == "a")
        #expect(Path.folder(of: "a") == "." && Path.name(of: "a") == "a")
    }

    @Test func `folders are made for their owner alone`() throws {
        try Path.makeFolders(folder.file("a/b/c"))
        #expect(try Path.status(of: folder.file("a/b/c")).kind == .folder)
        #expect(try Path.status(of: folder.file("a/b")).permissions == 0o700)
        #expect(Path.names(inFolder: folder.file("a")).sorted() == [".", "..", "b"])
    }
}

@Suite struct AtomicFileTests {
    private let folder = TemporaryFolder()
    private var path: String { folder.file("made-up") }
    private var names: [String] { Path.names(inFolder: folder.path).filter { !$0.hasPrefix(".") }.sorted() }

    @Test func `the old file stays until the new one takes its place`() throws {
        folder.write("made-up", "old")
        let new = try AtomicFile(beside: path)
        try new.write(Array("new".utf8))
        try new.finish()
        #expect(bytes(ofFile: path) == Array("old".utf8))
        try new.replace()
        #expect(bytes(ofFile: path) == Array("new".utf8))
        #expect(names == ["made-up"])
        #expect(!new.isUsable)
    }

    @Test func `a file that takes no place goes away`() throws {
        try AtomicFile(beside: path).write([1])
        #expect(names == [])
    }

    @Test func `a file has the owner and the mode that are asked for`() throws {
        let owner = (uid: geteuid() == 0 ? 12_345 : geteuid(), gid: getegid())
        let new = try AtomicFile(beside: path)
        try new.give(to: owner.uid, owner.gid)
        try new.place()
        let status = try Path.status(of: path)
        #expect(status.owner == owner.uid && status.group == owner.gid && status.permissions == 0o600)
    }

    @Test func `starting over keeps the reserved blocks and leaves nothing of the first attempt`() throws {
        let new = try AtomicFile(beside: path)
        try new.reserve(1 << 20)
        try new.write([UInt8](repeating: 1, count: 100_000))
        try new.finish()
        try new.startOver()
        try new.write([2, 3])
        try new.finish()
        let beside = folder.path + "/" + names[0]
        #expect(bytes(ofFile: beside) == [2, 3])
        #expect(try Path.status(of: beside).allocated >= 1 << 20)
        try new.replace()
        #expect(bytes(ofFile: path) == [2, 3])
        #expect(try Path.status(of: path).allocated < 1 << 20)
    }

    @Test func `a file that somebody removed is not usable`() throws {
        let new = try AtomicFile(beside: path)
        #expect(new.isUsable)
        unlink(folder.path + "/" + names[0])
        #expect(!new.isUsable)
    }

    @Test func `cleans up what a dead process left, and nothing else`() throws {
        let used = try AtomicFile(beside: path)
        let inUse = names
        let others = [
            "made-up.new-", "made-up.new-0123456789abcdef0", "made-up.new-0123456789ABCDEF", "other.new-0123456789abcdef",
        ]
        for name in others + ["made-up.new-0123456789abcdef"] { folder.write(name, "x") }
        AtomicFile.removeAbandoned(beside: path)
        #expect(names == (others + inUse).sorted())
        #expect(used.isUsable)
    }

    @Test func `what is no socket is not taken over, and not closed`() throws {
        let folder = TemporaryFolder()
        let descriptor = open(folder.write("a", "made up"), O_RDONLY | O_CLOEXEC)
        #expect(File.inheritedSocket(descriptor, path: "a") == nil)
        var byte: UInt8 = 0
        #expect(read(descriptor, &byte, 1) == 1)
        close(descriptor)
    }

    @Test func `a word is found wherever it stands`() {
        func places(_ word: String, _ text: String) -> [Int] { Bytes.places(of: Array(word.utf8), in: Array(text.utf8)) }
        #expect(places("ab", "ab ab\0abab") == [0, 3, 6, 8] && places("aa", "aaa") == [0, 1])
        #expect(places("abc", "ab") == [] && places("a", "") == [] && places("abc", "abc") == [0])
    }
}
