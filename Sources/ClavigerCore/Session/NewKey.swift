import AgentProtocol
import Glibc
import Linux
import Sodium
import Vault

extension NewKeyOptions {
    /// - Returns: the key, and what it is in a word.
    func key(_ session: Session) throws -> (UnlockKey, kind: String) {
        guard let file = newKeyFile else {
            return (.passphrase(try passphraseOptions.passphrase(newPassphraseFile, session)), "passphrase")
        }
        let isNew = unsafe access(file, F_OK) != 0
        let key = isNew ? try KeyFile.create(file) : try KeyFile.read(file)
        if isNew { Terminal.note("made the key file \(Terminal.plain(file)); whoever can read it can open the vault") }
        return (.keyFile(key), "key file")
    }
}

extension NewPassphraseOptions {
    /// From a file, or else asked for twice.
    func passphrase(_ file: String?, _ session: Session) throws -> Secret {
        if let file { return try accepted(SecretInput.passphrase(file), session) }
        return try ask(session, otherwise: .noNewPassphrase)
    }

    /// Asks twice for a passphrase that the vault is to open with.
    func ask(_ session: Session, otherwise: Problem) throws -> Secret {
        let path = Terminal.plain(try session.vaultPath())
        // What is wrong with it is said before it is typed again.
        let first = try accepted(Terminal.promptSecret("new passphrase for \(path): ", otherwise: otherwise), session)
        let second = try Terminal.promptSecret("the same again: ", otherwise: otherwise)
        guard first.equals(second) else { throw Problem.passphrasesDiffer }
        return first
    }

    /// - Throws: a problem if it is too weak, and nobody insists.
    func accepted(_ passphrase: Secret, _ session: Session) throws -> Secret {
        let vault = Path.name(of: try session.vaultPath())
        let names = [vault] + ["USER", "LOGNAME"].compactMap { Session.environment[$0] }
        if !weak, let weakness = PassphraseRule(names: names).weakness(of: passphrase) { throw Problem(weakness) }
        return passphrase
    }
}
