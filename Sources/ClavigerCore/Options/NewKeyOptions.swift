import ArgumentParser

/// For every command that takes a new passphrase.
struct NewPassphraseOptions: ParsableArguments {
    @Flag(help: "Take the new passphrase although it is short, or easily guessed.")
    var weak = false
}

/// A key that the vault is to open with.
struct NewKeyOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("A key file, which is made if it is not there.", valueName: "path"), completion: .file())
    var newKeyFile: String?

    @Option(
        help: ArgumentHelp("Take the new passphrase from a file, or from standard input (-).", valueName: "file"),
        completion: .file())
    var newPassphraseFile: String?

    @OptionGroup var passphraseOptions: NewPassphraseOptions

    func validate() throws {
        if newKeyFile != nil, newPassphraseFile != nil {
            throw ValidationError("--new-key-file and --new-passphrase-file can't both be given")
        }
    }
}
