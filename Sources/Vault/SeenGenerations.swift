import Linux
import Sodium

/// Remembers, outside of the vault, the newest generation of each vault that this machine has seen, so that a vault
/// put back to an older state is found out. Whoever can write here can make it forget; it guards against mistakes
/// and against somebody who has the vault's file alone.
public struct SeenGenerations: Sendable {
    private let folder: String
    /// What the names of new files have behind the path.
    private static let suffix = "-"

    /// - Parameter folder: made when something is first remembered.
    public init(folder: String) {
        self.folder = folder
    }

    private func path(_ vaultID: [UInt8]) -> String {
        folder + "/" + Hex.encode(vaultID.rawSpan) + ".generation"
    }

    /// The newest generation seen; nil if none was.
    /// - Throws: `memoryUnreadable` if something is there that is no generation, or can't be read: whoever could make this
    ///   machine forget in silence could put an older vault in place.
    func newest(_ vaultID: [UInt8]) throws(VaultError) -> UInt64? {
        let path = path(vaultID)
        guard Path.exists(path) else { return nil }
        let bytes: [UInt8]
        do throws(FileError) {
            bytes = try File.open(path).readToEnd(limit: 32)
        } catch {
            // Too few files may be open: nothing is wrong with this one.
            if error.isForWantOfDescriptors { throw VaultError(error) }
            throw .memoryUnreadable(path: path)
        }
        guard bytes.last == UInt8(ascii: "\n"), let generation = UInt64(String(decoding: bytes.dropLast(), as: UTF8.self))
        else { throw .memoryUnreadable(path: path) }
        return generation
    }

    /// Best effort: a service whose home can't be written still gets its tokens. The file is whole whenever power fails, but
    /// nothing waits for its name: after a crash it may be one behind, until the vault is read again.
    func remember(_ generation: UInt64, of vaultID: [UInt8]) {
        let path = path(vaultID)
        do throws(FileError) {
            try Path.makeFolders(folder)
            let new = try AtomicFile(beside: path, suffix: Self.suffix)
            try new.write(Array("\(generation)\n".utf8))
            try new.finish()
            try new.place()
        } catch {}
        AtomicFile.removeAbandoned(beside: path, suffix: Self.suffix)
    }
}
