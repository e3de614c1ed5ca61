import Sodium

/// Remembers, outside of the vault, the newest generation of each vault that this machine has seen, so that a vault
/// put back to an older state is found out. Whoever can write here can make it forget; it guards against mistakes
/// and against somebody who has the vault's file alone.
public struct GenerationMemory: Sendable {
    private let folder: String

    /// - Parameter folder: made when something is first remembered.
    public init(folder: String) {
        self.folder = folder
    }

    private func path(_ vaultID: [UInt8]) -> String {
        folder + "/" + Hex.encode(vaultID.span.bytes) + ".generation"
    }

    /// The newest generation seen, or nil.
    func newest(_ vaultID: [UInt8]) -> UInt64? {
        guard let bytes = try? File.open(path(vaultID)).read(32, at: 0) else { return nil }
        return UInt64(String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace })
    }

    /// Best effort: a service whose home can't be written still gets its tokens.
    func remember(_ generation: UInt64, of vaultID: [UInt8]) {
        let path = path(vaultID)
        let temporary = path + "-" + Hex.encode(Random.bytes(8).span.bytes)
        do {
            try File.makeFolders(folder)
            try File.create(temporary).write(Array("\(generation)\n".utf8))
            try File.rename(temporary, to: path)
        } catch {
            File.remove(temporary)
        }
    }
}
