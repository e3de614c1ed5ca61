import Access
import Agent
import AgentSocket
import ArgumentParser
import Glibc
import OAuth
import Sodium
import TokenEngine
import Vault

/// An exit code of sysexits(3).
enum ExitStatus: Int32 {
    /// A check that came out wrong.
    case failedCheck = 1
    case usage = 64
    case dataError = 65
    case noInput = 66
    case unavailable = 69
    case software = 70
    case cannotCreate = 73
    case ioError = 74
    case tryAgain = 75
    case noPermission = 77
    case configuration = 78
    case notRunnable = 126
    case notFound = 127
    /// 128 and SIGINT, as shells have it.
    case interrupted = 130
}

/// An error as a person sees it: what went wrong, what to do, and the exit code. All wording is in this file.
struct Failure: Error {
    let message: String
    var hint: String?
    let status: ExitStatus

    init(_ message: String, hint: String? = nil, _ status: ExitStatus) {
        self.message = message
        self.hint = hint
        self.status = status
    }

    /// Prints the error and ends the process.
    func exit() -> Never {
        Terminal.note("error: \(message)")
        if let hint { Terminal.note("hint: \(hint)") }
        Glibc.exit(status.rawValue)
    }

    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as VaultError: self.init(vault: error)
        case let error as AuditError: self.init(audit: error)
        case let error as TokenFailure: self.init(token: error)
        case let error as AgentError: self.init(agent: error)
        case let error as AgentProblem:
            self.init(
                Terminal.plain(error.title), hint: error.hint.map(Terminal.plain), ExitStatus(rawValue: error.exit) ?? .software)
        case let error as AgentSocket.Failure: self.init(socket: error)
        case let error as KeySlotError: self.init(keySlot: error)
        case is SodiumError: self.init(vault: .memory)
        case is CancellationError: self = .interrupted
        default: self.init(parsing: error)
        }
    }

    /// The argument parser's errors, and its ways to say "print this and stop".
    private init(parsing error: any Error) {
        let code = Claviger.exitCode(for: error)
        if code.isSuccess {
            do {
                try Terminal.output(Claviger.fullMessage(for: error))
                Glibc.exit(0)
            } catch {
                self = Failure(error)
                return
            }
        }
        guard code == .validationFailure else {
            self.init("something that should not happen did: \(type(of: error))", hint: "please report it", .software)
            return
        }
        let text = Claviger.message(for: error)
        let message = text.hasPrefix("Error: ") ? String(text.dropFirst(7)) : text
        let line = message.split(separator: "\n").joined(separator: " ")
        let first = line.prefix(1).lowercased() + line.dropFirst()
        let plain = first.hasSuffix(".") ? String(first.dropLast()) : first
        self.init(Terminal.plain(plain), hint: "claviger COMMAND --help lists the options", .usage)
    }
}

// MARK: - The commands' own

extension Failure {
    static let interrupted = Failure("interrupted", .interrupted)
    static let noHome = Failure(
        "there is no home folder to look for the vault in", hint: "set $HOME, or name the vault with --vault", .configuration)
    static let noPassphraseSource = Failure(
        "the vault is locked, and there is no terminal to ask for its passphrase",
        hint: "use --key-file, $CLAVIGER_PASSPHRASE_FILE or $CLAVIGER_PASSPHRASE_COMMAND", .noPermission)
    static let noPassphraseForInit = Failure(
        "no key was named, and there is no terminal to ask for a new passphrase",
        hint: "use --key-file, $CLAVIGER_PASSPHRASE_FILE or $CLAVIGER_PASSPHRASE_COMMAND", .usage)
    static let noNewPassphrase = Failure(
        "there is no terminal to ask for a new passphrase", hint: "use --new-passphrase-file FILE, or a pipe and -", .usage)
    static let passphraseCommandFailed = Failure(
        "$CLAVIGER_PASSPHRASE_COMMAND failed", hint: "run the command by hand to see why", .configuration)
    static let passphrasesDiffer = Failure("the two passphrases are not the same", hint: "try again", .usage)
    static let noTerminalForUser = Failure(
        "no user name was given, and there is no terminal to ask for it", hint: "use --username NAME, or --from FILE", .usage)
    static let noTerminalForCode = Failure(
        "a login needs somebody at a terminal", hint: "run claviger login there", .usage)

