import Foundation

/// A folder as a disk keeps it: what was written, and how much of that is there after a power cut.
///
/// What was written to a file is on the disk when the file was synchronised; until then it may be missing, partly there, or
/// a row of zeros. Names are on the disk when their folder was synchronised; of what happened to the names of one folder
/// since, the first few steps may be there. That is less than most file systems promise, and no more than POSIX does.
struct Disk {
    final class Inode {
        var content: [UInt8]
        var durable: [UInt8]
        /// What happened since `durable`: how long the file was then, and what was written where.
        var pending: [Change] = []
        var position = 0

        enum Change {
            case write(at: Int, [UInt8])
            case truncate(Int)
        }

        init(_ content: [UInt8]) { (self.content, durable) = (content, content) }

        func apply(_ change: Change) {
            pending.append(change)
            Self.apply(change, to: &content)
        }

        static func apply(_ change: Change, to bytes: inout [UInt8]) {
            switch change {
            case .truncate(let count):
                bytes = Array(bytes.prefix(count)) + [UInt8](repeating: 0, count: max(0, count - bytes.count))
            case .write(let start, let new):
                let end = start + new.count
                if bytes.count < end { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
                bytes.replaceSubrange(start..<end, with: new)
            }
        }
    }

    /// What has become of data that was not synchronised.
    enum Data: CaseIterable {
        case written, missing, zeros, torn
    }

    fileprivate enum NameChange {
        case set(String, Entry)
        case remove(String)
        /// Both names in one step.
        case move(String, to: String, Entry)
    }

    fileprivate enum Entry {
        case file(Inode)
        case folder(String)
    }

    fileprivate struct Folder {
        var durable: [String: Entry] = [:]
        var pending: [NameChange] = []

        func names(after count: Int) -> [String: Entry] {
            pending.prefix(count).reduce(into: durable) { names, change in
                switch change {
                case .set(let name, let entry): names[name] = entry
                case .remove(let name): names[name] = nil
                case .move(let old, let new, let entry): (names[old], names[new]) = (nil, entry)
                }
            }
        }
        var now: [String: Entry] { names(after: pending.count) }
    }

    private let root: String
    private var folders: [String: Folder] = [:]

    /// What is in a folder, all of it on the disk.
    init(reading root: String) {
        self.root = root
        read(root)
    }

    private mutating func read(_ path: String) {
        var folder = Folder()
        var inodes: [UInt64: Inode] = [:]
        for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] {
            let child = path + "/" + name
            var info = stat()
            guard lstat(child, &info) == 0 else { continue }
            if info.st_mode & S_IFMT == S_IFDIR {
                read(child)
                folder.durable[name] = .folder(child)
            } else {
                let inode = inodes[UInt64(info.st_ino)] ?? Inode(Array(FileManager.default.contents(atPath: child) ?? .init()))
                inodes[UInt64(info.st_ino)] = inode
                folder.durable[name] = .file(inode)
            }
        }
        folders[path] = folder
    }

    // MARK: What a command does

    mutating func perform(_ step: Step) {
        switch step {
        case .makeFolder(let path):
            if folders[path] == nil { folders[path] = Folder() }
            change(path) { .set($0, .folder(path)) }
        case .create(let path):
            if let inode = inode(path) { inode.position = 0 } else { change(path) { .set($0, .file(Inode([]))) } }
        case .seek(let path, let position): inode(path)?.position = position
        case .write(let path, let bytes): write(bytes, to: path)
        case .copy(let from, let offset, let to, let count):
            write(Array(inode(from)?.content.dropFirst(offset).prefix(count) ?? []), to: to)
        case .truncate(let path, let count): inode(path)?.apply(.truncate(count))
        case .synchronise(let path): synchronise(path)
        case .rename(let old, let new): rename(old, new)
        case .link(let old, let new):
            if let inode = inode(old) { change(new) { .set($0, .file(inode)) } }
        case .remove(let path):
            if inode(path) != nil { change(path) { .remove($0) } }
        case .send, .say: break
        }
    }

    private static func split(_ path: String) -> (folder: String, name: String) {
        let slash = path.lastIndex(of: "/")!
        return (String(path[..<slash]), String(path[path.index(after: slash)...]))
    }

    private func inode(_ path: String) -> Inode? {
        let (folder, name) = Self.split(path)
        guard case .file(let inode) = folders[folder]?.now[name] else { return nil }
        return inode
    }

    private mutating func change(_ path: String, _ change: (String) -> NameChange) {
        let (folder, name) = Self.split(path)
        folders[folder]?.pending.append(change(name))
    }

    /// The log is always written at its end, everything else where it was written last.
    private func write(_ bytes: [UInt8], to path: String) {
        guard let inode = inode(path) else { return }
        if path.hasSuffix(".log") { inode.position = inode.content.count }
        inode.apply(.write(at: inode.position, bytes))
        inode.position += bytes.count
    }

