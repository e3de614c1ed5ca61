import ArgumentParser

/// The options of every command that opens the vault.
struct VaultOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The vault's file.", valueName: "path"), completion: .file())
    var vault: String?

    @Option(help: ArgumentHelp("A key file that opens the vault.", valueName: "path"), completion: .file())
    var keyFile: String?

    @Flag(help: "Use the vault although a newer state of it was seen here, as after restoring a backup.")
    var acceptOlderVault = false

    @OptionGroup var common: CommonOptions

    static let names = ["--vault", "--key-file", "--socket"]
    static let flags = ["--accept-older-vault"] + CommonWords.flags
}