    static func noTerminalForSecret(_ what: String) -> Failure {
        let option = what == "client secret" ? "--secret-file" : "--\(what.replacing(" ", with: "-"))-file"
        return Failure(
            "no \(what) was given, and there is no terminal to ask for it",
            hint: "use \(option) FILE, or a pipe and \(option) -", .usage)
    }
    static let noTerminalForClientID = Failure(
        "no client id was given, and there is no terminal to ask for it", hint: "use --client-id ID, or --from FILE", .usage)
    static let noTerminalToConfirm = Failure(
        "this needs a yes, and there is no terminal to ask for it", hint: "use --yes", .usage)
    private init(keySlot error: KeySlotError) {
        let hint = "claviger key list shows them"
        switch error {
        case .noSuchKey(let id): self.init("no key of the vault has an id like \(Self.quoted(id))", hint: hint, .noInput)
        case .ambiguous(let id): self.init("several keys' ids begin with \(Self.quoted(id))", hint: hint, .usage)
        case .lastKey:
            self.init(
                "the vault was opened with the very key that is to go", hint: "open it with another one; \(hint)", .usage)
        case .tooMany(let limit): self.init("the vault has \(limit) keys already, and no room for more", hint: hint, .usage)
        case .labelTooLong(let limit): self.init("a label may be no longer than \(limit) bytes", .usage)
        }
    }

    static func noAPIAddress(_ name: String) -> Failure {
        Failure(
            "it is not known where the API of \(quoted(name)) is",
            hint: "say so with claviger edit \(Terminal.plain(name)) --api-url URL", .configuration)
    }
    static let nothingChanged = Failure("nothing was changed", .tryAgain)

    static func noPrivateKey(_ place: String) -> Failure {
        Failure("there is no private key in PEM in \(place)", hint: "it begins with -----BEGIN PRIVATE KEY-----", .usage)
    }

    static func emptySecret(what: String, place: String) -> Failure {
        Failure("the \(what) from \(place) is empty", .usage)
    }

    static func notOneLine(what: String, place: String) -> Failure {
        Failure("the \(what) from \(place) is not one line of text", hint: "it holds a newline or control character", .usage)
    }

    static func tooLarge(what: String, place: String, limit: Int) -> Failure {
        Failure("the \(what) from \(place) is longer than \(limit) bytes", .usage)
    }

    static func cannotRead(what: String, place: String, errno code: Int32) -> Failure {
        Failure("cannot read the \(what) from \(place): \(reason(code))", .noInput)
    }

    static func cannotWriteOutput(errno code: Int32) -> Failure {
        Failure("cannot write to standard output: \(reason(code))", .ioError)
    }

    static func cannotRun(_ command: String, errno code: Int32) -> Failure {
        // As shells have it: 127 for what is not there, 126 for what can't be run.
        Failure("cannot run \(Terminal.plain(command)): \(reason(code))", code == ENOENT ? .notFound : .notRunnable)
    }

    static func system(_ operation: String, _ code: Int32) -> Failure {
        Failure("cannot \(operation): \(reason(code))", .ioError)
    }

    static func address(_ option: String, _ refusal: EndpointURL.Refusal) -> Failure {
        let why =
            switch refusal {
            case .notAnAddress: "is not an address"
            case .scheme(let scheme): "has the scheme \(Terminal.plain(scheme)), not https"
            case .plainHTTP(let host): "would send the secret to \(host) in the clear"
            case .credentials: "has a user name or password in it"
            case .fragment: "has a fragment (#) in it"
            }
        return Failure("the address of \(option) \(why)", hint: "use https (http only to this machine)", .usage)
    }

