import ArgumentParser
import Glibc
import Linux
import Sodium
import Vault

struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Create the vault.",
        discussion: """
            With --key-file, the vault opens with that file, which is made if it is not there. With a passphrase from \
            $CLAVIGER_PASSPHRASE_FILE or $CLAVIGER_PASSPHRASE_COMMAND, or typed twice, it opens with the passphrase. \
            With both, either opens it.
            """)

    @OptionGroup var passphraseOptions: NewPassphraseOptions
    @OptionGroup var vaultOptions: VaultOptions

    func run() throws {
        let path = try Session(vaultOptions).vaultPath()
        // Before anybody types a passphrase for nothing.
        guard unsafe access(path, F_OK) != 0 else { throw VaultError.vaultExists(path: path) }
        guard !Path.exists(path) else { throw VaultError.danglingLink(path: path) }
        let file = Session(vaultOptions).keyFilePath
        let newFile = file.flatMap { unsafe access($0, F_OK) == 0 ? nil : $0 }
        var keys: [(key: UnlockKey, label: String)] = []
        if let file, newFile == nil { keys.append((.keyFile(try KeyFile.read(file)), "key file")) }
        if let passphrase = try Session.storedPassphrase() {
            keys.append((.passphrase(try passphraseOptions.accepted(passphrase, Session(vaultOptions))), "passphrase"))
        } else if file == nil {
            let passphrase = try passphraseOptions.ask(Session(vaultOptions), otherwise: .noPassphraseForInit)
            keys.append((.passphrase(passphrase), "passphrase"))
        }
        // Last, for it is taken away again if there is no vault that it opens.
        if let newFile { keys.insert((.keyFile(try KeyFile.create(newFile)), "key file"), at: 0) }
        try make(path, keys, newFile)
        Terminal.note("made the vault \(path); it opens with \(keys.map { "the " + $0.label }.joined(separator: " or "))")
        Terminal.note("nobody can open it without: keep a copy in a safe place")
    }

    /// - Parameter newFile: the key file that was made for this vault.
    private func make(_ path: String, _ keys: [(key: UnlockKey, label: String)], _ newFile: String?) throws {
        let made = newFile.map { "made the key file \($0); whoever can read it can open the vault" }
        do throws(VaultError) {
            try LockedVault.make(at: path, keys: keys)
        } catch {
            if case .notDurable = error { made.map(Terminal.note) } else { newFile.map(Path.remove) }
            throw error
        }
        made.map(Terminal.note)
    }
}
