public import Linux

/// The parts of a vault file, as far as damage can be placed.
public enum VaultPart: String, Codable, Sendable {
    case header, root, records
    case keyFile = "key file"
}

/// Why the vault refused. After any of these but `notDurable`, the vault is as it was before.
public enum VaultError: Error, Codable, Equatable, Sendable {
    case noVault(path: String)
    /// A link that leads to nothing: what it leads to may come back, and nothing is made in its place.
    case danglingLink(path: String)
    case vaultExists(path: String)
    /// A folder, FIFO, socket or device where a file was expected.
    case notARegularFile(path: String, kind: String)
    /// Group or others have some permission on the file.
    case permissionsTooWide(path: String, mode: UInt32)
    /// Others can read what opens the vault.
    case exposed(FileExposure)
    /// A key file, where a vault was to be.
    case keyFileAsVault
    /// - Parameter hasPrevious: whether the state before the last commit still lies beside the vault.
    case damaged(VaultPart, reason: String, hasPrevious: Bool = false)
    /// One record can't be read; the others can.
    case damagedRecord(RecordKind, name: String, reason: String, hasPrevious: Bool = false)
    case newerFormat(version: UInt32)
    /// No slot opened with this key: a wrong passphrase, or a key file of another vault.
    case wrongKey
    /// The vault is older than one that this machine has seen.
    case wentBack(generation: UInt64, seen: UInt64)
    /// What this machine remembers of the vault's generation can't be read.
    case memoryUnreadable(path: String)
    case diskFull(path: String)
    case system(operation: String, path: String, errno: Int32)
    /// The change is made, and may be gone after a power cut: the folder can't be synchronised.
    case notDurable(path: String, errno: Int32)
    /// Another process kept the lock for longer than we wait.
    case lockTimeout
    /// The vault changed between reading and committing; reading again and trying again is right.
    case conflict
    case noSuchCredential(name: String, near: String?)
    case nameTaken(String)
    case invalidName(reason: String)
    case tooLarge(what: String, limit: Int)
    /// The kernel does not let this process lock enough memory, or give Argon2id enough of it.
    case memory
}

extension VaultError {
    /// The error with what is known of a way back. Other errors than damage stay as they are.
    func knowing(hasPrevious: Bool) -> VaultError {
        switch self {
        case .damaged(let part, let reason, _): .damaged(part, reason: reason, hasPrevious: hasPrevious)
        case .damagedRecord(let kind, let name, let reason, _):
            .damagedRecord(kind, name: name, reason: reason, hasPrevious: hasPrevious)
        default: self
        }
    }

    /// The vault's word for what a system call refused.
    public init(_ error: FileError) {
        self =
            error.isFull
            ? .diskFull(path: error.path) : .system(operation: error.operation, path: error.path, errno: error.code)
    }

    /// Runs one piece of work on files; its error becomes the vault's.
    public static func onDisk<R>(_ body: @autoclosure () throws(FileError) -> R) throws(VaultError) -> R {
        do throws(FileError) {
            return try body()
        } catch {
            throw VaultError(error)
        }
    }
}
