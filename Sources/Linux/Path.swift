import CLinux
import Glibc

/// What is done with the name of a file rather than with an open one.
public enum Path {
    // MARK: Parts

    public static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    public static func name(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }

    // MARK: Looking

    /// Whether there is anything of this name, also a link that leads nowhere.
    public static func exists(_ path: String) -> Bool {
        var info = stat()
        return unsafe lstat(path, &info) == 0
    }

    /// What a path names now, without opening it. Links are followed.
    public static func status(of path: String) throws(FileError) -> FileStatus {
        var info = stat()
        guard uninterrupted({ unsafe stat(path, &info) }) == 0 else { throw FileError("open", path) }
        return FileStatus(info)
    }

    /// Which file a path names now, or nil.
    public static func identity(of path: String) -> FileStatus.Identity? {
        (try? status(of: path))?.identity
    }

    /// The path with its links followed, or the path itself where there is nothing yet.
    public static func resolve(_ path: String) -> String {
        guard let real = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(real) }
        return unsafe String(validatingCString: real) ?? path
    }

    /// The names in a folder, in no order; none if it can't be read.
    public static func names(inFolder path: String) -> [String] {
        guard let stream = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            names.append(name)
        }
        return names
    }

    /// Opens a folder without following a link anywhere on the way.
    /// - Returns: the folder, and a path by which it is named as long as that is open, whoever renames it or puts a link in its
    ///   place.
    public static func pin(folder path: String) throws(FileError) -> (folder: File, path: String) {
        let flags = Int32(CLAVIGER_O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        var descriptor = unsafe Glibc.open("/", flags)
        for name in path.split(separator: "/") where descriptor >= 0 {
            let next = unsafe openat(descriptor, String(name), flags)
            let code = errno
            close(descriptor)
            errno = code
            descriptor = next
        }
        guard descriptor >= 0 else { throw FileError("open the folder", path) }
        return (File(owning: descriptor, path: path), "/proc/self/fd/\(descriptor)")
    }

    // MARK: Changing

    /// Makes a folder and those above it, each for its owner alone, and waits until their names are on the disk: what is
    /// synchronised in a folder whose own name is not may be gone after a power cut all the same.
    public static func makeFolders(_ path: String) throws(FileError) {
        guard !path.isEmpty, path != "/", !exists(path) else { return }
        try makeFolders(folder(of: path))
        guard uninterrupted({ unsafe mkdir(path, 0o700) }) == 0 || errno == EEXIST else {
            throw FileError("create the folder", path)
        }
        do throws(FileError) {
            try syncFolder(folder(of: path))
        } catch {
            // A folder in which names may be made, and not be looked at, can't be opened.
            guard error.code == EACCES else { throw error }
        }
    }

    /// Renames a file over another. Where both names are one file, both stay (rename(2)).
    public static func rename(_ old: String, to new: String) throws(FileError) {
        guard uninterrupted({ unsafe Glibc.rename(old, new) }) == 0 else { throw FileError("replace", new) }
    }

    /// Renames a file to a name that there must not be yet.
    public static func renameNew(_ old: String, to new: String) throws(FileError) {
        if uninterrupted({ unsafe claviger_rename_new(old, new) }) == 0 { return }
        // A file system without it: a second name can't replace anything either.
        guard errno == EINVAL || errno == ENOSYS else { throw FileError("create", new) }
        guard uninterrupted({ unsafe Glibc.link(old, new) }) == 0 else { throw FileError("create", new) }
        remove(old)
    }

    /// Gives a file a second name.
    /// - Returns: whether it could be done.
    public static func link(_ old: String, to new: String) -> Bool {
        uninterrupted { unsafe Glibc.link(old, new) } == 0
    }

    /// Removes a file, if it is there and may be removed.
    public static func remove(_ path: String) {
        _ = uninterrupted { unsafe unlink(path) }
    }

    /// Removes a file that must not stay; one that is not there is no error.
    public static func forget(_ path: String) throws(FileError) {
        guard uninterrupted({ unsafe unlink(path) }) == 0 || errno == ENOENT else { throw FileError("remove", path) }
    }

    public static func setPermissions(_ path: String, _ permissions: UInt32) throws(FileError) {
        guard uninterrupted({ unsafe chmod(path, permissions) }) == 0 else { throw FileError("set the permissions of", path) }
    }

    /// Waits until the names in a folder are on the disk.
    public static func syncFolder(_ path: String) throws(FileError) {
        try File.open(path, O_RDONLY | O_DIRECTORY, "open the folder").sync()
    }
}
