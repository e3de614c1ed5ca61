import Linux
public import Sodium

/// A key file: one line, `claviger-key-1 ` and 64 hexadecimal digits. Whoever can read it can open the vault.
public enum KeyFile {
    private static let prefix = Array("claviger-key-1 ".utf8)
    private static let keyLength = 32

    /// Reads a key file.
    /// - Throws: `system`, `notARegularFile`, `permissionsTooWide`, `damaged(.keyFile)`, `memory`.
    public static func read(_ path: String) throws(VaultError) -> Secret {
        let file = try VaultError.onDisk(File.open(path, operation: "open the key file"))
        let status = try VaultError.onDisk(file.status())
        guard status.kind == .file else { throw .notARegularFile(path: path, kind: status.kind.rawValue) }
        guard status.permissions & 0o077 == 0 else { throw .permissionsTooWide(path: path, mode: status.permissions) }
        var line = try VaultError.onDisk(file.read(prefix.count + keyLength * 2 + 2, at: 0))
        if line.last == UInt8(ascii: "\n") { line.removeLast() }
        guard line.starts(with: prefix) else { throw .damaged(.keyFile, reason: "is not a claviger key file") }
        let digits = line.rawSpan.extracting(prefix.count..<line.count)
        guard let key = try VaultError.unwrap({ () throws(SodiumError) in try Hex.decodeSecret(digits, count: keyLength) })
        else { throw .damaged(.keyFile, reason: "does not hold \(keyLength * 2) hexadecimal digits") }
        return Secret(key)
    }

    /// Makes a key file with a new random key, for its owner alone.
    /// - Throws: `system` (also if the file exists), `diskFull`, `memory`.
    public static func create(_ path: String) throws(VaultError) -> Secret {
        let key = try VaultError.mapping { () throws(SodiumError) in Secret(try SecretBytes.random(count: keyLength)) }
        let folder = Path.folder(of: path)
        try VaultError.onDisk(Path.makeFolders(folder))
        // Half a key file opens nothing, and would be in the way of the next attempt: its name comes last.
        AtomicFile.removeAbandoned(beside: path)
        let file = try VaultError.onDisk(AtomicFile(beside: path))
        let digits = key.withBytes { Hex.encode($0) }
        try VaultError.onDisk(file.write(prefix + Array(digits.utf8) + [UInt8(ascii: "\n")]))
        try VaultError.onDisk(file.finish())
        try VaultError.onDisk(file.placeNew())
        return key
    }
}
