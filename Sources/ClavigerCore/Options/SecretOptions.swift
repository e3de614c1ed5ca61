import ArgumentParser

/// Where a key pair comes from: for `add` and `rotate`.
struct SecretOptions: ParsableArguments {
    @Option(
        name: .customLong("from-json"),
        help: ArgumentHelp(
            "JSON with client_id, client_secret, refresh_token, username, password; - for standard input.", valueName: "file|-"),
        completion: .file())
    var fromJSON: String?

    @Option(
        name: [.customLong("secret-file"), .customLong("private-key-file")],
        help: ArgumentHelp(
            "A file that holds the client secret, or the private key in PEM; - for standard input.", valueName: "file|-"),
        completion: .file())
    var secretFile: String?

    @Option(
        help: ArgumentHelp(
            "A file that holds the passphrase of the private key; - for standard input. Else it is asked for.",
            valueName: "file|-"),
        completion: .file())
    var privateKeyPassphraseFile: String?

    @Option(help: ArgumentHelp("The user of the password grant, or for whom jwt-bearer wants a token.", valueName: "name"))
    var username: String?

    @Option(
        help: ArgumentHelp("A file that holds the user's password; - for standard input.", valueName: "file|-"),
        completion: .file())
    var passwordFile: String?

    @Flag(name: .customLong("no-verify"), help: "Store it without acquiring a token to prove it.")
    var noVerify = false

    func validate() throws {
        if files.count(where: { $0 == "-" }) > 1 {
            throw ValidationError(
                "--from-json, --secret-file, --private-key-passphrase-file and --password-file can't share standard input")
        }
    }

    /// The files that secrets are read from.
    var files: [String?] { [fromJSON, secretFile, privateKeyPassphraseFile, passwordFile] }

    var isEmpty: Bool { [fromJSON, secretFile, privateKeyPassphraseFile, username, passwordFile].allSatisfy { $0 == nil } }
}