    private static func reason(_ code: Int32) -> String {
        String(cString: strerror(code)).lowercased()
    }
}

// MARK: - The vault's

extension Failure {
    private init(vault error: VaultError) {
        switch error {
        case .noVault(let path):
            self.init("there is no vault at \(path)", hint: "make one with claviger init", .noInput)
        case .vaultExists(let path):
            self.init(
                "there is a vault at \(path) already", hint: "use it, or name another place with --vault", .cannotCreate)
        case .notARegularFile(let path, let kind):
            self.init("\(path) is a \(kind), not a file", .noInput)
        case .permissionsTooWide(let path, let mode):
            self.init(
                "\(path) can be used by others (mode \(String(mode, radix: 8)))",
                hint: "chmod 600 \(path), and ask yourself who has read it", .noPermission)
        case .damaged(.keyFile, let reason):
            self.init("the key file \(reason)", .dataError)
        case .damaged(let part, let reason):
            let verb = part == .records ? "the vault is damaged: its records" : "the vault is damaged: its \(part.rawValue)"
            self.init(
                "\(verb) \(reason)",
                hint: "the state before the last change is in the file of the same name with .previous", .dataError)
        case .newerFormat(let version):
            self.init(
                "the vault is of format \(version), which this claviger does not know", hint: "use a newer claviger",
                .dataError)
        case .wrongKey:
            self.init("the passphrase or key file does not open the vault", .noPermission)
        case .wentBack(let generation, let seen):
            self.init(
                "the vault is older (generation \(generation)) than it was seen here before (\(seen))",
                hint: "if you restored a backup, say so with --accept-older-vault; else somebody has put it back", .dataError)
        case .diskFull(let path):
            self.init("the disk is full: \(path) cannot be written", hint: "nothing was changed; make room", .ioError)
        case .system(let operation, let path, let code):
            self.init("cannot \(operation) \(path): \(Self.reason(code))", Self.status(operation))
        case .lockTimeout:
            self.init(
                "another process has held the vault's lock for too long", hint: "see who with lslocks, then try again",
                .tryAgain)
        case .logBusy(let path):
            self.init(
                "another process has been writing \(path) for too long", hint: "see who with lslocks, then try again",
                .tryAgain)
        case .conflict:
            self.init("the vault was changed by another process meanwhile", hint: "try again", .tryAgain)
        case .noSuchCredential(let name, let near):
            self.init(
                "there is no credential \(Self.quoted(name))",
                hint: near.map { "did you mean \(Self.quoted($0))?" } ?? "claviger list shows the names", .noInput)
        case .nameTaken(let name):
            self.init(
                "there is a credential \(Self.quoted(name)) already",
                hint: "claviger rotate replaces its key pair, claviger edit the rest", .cannotCreate)
        case .invalidName(let reason):
            self.init("the name \(reason)", hint: "a name has 1 to 128 printable characters and no slash", .usage)
        case .tooLarge(let what, let limit):
            self.init("\(what) is over the limit of \(limit)", .usage)
        case .memory:
            self.init(
                "not enough memory could be locked for secrets, or was free for the passphrase's hash",
                hint: "raise the limit (ulimit -l), or free memory", .unavailable)
        }
    }

    private static func status(_ operation: String) -> ExitStatus {
        if operation.hasPrefix("open") { return .noInput }
        return operation.hasPrefix("create") ? .cannotCreate : .ioError
    }

    static func quoted(_ name: String) -> String {
        "“\(Terminal.plain(name))”"
    }
}

// MARK: - The engine's and the agent's

