import Glibc
import Linux

/// A Unix socket that is bound here, and not by the network's library: that one removes, when it closes one, whatever has its
/// path by then, which may be another process's.
enum UnixListener {
    /// - Returns: a descriptor that is bound and not yet listening; a socket that was there has given way.
    /// - Throws: with `operation` `listen on`.
    static func bind(_ path: String) throws(FileError) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // The last byte stays zero.
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { throw failure(path, ENAMETOOLONG) }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        var info = stat()
        if unsafe lstat(path, &info) == 0 {
            guard info.st_mode & S_IFMT == S_IFSOCK else { throw failure(path, ENOTSOCK) }
            _ = unsafe unlink(path)
        }
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { throw failure(path, errno) }
        let status = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else {
            let code = errno
            close(descriptor)
            throw failure(path, code)
        }
        return descriptor
    }

    private static func failure(_ path: String, _ code: Int32) -> FileError {
        FileError(operation: "listen on", path: path, code: code)
    }
}
