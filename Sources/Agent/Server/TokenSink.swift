import Linux
public import TokenEngine
import Vault

/// A file that always holds a credential's token, for programs that read nothing else.
public struct TokenSink: Sendable {
    public var credential: String
    /// Absolute, with its links followed: what a link leads to is replaced, not the link.
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
        self.path = Path.resolve(path)
        self.owner = owner
        self.render = render
    }

    var isThere: Bool { Path.exists(path) }

    /// What lies at the path and is no file, in a word: a sink never takes the place of a FIFO, a device or a folder.
    public var obstacle: String? {
        guard Path.exists(path) else { return nil }
        // Its links were followed when it was named.
        guard Path.resolve(path) == path, let kind = try? Path.status(of: path).kind else { return "link" }
        return kind == .file ? nil : kind.rawValue
    }

    /// Puts a new file in place of the old in one step; who reads sees one or the other, whole.
    /// - Throws: `VaultError.diskFull`, `.system` or `.notARegularFile`; the old file is as it was then.
    func write(_ bytes: [UInt8]) throws(VaultError) {
        guard obstacle == nil else { throw .notARegularFile(path: path, kind: obstacle ?? "") }
        do throws(FileError) {
            try AtomicFile.replace(path, with: bytes, owner: owner)
        } catch {
            throw VaultError(FileError(operation: error.operation, path: path, code: error.code))
        }
    }

    /// Takes the file away, if it is there.
    /// - Throws: `VaultError.system` or `.notARegularFile`.
    func remove() throws(VaultError) {
        guard isThere else { return }
        guard obstacle == nil else { throw .notARegularFile(path: path, kind: obstacle ?? "") }
        do throws(FileError) {
            let (folder, pinned) = try Path.pin(folder: Path.folder(of: path))
            defer { withExtendedLifetime(folder) {} }
            let place = pinned + "/" + Path.name(of: path)
            AtomicFile.removeAbandoned(beside: place)
            try Path.forget(place)
        } catch {
            throw VaultError(FileError(operation: error.operation, path: path, code: error.code))
        }
    }
}