extension Failure {
    private init(token failure: TokenFailure) {
        switch failure {
        case .keyPairRefused:
            self.init(
                "the server does not accept this key pair (invalid_client)",
                hint: "if it was regenerated, store the new one with claviger rotate NAME", .noPermission)
        case .refused(.registered(let code)):
            self.init(
                "the server refuses the request (\(code))", hint: "compare claviger show NAME with the server's settings",
                .noPermission)
        case .refused(.unregistered(let status)):
            self.init(
                "the server refuses the request (status \(status))",
                hint: "compare claviger show NAME with the server's settings",
                .noPermission)
        case .unreachable(let failure):
            self.init(transport: failure)
        case .serverFailing(let status):
            self.init("the server fails (status \(status))", hint: "try again later", .unavailable)
        case .busy(let seconds):
            self.init(
                "the server asks to be left alone (status 429)",
                hint: seconds.map { "try again in \($0) s" } ?? "try again later", .tryAgain)
        case .redirected(let status):
            self.init(
                "the server sends us elsewhere (status \(status)), and a secret is never sent after it",
                hint: "set the right address with --token-url", .unavailable)
        case .unusableAnswer(let reason):
            self.init("the server answers with \(reason)", hint: "is this the token endpoint?", .unavailable)
        case .lockTimeout:
            self.init(
                "another process has been acquiring this token for too long", hint: "see who with lslocks, then try again",
                .tryAgain)
        case .loginNeeded(let need):
            self.init(login: need)
        case .ownedElsewhere:
            self.init(
                "this login is kept alive by another machine, which would lose it",
                hint: "use claviger there, log in here with claviger login NAME, or take it over with --take-over", .noPermission)
        case .notStored:
            self.init(
                "the server has answered, but the vault could not be written, and what keeps the login alive may be lost",
                hint: "mend the disk, then claviger login NAME", .ioError)
        case .noRefreshToken:
            self.init(
                "the server gave a token, but no refresh token to keep the login alive",
                hint:
                    "end what was granted before at the provider, ask for offline access (--authorization-param), and log in again",
                .unavailable)
        case .badKey:
            self.init(
                "the private key can't sign", hint: "an RSA, P-256 or Ed25519 key in PEM, not encrypted, is needed", .dataError)
        case .noSubject(let failure):
            self.init(subject: failure)
        case .noSuchEndpoint:
            self.init("the credential names no address for this", hint: "claviger edit NAME sets it", .configuration)
        case .lifetimeTooShort(let lifetime, let asked):
            self.init("this server's tokens live \(lifetime) s, less than the \(asked) s asked for", .usage)
        case .memory:
            self.init(vault: .memory)
        }
    }

    private init(subject failure: SubjectFailure) {
        switch failure {
        case .missing(let name):
            self.init(
                "there is no credential \(Self.quoted(name)), whose token is to be exchanged",
                hint: "name another with claviger edit NAME --subject", .configuration)
        case .exchange(let name):
            self.init(
                "the token of \(Self.quoted(name)) is the result of an exchange itself, and is not exchanged again",
                hint: "name the credential behind it with claviger edit NAME --subject", .configuration)
        case .failed(let name, let cause):
            let cause = Failure(token: cause).naming(name)
            self.init(
                "there is no token of \(Self.quoted(name)) to exchange: \(cause.message)", hint: cause.hint, cause.status)
        case .file(let path):
            self.init(
                "there is no token to exchange in \(Terminal.plain(path))",
                hint: "it must hold one token, and be readable", .noInput)
        }
    }

    private init(login need: LoginNeed) {
        let hint = "log in with claviger login NAME"
        switch need {
        case .never:
            self.init("nobody is logged in", hint: hint, .noPermission)
        case .ended(let date):
            self.init(
                "the login has ended: the server does not take the refresh token any more (since \(Report.time(date)))",
                hint: hint, .noPermission)
        case .answerLost(let date):
            self.init(
                "the login has ended: the server's answer was lost at \(Report.time(date)), and it does not take the same refresh token twice",
                hint: hint, .noPermission)
        case .interrupted(let date):
            self.init(
                "the login has ended: a refresh begun at \(Report.time(date)) was interrupted before its answer was stored, and the server does not take the same refresh token twice",
                hint: hint, .noPermission)
        }
    }

