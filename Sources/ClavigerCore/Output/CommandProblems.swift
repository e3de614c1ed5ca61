import Credentials
import AgentProtocol
import Glibc
import HTTP
import OAuth
import TokenEngine

/// The words for what only commands refuse; those for errors of the vault, the engine and the agent are in
/// `Problem(describing:)`.
extension Problem {
    static let noArguments = Problem(
        "the arguments of this command can't be read", hint: "they are in /proc, which must be mounted and readable",
        .configuration)
    static let unreadableFolder = Problem(
        "the name of the current folder is no UTF-8", hint: "go elsewhere, or name the vault by a whole path", .configuration)
    static func unreadableVariable(_ name: String) -> Problem {
        Problem("$\(name) is no UTF-8", hint: "name it by a link whose path is", .configuration)
    }
    static let unreadableArgument = Problem(
        "an argument is no UTF-8", hint: "name a file by a link whose path is; behind --, arguments may be anything", .usage)
    static let tooFewFiles = Problem(
        "this process may open too few files", hint: "raise the limit (ulimit -n), or close what it inherits", .configuration)
    static let tooFewThreads = Problem(
        "this user, or this container, may start too few processes", hint: "raise the limit (ulimit -u, TasksMax=)",
        .configuration)
    static let tooFewAddresses = Problem(
        "this process may have too little memory", hint: "raise the limit of addresses (ulimit -v)", .configuration)
    static var noHome: Problem {
        Locations.homeIsAnothers
            ? Problem(
                "$HOME is another user's, and root makes nothing there",
                hint: "run it as that user, or with sudo -H; --vault names a vault anywhere", .configuration)
            : Problem(
                "there is no home folder to look for the vault in", hint: "set $HOME, or name the vault with --vault",
                .configuration)
    }
    static let noPassphraseSource = Problem(
        "the vault is locked, and there is no terminal to ask for its passphrase",
        hint: "use --key-file, $CLAVIGER_PASSPHRASE_FILE or $CLAVIGER_PASSPHRASE_COMMAND", .refused)
    static let noPassphraseForInit = Problem(
        "no key was named, and there is no terminal to ask for a new passphrase",
        hint: "use --key-file, $CLAVIGER_PASSPHRASE_FILE or $CLAVIGER_PASSPHRASE_COMMAND", .usage)
    static let noNewPassphrase = Problem(
        "there is no terminal to ask for a new passphrase", hint: "use --new-passphrase-file FILE, or a pipe and -", .usage)
    static let passphraseCommandFailed = Problem(
        "$CLAVIGER_PASSPHRASE_COMMAND failed", hint: "run the command by hand to see why", .configuration)
    static let passphrasesDiffer = Problem("the two passphrases are not the same", hint: "try again", .usage)
    static let noTerminalForUser = Problem(
        "no user name was given, and there is no terminal to ask for it", hint: "use --username NAME, or --from-json FILE", .usage
    )
    static let noTerminalForCode = Problem(
        "a login needs somebody at a terminal", hint: "run claviger login there", .usage)
    static let noTerminalForClientID = Problem(
        "no client id was given, and there is no terminal to ask for it", hint: "use --client-id ID, or --from-json FILE", .usage)
    static let noTerminalToConfirm = Problem(
        "this needs a yes, and there is no terminal to ask for it", hint: "use --yes", .usage)
    static let nothingChanged = Problem("nothing was changed", .tryAgain)

    static func noTerminalForSecret(_ what: String) -> Problem {
        let option = what == "client secret" ? "--secret-file" : "--\(what.replacing(" ", with: "-"))-file"
        return Problem(
            "no \(what) was given, and there is no terminal to ask for it", hint: "use \(option) FILE, or a pipe and \(option) -",
            .usage)
    }

    /// - Parameter isKept: whether it is the caller's to change.
    static func noAPIAddress(_ name: String, isKept: Bool) -> Problem {
        Problem(
            "the credential \(quoted(name)) has no address of an API",
            hint: isKept ? .setAPIAddress(name) : .text("ask \(MachineVault.keeper), who keeps it, to set one"), .configuration)
    }

