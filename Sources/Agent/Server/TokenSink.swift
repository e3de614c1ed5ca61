public import FoundationEssentials
import Glibc
public import TokenEngine
import Vault

/// A file that always holds a credential's token, for programs that read nothing else.
public struct TokenSink: Sendable {
    public var credential: String
    /// Absolute.
    public var path: String
    /// Whom the file belongs to; nil for the agent's user.
    public var owner: (uid: UInt32, gid: UInt32)?
    /// What stands in the file.
    public var render: @Sendable (CachedToken) throws -> [UInt8]

    public init(
        credential: String, path: String, owner: (uid: UInt32, gid: UInt32)? = nil,
        render: @escaping @Sendable (CachedToken) throws -> [UInt8]
    ) {
        self.credential = credential
        self.path = path
        self.owner = owner
        self.render = render
    }

    var isThere: Bool { access(path, F_OK) == 0 }

    /// Puts a new file in place of the old in one step; who reads sees one or the other, whole.
    /// - Throws: `VaultError.diskFull` or `.system`; the old file is as it was then.
    func write(_ bytes: [UInt8]) throws(VaultError) {
        let new = path + ".\(getpid()).new"
        unlink(new)
        let descriptor = open(new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("create") }
        defer { close(descriptor) }
        do throws(VaultError) {
            if let owner, fchown(descriptor, owner.uid, owner.gid) != 0 { throw failure("give away") }
            var written = 0
            while written < bytes.count {
                let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written) }
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { throw failure("write") }
                written += count
            }
            guard fsync(descriptor) == 0 else { throw failure("write") }
            guard rename(new, path) == 0 else { throw failure("replace") }
        } catch {
            unlink(new)
            throw error
        }
    }

    private func failure(_ operation: String) -> VaultError {
        errno == ENOSPC || errno == EDQUOT ? .diskFull(path: path) : .system(operation: operation, path: path, errno: errno)
    }
}