    init(authorization refusal: AuthorizationRefusal) {
        let again = "try again with claviger login NAME"
        switch refusal {
        case .denied(.registered(let code)): self.init("the login was refused (\(code))", hint: again, .noPermission)
        case .denied: self.init("the login was refused", hint: again, .noPermission)
        case .wrongState: self.init("the browser came back with the answer to another login", hint: again, .noPermission)
        case .wrongIssuer: self.init("the browser came back from another server", hint: again, .noPermission)
        case .noCode: self.init("there is no code in it", hint: "paste the whole address that the browser was sent to", .usage)
        case .memory: self.init(vault: .memory)
        }
    }

    private init(transport failure: TransportFailure) {
        switch failure {
        case .noConnection(let host, let reason):
            self.init("cannot reach \(host): \(reason)", hint: "check the address, the network and the proxy", .unavailable)
        case .answerLost(let host, let reason):
            self.init("\(host) did not answer: \(reason)", hint: "try again", .unavailable)
        case .certificate(let host, let reason):
            self.init(
                "the certificate of \(host) is refused: \(reason)",
                hint: "for a private authority, give its certificates with --ca-file", .unavailable)
        case .answerTooLarge(let host):
            self.init("the answer of \(host) is larger than any token's", hint: "is this the token endpoint?", .unavailable)
        case .configuration(let reason):
            self.init(reason, .configuration)
        }
    }

    private init(agent error: AgentError) {
        switch error {
        case .newerRecord(let name):
            self.init(
                "the credential \(Self.quoted(name)) holds what this claviger does not know", hint: "use a newer claviger",
                .dataError)
        case .samePair:
            self.init(
                "this is the key pair in use already", hint: "make a new one at the provider first", .usage)
        case .inactive:
            self.init(
                "the server says that the token is not active", hint: "claviger token NAME --rejected gets another", .noPermission
            )
        case .nothingStaged:
            self.init("there is no unfinished rotation to resume", .usage)
        case .nothingToRollBack:
            self.init("there is no earlier key pair to roll back to", .usage)
        case .rotationUnfinished(let cause):
            let cause = Failure(token: cause)
            self.init(
                "the new key pair could not be proven: \(cause.message)",
                hint: "it is safe in the vault, and the old one still in use; finish with claviger rotate NAME --resume",
                cause.status)
        }
    }

    private init(socket failure: AgentSocket.Failure) {
        switch failure {
        case .nobody: self.init("no agent runs", hint: "claviger unlock starts one", .unavailable)
        case .stranger(let uid):
            self.init("somebody else (user \(uid)) listens where the agent should", hint: "see who with ss -xlp", .noPermission)
        case .broken:
            self.init(
                "the agent did not answer as it should", hint: "is it of another version? claviger agent stop", .unavailable)
        }
    }

    /// The same failure, with the credential's name in the hint.
    func naming(_ name: String) -> Failure {
        var named = self
        named.hint = hint?.replacing("NAME", with: Terminal.plain(name))
        return named
    }
}

extension Failure {
    /// What is told about a command over many credentials of which some failed: each has been told already.
    static func someFailed(_ failed: Int, of all: Int) -> Failure {
        Failure("\(failed) of \(all) failed", .failedCheck)
    }
}

/// Runs `body`; errors that speak of `NAME` get the credential's.
func naming<R>(_ name: String, _ body: () async throws -> R) async throws -> R {
    do {
        return try await body()
    } catch let error as TokenFailure {
        throw Failure(error).naming(name)
    } catch let error as AgentError {
        throw Failure(error).naming(name)
    } catch let error as AgentProblem {
        throw Failure(error).naming(name)
    }
}
