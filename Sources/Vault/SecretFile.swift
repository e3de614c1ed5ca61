public import Linux

/// A file with what opens a vault: a key file, or a passphrase. The rule of who else may read it is here.
public enum SecretFile {
    /// Opens the file, or the pipe, for reading. It waits for a FIFO's writer.
    /// - Parameter operation: what an error says was tried.
    /// - Throws: `system`, `notARegularFile` for folders and sockets, `exposed` if others can read it.
    public static func open(_ path: String, operation: String) throws(VaultError) -> File {
        let file = try VaultError.onDisk(File.openStream(path, operation: operation))
        let kind = try VaultError.onDisk(file.status()).kind
        guard kind != .folder, kind != .other else { throw .notARegularFile(path: path, kind: kind.rawValue) }
        if let exposure = try VaultError.onDisk(file.exposure()) { throw .exposed(exposure) }
        return file
    }
}