    static func quoted(_ name: String) -> String { PlainText.quoted(name) }

    // MARK: Secrets that are read

    static func noPrivateKey(_ place: String) -> Problem {
        Problem("there is no private key in PEM in \(place)", hint: "it begins with -----BEGIN PRIVATE KEY-----", .usage)
    }

    static let noTerminalForKeyPassphrase = Problem(
        "the private key is encrypted, and there is no terminal to ask for its passphrase",
        hint: "use --private-key-passphrase-file FILE", .usage)

    /// - Parameter place: of the key.
    static func encryptedKey(_ place: String, _ refusal: EncryptedPrivateKey.Refusal) -> Problem {
        let convert = "openssl pkey -in FILE writes it without one; give that to --secret-file -"
        return switch refusal {
        case .notDecrypted:
            Problem("the passphrase does not open the private key in \(place)", hint: .text("if it is right: \(convert)"), .usage)
        case .unknownKind:
            Problem("the private key in \(place) is of a kind that can't be decrypted here", hint: .text(convert), .usage)
        case .memory: Problem(describing: TokenError.memory)
        }
    }

    static func emptySecret(what: String, place: String) -> Problem {
        Problem("the \(what) from \(place) is empty", .usage)
    }

    static func notOneLine(what: String, place: String) -> Problem {
        Problem("the \(what) from \(place) is not one line of text", hint: "it holds a newline or control character", .usage)
    }

    static func tooLarge(what: String, place: String, limit: Int) -> Problem {
        Problem("the \(what) from \(place) is longer than \(limit) bytes", .usage)
    }

    static func cannotRead(what: String, place: String, errno code: Int32) -> Problem {
        Problem("cannot read the \(what) from \(place): \(PlainText.reason(errno: code))", .noSuchFile)
    }

    // MARK: The system

    static func cannotWriteOutput(errno code: Int32) -> Problem {
        Problem("cannot write to standard output: \(PlainText.reason(errno: code))", .cannotWrite)
    }

    static func cannotRun(_ command: String, errno code: Int32) -> Problem {
        // As shells have it: 127 for what is not there, 126 for what can't be run.
        Problem(
            "cannot run \(PlainText.of(command)): \(PlainText.reason(errno: code))",
            code == ENOENT ? .commandNotFound : .notRunnable)
    }

    static func system(_ operation: String, _ code: Int32) -> Problem {
        Problem("cannot \(operation): \(PlainText.reason(errno: code))", .cannotWrite)
    }

    // MARK: Many at once

    /// What is told about a command over many credentials of which some failed: each has been told already.
    static func someFailed(_ failed: Int, of all: Int) -> Problem {
        Problem("\(failed) of \(all) failed", .checkFailed)
    }

    /// - Parameter names: of the credentials whose records are damaged, one at least.
    static func damagedRecords(_ names: [String]) -> Problem {
        let what = names.count == 1 ? "the record of the credential" : "the records of the credentials"
        let all = names.map(quoted).joined(separator: ", ")
        return Problem(
            "\(what) \(all) \(names.count == 1 ? "is" : "are") damaged", hint: "claviger show says what is wrong with one",
            .damaged)
    }

    // MARK: Options

    private static func hint(_ refusal: EndpointURL.Refusal) -> Hint {
        switch refusal {
        case .notAnAddress: "a whole one begins with https://"
        case .scheme, .plainHTTP: "use https (http only to this machine)"
        case .credentials: "--client-id and --username have a place of their own, and secrets are read from files"
        case .fragment: "leave out what stands behind #"
        }
    }

    static func address(_ option: String, _ refusal: EndpointURL.Refusal) -> Problem {
        return Problem(
            "the address of \(option) \(PlainText.of(refusal.words))",
            hint: hint(refusal), .usage)
    }
}

/// Runs `body`; the hints of its errors name the credential.
func naming<R>(_ name: String, _ body: () async throws -> R) async throws -> R {
    do {
        return try await body()
    } catch {
        throw Problem(describing: error, of: name)
    }
}
