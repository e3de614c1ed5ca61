import AgentProtocol
import Glibc
import Sodium
import Vault

extension NewKeyOptions {
    /// - Returns: the key, and what it is in a word.
    func key(_ session: Session) throws -> (UnlockKey, kind: String) {
        guard let file = newKeyFile else {
            return (.passphrase(try Self.passphrase(newPassphraseFile, session)), "passphrase")
        }
        let isNew = unsafe access(file, F_OK) != 0
        let key = isNew ? try KeyFile.create(file) : try KeyFile.read(file)
        if isNew { Terminal.note("made the key file \(Terminal.plain(file)); whoever can read it can open the vault") }
        return (.keyFile(key), "key file")
    }

    static func passphrase(_ file: String?, _ session: Session) throws -> Secret {
        if let file { return try SecretInput.passphrase(file) }
        return try Terminal.promptNewPassphrase(try session.vaultPath(), otherwise: .noNewPassphrase)
    }
}
