import ArgumentParser
import Glibc
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

    @OptionGroup var vaultOptions: VaultOptions

    func run() throws {
        let path = try Session(vaultOptions).vaultPath()
        // Before anybody types a passphrase for nothing.
        guard unsafe access(path, F_OK) != 0 else { throw VaultError.vaultExists(path: path) }
        var keys: [(key: UnlockKey, label: String)] = []
        var madeKeyFile: String?
        if let file = Session(vaultOptions).keyFilePath {
            let isNew = unsafe access(file, F_OK) != 0
            keys.append((.keyFile(isNew ? try KeyFile.create(file) : try KeyFile.read(file)), "key file"))
            if isNew { madeKeyFile = file }
        }
        if let passphrase = try Session.storedPassphrase() {
            keys.append((.passphrase(passphrase), "passphrase"))
        } else if keys.isEmpty {
            keys.append((.passphrase(try Terminal.promptNewPassphrase(path, otherwise: .noPassphraseForInit)), "passphrase"))
        }
        _ = try LockedVault.create(at: path, keys: keys, memory: Session.memory())
        if let madeKeyFile { Terminal.note("made the key file \(madeKeyFile); whoever can read it can open the vault") }
        Terminal.note("made the vault \(path); it opens with \(keys.map { "the " + $0.label }.joined(separator: " or "))")
        Terminal.note("nobody can open it without: keep a copy in a safe place")
    }
}
