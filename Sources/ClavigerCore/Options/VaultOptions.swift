import ArgumentParser

/// The options of every command that opens the vault.
struct VaultOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The vault's file.", valueName: "path"), completion: .file())
    var vault: String?

    @Option(help: ArgumentHelp("A key file that opens the vault.", valueName: "path"), completion: .file())
    var keyFile: String?

    @Flag(help: "Use the vault although a newer state of it was seen here, as after restoring a backup.")
    var acceptOlderVault = false

    @OptionGroup var machine: MachineOption

    static let names = ["--vault", "--key-file"]
    static let flags = ["--accept-older-vault", MachineOption.name]
}

/// `--system`, which is obeyed before the arguments are read: see `MachineVault`.
struct MachineOption: ParsableArguments {
    @Flag(help: "The vault and the agent of this machine, instead of your own.")
    var system = false

    static let name = "--system"
}
