import Linux
public import Sodium

/// A key file: one line, `claviger-key-1 ` and 64 hexadecimal digits. Whoever can read it can open the vault.
public enum KeyFile {
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
    private static let keyLength = 32

    /// Reads a key file, or a pipe with one. An editor's byte order mark before it, and the line's end, are no part of it.
    /// - Throws: as `SecretFile.open`; `damaged(.keyFile)`, `memory`.
    public static func read(_ path: String) throws(VaultError) -> Secret {
        let file = try SecretFile.open(path, operation: "open the key file")
        var bytes = try VaultError.onDisk(
            file.readToEnd(limit: byteOrderMark.count + FirstBytes.keyFile.count + keyLength * 2 + 3))
        defer { bytes.wipe() }
        var line = bytes[...]
        if line.starts(with: byteOrderMark) { line = line.dropFirst(byteOrderMark.count) }
        if line.last == UInt8(ascii: "\n") {
            line.removeLast()
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
        }
        guard line.starts(with: FirstBytes.keyFile) else {
            throw .damaged(
                .keyFile,
                reason: line.starts(with: FirstBytes.vault) ? "is a vault, not a key file" : "is not a claviger key file")
        }
        let digits = bytes.rawSpan.extracting(line.startIndex + FirstBytes.keyFile.count..<line.endIndex)
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
        try VaultError.onDisk(file.write(FirstBytes.keyFile + Array(digits.utf8) + [UInt8(ascii: "\n")]))
        try VaultError.onDisk(file.finish())
        try VaultError.onDisk(file.placeNew())
        return key
    }
}
