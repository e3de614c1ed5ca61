import Foundation

/// One system call of a command that fails.
struct Fault: Sendable {
    /// A kind of call, under its names on all machines.
    struct Call: Sendable {
        let names: [String]
        let errors: [String]

        static let all = [
            Call(names: ["write", "pwrite64"], errors: ["ENOSPC", "EIO", "EDQUOT", "EINTR"]),
            Call(names: ["fsync"], errors: ["EIO", "ENOSPC", "EDQUOT", "EINTR"]),
            Call(names: ["fdatasync"], errors: ["EIO", "ENOSPC", "EINTR"]),
            Call(names: ["?rename", "renameat", "renameat2"], errors: ["ENOSPC", "EIO", "EDQUOT", "EINTR"]),
            Call(names: ["?link", "linkat"], errors: ["EIO", "EDQUOT", "EPERM", "EINTR"]),
            Call(names: ["?unlink", "unlinkat"], errors: ["EIO", "EINTR"]),
            Call(names: ["openat"], errors: ["EIO", "ENOSPC", "EDQUOT", "EMFILE", "EINTR"]),
            Call(names: ["ftruncate"], errors: ["EIO", "EINTR"]),
            Call(names: ["fallocate"], errors: ["ENOSPC", "EIO", "EDQUOT", "EINTR", "EOPNOTSUPP"]),
            Call(names: ["copy_file_range"], errors: ["ENOSPC", "EIO", "EDQUOT", "EINTR", "EXDEV"]),
            Call(names: ["?mkdir", "mkdirat"], errors: ["ENOSPC", "EIO", "EDQUOT", "EINTR"]),
            Call(names: ["pread64"], errors: ["EIO", "EINTR"]),
        ]
    }

    let call: Call
    let error: String
    let step: Int

    var testDescription: String { "\(name) \(step): \(error)" }
    var name: String { call.names[0].replacing("?", with: "") }

    /// Whether a command must not even notice: a signal has interrupted the call, or there is another way.
    var isHarmless: Bool { ["EINTR", "EOPNOTSUPP", "EXDEV", "EPERM"].contains(error) }
}