    private mutating func synchronise(_ path: String) {
        if let folder = folders[path] {
            folders[path] = Folder(durable: folder.now)
        } else if let inode = inode(path) {
            (inode.durable, inode.pending) = (inode.content, [])
        }
    }

    private mutating func rename(_ old: String, _ new: String) {
        guard let inode = inode(old) else { return }
        let (folder, name) = Self.split(old)
        let (_, newName) = Self.split(new)
        folders[folder]?.pending.append(.move(name, to: newName, .file(inode)))
    }

    // MARK: What a power cut leaves

    /// What may have happened of it: how many steps of each folder, and what has become of the data.
    struct Loss: Hashable {
        var steps: [String: Int]
        var data: Data
        /// How much of what was written last is there, in 256ths, where it is torn.
        var torn = 128
    }

    /// Folders with names that are not on the disk yet, and how many.
    private var open: [(path: String, count: Int)] {
        folders.filter { !$0.value.pending.isEmpty }.map { ($0.key, $0.value.pending.count) }.sorted { $0.path < $1.path }
    }

    private var hasOpenData: Bool { folders.values.contains { $0.now.values.contains { $0.hasOpenData } } }

    /// All losses there can be now, for each number of steps in each folder.
    var losses: [Loss] {
        var all: [[String: Int]] = [[:]]
        for (path, count) in open {
            all = all.flatMap { chosen in (0...count).map { chosen.merging([path: $0]) { $1 } } }
        }
        return all.flatMap { steps in (hasOpenData ? Data.allCases : [.written]).map { Loss(steps: steps, data: $0) } }
    }

    /// What is in the folder after a power cut.
    func image(after loss: Loss) -> Image {
        var image = Image()
        collect(root, at: "", loss, into: &image)
        return image
    }

    private func collect(_ path: String, at relative: String, _ loss: Loss, into image: inout Image) {
        guard let folder = folders[path] else { return }
        for (name, entry) in folder.names(after: loss.steps[path] ?? folder.pending.count) {
            let child = relative.isEmpty ? name : relative + "/" + name
            switch entry {
            case .folder(let path):
                image.folders.insert(child)
                collect(path, at: child, loss, into: &image)
            case .file(let inode): image.files[child] = Image.File(inode, inode.content(after: loss))
            }
        }
    }

    struct Image {
        struct File {
            let inode: ObjectIdentifier
            let bytes: [UInt8]
            init(_ inode: Inode, _ bytes: [UInt8]) { (self.inode, self.bytes) = (ObjectIdentifier(inode), bytes) }
        }
        var folders: Set<String> = []
        var files: [String: File] = [:]

        /// Puts it below a folder.
        func write(to path: String) {
            for folder in folders.sorted() { mkdir(path + "/" + folder, 0o700) }
            var written: [ObjectIdentifier: String] = [:]
            for (name, file) in files {
                let target = path + "/" + name
                if let first = written[file.inode], link(first, target) == 0 { continue }
                written[file.inode] = target
                let descriptor = Foundation.open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
                file.bytes.withUnsafeBytes { _ = Foundation.write(descriptor, $0.baseAddress, $0.count) }
                close(descriptor)
            }
        }

        /// The same for images in which the same is to be seen.
        var fingerprint: Int {
            var hasher = Hasher()
            for folder in folders.sorted() { hasher.combine(folder) }
            for (name, file) in files.sorted(by: { $0.key < $1.key }) {
                hasher.combine(name)
                hasher.combine(file.bytes)
                hasher.combine(files.filter { $0.value.inode == file.inode }.keys.min())
            }
            return hasher.finalize()
        }
    }
}

extension Disk.Entry {
    fileprivate var hasOpenData: Bool {
        if case .file(let inode) = self { !inode.pending.isEmpty } else { false }
    }
}

extension Disk.Inode {
    func content(after loss: Disk.Loss) -> [UInt8] {
        if pending.isEmpty { return content }
        switch loss.data {
        case .written: return content
        case .missing: return durable
        case .zeros: return zeros(from: 0)
        case .torn: return zeros(from: loss.torn)
        }
    }

    /// As long as it should be, with a part of what was written last (in 256ths), and zeros behind it.
    private func zeros(from part: Int) -> [UInt8] {
        var bytes = durable
        let count = pending.count * part / 256
        for change in pending.prefix(count) { Self.apply(change, to: &bytes) }
        for (index, change) in pending.dropFirst(count).enumerated() {
            guard case .write(let start, let new) = change else {
                Self.apply(change, to: &bytes)
                continue
            }
            let whole = index == 0 ? new.count * part / 256 : 0
            Self.apply(.write(at: start, Array(new.prefix(whole)) + [UInt8](repeating: 0, count: new.count - whole)), to: &bytes)
        }
        return bytes
    }
}
