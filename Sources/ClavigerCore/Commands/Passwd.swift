import Access
import AgentProtocol
import ArgumentParser
import Credentials
import Sodium
import Vault

struct Passwd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "passwd",
        abstract: "Change the vault's passphrase.",
        discussion: """
            The old one is asked for, or comes from the usual places; with a key file instead, the vault's only passphrase is \
            replaced. The new one is asked for twice, unless it comes from --new-passphrase-file.
            """)

    @Option(
        help: ArgumentHelp("Take the new passphrase from a file, or from standard input (-).", valueName: "file"),
        completion: .file())
    var newPassphraseFile: String?

    @OptionGroup var passphraseOptions: NewPassphraseOptions
    @OptionGroup var vaultOptions: VaultOptions

    func run() throws {
        let (vault, key) = try Session(vaultOptions).unlockWithKey()
        let slot = try replaced(in: vault, key)
        let new = try passphraseOptions.passphrase(newPassphraseFile, Session(vaultOptions))
        try Session(vaultOptions).record(.keyReplace, in: vault) { log in
            try vault.replaceKey(slot.id, by: .passphrase(new), with: key) { $0.seal(log) }
        }
        Terminal.note("the vault has a new passphrase")
    }

    private func replaced(in vault: UnlockedVault, _ key: UnlockKey) throws -> KeySlot {
        if case .passphrase = key, let slot = try vault.keySlots(openedBy: key).first { return slot }
        let slots = try vault.keySlots().filter { $0.kind == .passphrase }
        guard let slot = slots.first else {
            throw Problem("the vault opens with no passphrase", hint: "claviger key add gives it one", .usage)
        }
        guard slots.count == 1 else {
            throw Problem(
                "the vault opens with several passphrases, and none was given",
                hint: "open it with the one to change, or use claviger key remove and claviger key add", .usage)
        }
        return slot
    }
}
