public import Access
public import AgentProtocol
import FoundationEssentials
import Glibc
public import Linux
import OAuth
import Sodium
public import TokenEngine
import Vault

/// Every error of the vault, of the token engine and of the agent in words. No other code has such words; a new case of one of
/// these errors gets its line here.
extension Problem {
    /// - Parameter name: the credential that it is about; hints name it.
    public init(describing error: any Error, of name: String? = nil) {
        switch error {
        case let problem as Problem: self = problem
        case let error as VaultError: self.init(vault: error)
        case let error as AuditError: self.init(audit: error)
        case let error as KeySlotError: self.init(keySlot: error)
        case let error as TokenError: self.init(token: error, name)
        case let refusal as FieldRefusal: self.init(notShown: refusal, name)
        case let failure as TransportFailure: self.init(transport: failure)
        case let refusal as AuthorizationRefusal: self.init(authorization: refusal, name)
        case let error as RegistrationError: self.init(registration: error, name)
        case let error as CredentialError: self.init(agent: error, name)
        case let failure as AgentSocket.Failure: self.init(socket: failure)
        case let error as FileError:
            self.init(
                "cannot \(error.operation) \(Self.plain(error.path)): \(PlainText.reason(errno: error.code))",
                Self.code(ofOperation: error.operation))
        case is SodiumError: self = .outOfMemory
        case is CancellationError: self = .interrupted
        default:
            self.init(
                "something that should not happen did: \(type(of: error))", hint: "please report it", .internalError)
        }
    }

    public static let interrupted = Problem("interrupted", .interrupted)
    private static let outOfMemory = Problem(
        "not enough memory could be locked for secrets, or was free for the passphrase's hash",
        hint: "raise the limit (ulimit -l), or free memory", .outOfMemory)

    /// A file that is a mount itself can't be replaced (rename(2)), which is how every change is made.
    private static func hint(ofOperation operation: String, _ code: Int32) -> Hint? {
        operation == "replace" && code == EBUSY ? "it is mounted as one file: mount the folder that it is in" : nil
    }

    private static func plain(_ text: String) -> String { PlainText.of(text) }
    private static func quoted(_ text: String) -> String { PlainText.quoted(text) }
}

// MARK: - The vault

extension Problem {
    /// A file with a secret that others can read, and what mends that.
    public init(_ exposure: FileExposure) {
        let path = Self.plain(exposure.path)
        let readers = exposure.readers.contains(.everybody) ? [.everybody] : exposure.readers
        let words = readers.map { reader in
            switch reader {
            case .everybody: "everybody"
            case .group(let id): "group \(id)"
            case .user(let id): "user \(id)"
            }
        }
        let word = Hint.shellWord(exposure.path)
        let command = (exposure.isOurs ? "" : "sudo ") + (exposure.hasList ? "setfacl -b \(word); " : "") + "chmod 600 \(word)"
        self.init(
            "\(path) can be read or changed by \(words.joined(separator: " and "))",
            hint: exposure.isReadOnly
                ? "have it mounted with mode 400, or below /run/secrets"
                : .text("\(command), and ask yourself who has read it"),
            .permissionsTooWide)
    }

    private init(vault error: VaultError) {
        switch error {
        case .noVault(let path):
            self.init(
                "there is no vault at \(path)", hint: "claviger init makes one, with the same --vault if there is one",
                .noSuchVault)
        case .danglingLink(let path):
            self.init(
                "\(path) is a link to a vault that is not there", hint: "mount what it leads to, or remove the link", .noSuchVault
            )
        case .vaultExists(let path):
            self.init(
                "there is a vault at \(path) already", hint: "use it, or name another place with --vault", .alreadyExists)
        case .notARegularFile(let path, let kind):
            self.init("\(path) is a \(kind), not a file", .noSuchFile)
        case .permissionsTooWide(let path, let mode):
            self.init(
                "\(path) can be used by others (mode \(String(mode, radix: 8)))",
                hint: "chmod 600 \(Hint.shellWord(path)), and ask yourself who has read it", .permissionsTooWide)
        case .exposed(let exposure): self.init(exposure)
        case .keyFileAsVault:
            self.init(
                "what was named as the vault is a key file", hint: "name it with --key-file, and the vault with --vault", .usage)
        case .damaged(let part, let reason, let hasPrevious): self.init(damaged: part, reason, hasPrevious)
        case .damagedRecord(let kind, let name, let reason, let hasPrevious):
            self.init(damagedRecord: kind, name, reason, hasPrevious)
        case .newerFormat(let version):
            self.init(
                "the vault is of format \(version), which this claviger does not know", hint: "use a newer claviger",
                .newerFormat)
        case .wrongKey:
            self.init("the passphrase or key file does not open the vault", .wrongKey)
        case .wentBack(let generation, let seen):
            self.init(
                "the vault is older (generation \(generation)) than it was seen here before (\(seen))",
                hint: """
                    if you restored a backup, say so with --accept-older-vault, and lock an agent that has it open; else \
                    somebody has put it back
                    """,
                .olderVault)
        case .memoryUnreadable(let path):
            self.init(
                "what this machine remembers of the vault can't be read: \(path)",
                hint: "an older vault would not be noticed; if this one is as it should be, say --accept-older-vault once",
                .damaged)
        case .notDurable(let path, let code):
            self.init(
                "the change is made, but may be gone after a power cut: cannot synchronise the folder of \(path): "
                    + PlainText.reason(errno: code), hint: "don't make the change again; see to the disk", .cannotWrite)
        case .diskFull(let path):
            self.init("the disk is full: \(path) cannot be written", hint: "nothing was changed; free space", .diskFull)
        case .system(let operation, let path, let code):
            self.init(
                "cannot \(operation) \(path): \(PlainText.reason(errno: code))", hint: Self.hint(ofOperation: operation, code),
                Self.code(ofOperation: operation))
        case .lockTimeout:
            self.init(
                "another process has held the vault's lock for too long", hint: "see who with lslocks, then try again",
                .tryAgain)
        case .conflict:
            self.init("the vault was changed by another process meanwhile", hint: "try again", .tryAgain)
        case .noSuchCredential(let name, let near):
            self.init(
                "there is no credential \(Self.quoted(name))",
                hint: .text(near.map { "did you mean \(Self.quoted($0))?" } ?? "claviger list shows the names"), .noSuchCredential
            )
        case .nameTaken(let name):
            self.init(
                "there is a credential \(Self.quoted(name)) already",
                hint: "claviger rotate replaces its key pair, claviger edit the rest", .alreadyExists)
        case .invalidName(let reason):
            self.init("the name \(reason)", hint: "a name has 1 to 128 printable characters and no slash", .usage)
        case .tooLarge(let what, let limit):
            self.init("\(what) is over the limit of \(limit)", .usage)
        case .memory:
            self = .outOfMemory
        }
    }

    private init(damaged part: VaultPart, _ reason: String, _ hasPrevious: Bool) {
        self.init(
            part == .keyFile ? "the key file \(reason)" : "the vault is damaged: its \(part.rawValue) \(reason)",
            hint: hasPrevious ? Self.previousState : nil, .damaged)
    }

    private init(damagedRecord kind: RecordKind, _ name: String, _ reason: String, _ hasPrevious: Bool) {
        let previous = hasPrevious ? Self.previousState : nil
        switch kind {
        case .credential:
            self.init(
                "the record of the credential \(Self.quoted(name)) is damaged: it \(reason)",
                hint: .removeDamaged(name), .damaged)
        case .policy:
            self.init("the policy in the vault is damaged: it \(reason)", hint: previous, .damaged)
        default:
            self.init("a record of the vault is damaged: it \(reason)", hint: previous, .damaged)
        }
    }

    private static let previousState: Hint = "the state before the last change is in the file of the same name with .previous"

    private static func code(ofOperation operation: String) -> ProblemCode {
        if operation.hasPrefix("open") { return .noSuchFile }
        return operation.hasPrefix("create") ? .cannotCreate : .cannotWrite
    }

    private init(keySlot error: KeySlotError) {
        let list = "claviger key list shows them"
        switch error {
        case .noSuchKey(let id):
            self.init("no key of the vault has an id like \(Self.quoted(id))", hint: .text(list), .noSuchFile)
        case .ambiguous(let id): self.init("several keys' ids begin with \(Self.quoted(id))", hint: .text(list), .usage)
        case .lastKey:
            self.init(
                "the vault was opened with the very key that is to go", hint: "open it with another one; \(list)", .usage)
        case .tooMany(let limit):
            self.init("the vault has \(limit) keys already, and no room for more", hint: .text(list), .usage)
        case .labelTooLong(let limit): self.init("a label may be no longer than \(limit) bytes", .usage)
        }
    }
}

// MARK: - The log

extension Problem {
    private init(audit error: AuditError) {
        switch error {
        case .busy(let path):
            self.init(
                "another process has been writing \(Self.plain(path)) for too long",
                hint: "see who with lslocks, then try again", .tryAgain)
        case .diskFull(let path):
            self.init("the disk is full: \(Self.plain(path)) cannot be written", hint: "free space", .diskFull)
        case .unusable(let path, let what):
            self.init(
                "the log \(Self.plain(path)) \(what), and nothing is done that can't be logged",
                hint: "put it away, look where it comes from, and try again", .cannotWrite)
        case .outcomeUnwritten(let error):
            let cause = Problem(audit: error)
            self.init(
                "it is done, but the log says only that it was begun: \(cause.title)", hint: cause.hint, cause.code)
        case .system(let operation, let path, let code):
            self.init(
                "cannot \(operation) \(Self.plain(path)): \(PlainText.reason(errno: code))", Self.code(ofOperation: operation))
        }
    }
}

extension AuditedError {
    public var word: String { Problem(describing: self).code.word }
}

extension RegistrationError: AuditedError {}

extension Problem: AuditedError {
    /// What a rule or the caller's user keeps from it. That a server refuses something is a failure.
    public var isDenial: Bool { code == .denied || code == .ownerOnly || code == .blocked }
}

extension TokenError: AuditedError {
    public var isDenial: Bool { if case .blocked = self { true } else { false } }
}

// MARK: - The token engine

extension Problem {
    private init(token failure: TokenError, _ name: String?) {
        switch failure {
        case .keyPairRefused:
            self.init(
                "the server does not accept this key pair (invalid_client)", hint: name.map(Hint.rotate), .clientRefused)
        case .refused(.useDPoPNonce), .refused(.registered("invalid_dpop_proof")):
            self.init(
                "the server wants another proof of possession with the request",
                hint: "claviger edit --dpop makes proofs; if that is set, is this machine's clock right?", .requestRefused)
        case .refused(.registered(let code)):
            self.init("the server refuses the request (\(code))", hint: name.map(Hint.compareSettings), .requestRefused)
        case .refused(.unregistered(let status)):
            self.init("the server refuses the request (status \(status))", hint: name.map(Hint.compareSettings), .requestRefused)
        case .stillRefused(let refusal): self.init(stillRefused: refusal, name)
        case .unreachable(let failure): self.init(transport: failure)
        case .serverFailing(let status):
            self.init("the server fails (status \(status))", hint: .tryAgain(after: nil), .serverFailing)
        case .busy(let seconds): self.init("rate limited by the server (429)", hint: .tryAgain(after: seconds), .rateLimited)
        case .redirected(let status):
            self.init(
                "the server sends us elsewhere (status \(status)), and a secret is never sent after it",
                hint: "set the right address with --token-url", .unusableAnswer)
        case .unusableAnswer(let reason):
            self.init(
                "the server answers with \(reason)",
                hint: reason.contains("--dpop") ? "see --dpop in claviger-credentials(1)" : "is this the token endpoint?",
                .unusableAnswer)
        case .onlyRefreshToken(let reason):
            self.init(
                "the refresh token of the server's answer is stored, but there is no access token in it: \(reason)",
                hint: "the login is alive: ask for a token again, or the provider about its answers", .unusableAnswer)
        case .outcomeUnknown(let sent, let until, let status): self.init(outcomeUnknown: sent, until, status)
        case .tooManyRenewals(let wait):
            self.init(
                "too many tokens that were still good have been replaced within a minute",
                hint: "try again in \(wait) s; if the API refuses every token, look for the reason there", .tooManyRenewals)
        case .lockTimeout:
            self.init(
                "another process has been acquiring this token for too long",
                hint: "see who with lslocks, then try again", .tryAgain)
        case .loginNeeded(let need): self.init(login: need, name)
        case .ownedElsewhere:
            self.init(
                "this login is kept alive by another machine, which would lose it", hint: name.map(Hint.takeOver), .ownedElsewhere
            )
        case .notStored:
            self.init(
                "the server has answered, but the vault could not be written, and what keeps the login alive may be lost",
                hint: name.map(Hint.fixDiskAndLogin), .notStored)
        case .noRefreshToken:
            self.init(
                "the server gave a token, but no refresh token to keep the login alive",
                hint:
                    "end what was granted before at the provider, ask for offline access (--authorization-param), and log in again",
                .unusableAnswer)
        case .notBound:
            self.init(
                "the token is bound to no key, so that there is nothing to prove",
                hint: name.map { .text("claviger edit \(Self.quoted($0)) --dpop has tokens bound") }, .configuration)
        case .badKey:
            self.init(
                "the private key can't sign",
                hint: "a key of RSA, P-256, P-384, P-521 or Ed25519 in PEM is needed, that suits --assertion-algorithm",
                .damaged)
        case .noSubject(let failure): self.init(subject: failure, name)
        case .noSuchEndpoint:
            self.init("the credential names no address for this", hint: name.map(Hint.setEndpoint), .configuration)
        case .lifetimeTooShort(let lifetime, let asked):
            self.init("this server's tokens live \(lifetime) s, less than the \(asked) s asked for", .lifetimeTooShort)
        case .notShown(let refusal): self.init(notShown: refusal, name)
        case .blocked(let block):
            self.init(
                "\(name.map(Self.quoted) ?? "the credential") \(Self.words(block)), and no token of it is handed out",
                hint: name.map(Hint.unblock), .blocked)
        case .memory: self = .outOfMemory
        }
    }

    /// `has been blocked since 2026-11-21T10:00:00Z (the key was in a public repository)`.
    static func words(_ block: CredentialBlock) -> String {
        "has been blocked since \(time(block.since))" + (block.reason.map { " (\(plain($0)))" } ?? "")
    }

    private init(notShown refusal: FieldRefusal, _ name: String?) {
        switch refusal {
        case .secret(let field):
            self.init("\(Self.quoted(field)) may be a secret, and is not shown", .requestRefused)
        case .noField(let field):
            self.init("the server has sent no \(Self.quoted(field)) with the token", .noSuchField)
        case .noIDToken:
            self.init(
                "the server has sent no ID token with the token", hint: "most send one only for the scope openid", .noSuchField)
        case .unreadable:
            self.init("the ID token can't be checked: it is encrypted, or none", .unusableAnswer)
        case .noIssuer:
            self.init(
                "the ID token can't be checked: whose keys it must be signed with is not known",
                hint: name.map { .text("claviger edit \(Hint.shellWord($0)) --issuer URL") }, .configuration)
        case .wrongIssuer: self.init("the ID token names another issuer than the settings do", .unusableAnswer)
        case .wrongAudience: self.init("the ID token is for another client", .unusableAnswer)
        case .wrongSignature: self.init("the ID token's signature is not one of its issuer's", .unusableAnswer)
        case .ended:
            self.init(
                "the ID token has ended, and the server has sent no other", hint: name.map(Hint.login), .unusableAnswer)
        case .noKeys(let reason):
            self.init("the ID token can't be checked: the keys of its issuer can't be had, for \(reason)", .serverUnreachable)
        }
    }

    private init(stillRefused refusal: TokenState.Refusal, _ name: String?) {
        let (since, next) = (Self.time(refusal.since), Self.time(refusal.nextAsk))
        switch refusal.cause {
        case .client:
            self.init(
                "the server has refused this key pair (invalid_client) since \(since), and is not asked again before \(next)",
                hint: name.map(Hint.rotate), .clientRefused)
        case .refresh(let status):
            self.init(
                "the server has refused to renew this login since \(since) (status \(status)), and does not say why",
                hint: name.map(Hint.login), .loginRequired)
        }
    }

    private init(outcomeUnknown sent: Date, _ until: Date?, _ status: Int?) {
        let what = status.map { "the server failed (status \($0))" } ?? "no answer came"
        let next = until.map { "it is sent once more after \(Self.time($0)); try again then" }
        self.init(
            "\(what) after a refresh token was sent at \(Self.time(sent)): the answer is lost, and whether the server has replaced the refresh token is not known",
            hint: .text(next ?? "it is sent once more with the next try"), .tryAgain)
    }

    static func time(_ date: Date) -> String { UTCTime.text(Int(date.timeIntervalSince1970.rounded(.down))) }

    private init(subject failure: SubjectFailure, _ name: String?) {
        switch failure {
        case .missing(let subject):
            self.init(
                "there is no credential \(Self.quoted(subject)), whose token is to be exchanged",
                hint: name.map(Hint.changeSubject), .configuration)
        case .exchange(let subject):
            self.init(
                "the token of \(Self.quoted(subject)) is the result of an exchange itself, and is not exchanged again",
                hint: name.map(Hint.changeSubject), .configuration)
        case .failed(let subject, let cause):
            let cause = Problem(token: cause, subject)
            self.init(
                "there is no token of \(Self.quoted(subject)) to exchange: \(cause.title)", hint: cause.hint, cause.code)
        case .file(let path):
            self.init(
                "there is no token to exchange in \(Self.plain(path))", hint: "it must hold one token, and be readable",
                .noSuchFile)
        }
    }

    private init(login need: LoginNeed, _ name: String?) {
        let title =
            switch need {
            case .never:
                "nobody is logged in"
            case .ended(let date):
                "the login has ended: the server does not take the refresh token any more (since \(Self.time(date)))"
            case .answerLost(let date):
                "the login has ended: the server's answer was lost at \(Self.time(date)), and it does not take the same refresh token twice"
            case .undecided(let date):
                "a refresh token was sent at \(Self.time(date)), its answer is lost, and the server may have replaced it"
            case .notRenewable(nil):
                "the login has ended with its token: the server gave no refresh token"
            case .notRenewable(let rejected?):
                "an API has rejected the token (at \(Self.time(rejected))), which is kept; there is no refresh token to get another with"
            case .interrupted(let date):
                "the login has ended: a refresh begun at \(Self.time(date)) was interrupted before its answer was stored, and the server does not take the same refresh token twice"
            }
        if case .undecided = need {
            self.init(title, hint: name.map(Hint.resend), .loginRequired)
        } else {
            self.init(title, hint: name.map(Hint.login), .loginRequired)
        }
    }

    private init(authorization refusal: AuthorizationRefusal, _ name: String?) {
        let again = name.map(Hint.loginAgain)
        switch refusal {
        case .denied(.registered(let code)): self.init("the login was refused (\(code))", hint: again, .loginRefused)
        case .denied: self.init("the login was refused", hint: again, .loginRefused)
        case .wrongState: self.init("the browser came back with the answer to another login", hint: again, .loginRefused)
        case .wrongIssuer: self.init("the browser came back from another server", hint: again, .loginRefused)
        case .noCode:
            self.init("there is no code in it", hint: "paste the whole address that the browser was sent to", .usage)
        case .noState:
            self.init(
                "the pasted address has a code and no state", hint: "paste all of the address, to its end", .usage)
        case .memory: self = .outOfMemory
        }
    }

    private init(transport failure: TransportFailure) {
        switch failure {
        case .noConnection(let host, let reason):
            self.init(
                "cannot reach \(host): \(Self.plain(reason))", hint: "check the address, the network and the proxy",
                .serverUnreachable)
        case .answerLost(let host, let reason):
            self.init("\(host) did not answer: \(Self.plain(reason))", hint: "try again", .serverUnreachable)
        case .certificate(let host, let reason):
            self.init(
                "the certificate of \(host) is refused: \(Self.plain(reason))",
                hint: reason.contains("authority") ? "for a private authority, give its certificates with --ca-file" : nil,
                .serverUnreachable)
        case .answerTooLarge(let host):
            self.init(
                "the answer of \(host) is larger than any token's", hint: "is this the token endpoint?", .unusableAnswer)
        case .configuration(let reason):
            self.init(Self.plain(reason), .configuration)
        }
    }
}

// MARK: - Credentials and the agent

extension Problem {
    private init(agent error: CredentialError, _ name: String?) {
        switch error {
        case .newerRecord(let name):
            self.init(
                "the credential \(Self.quoted(name)) was written by a newer claviger, and holds what this one does not know",
                hint: "use a newer claviger", .newerFormat)
        case .newerPolicy:
            self.init(
                "the policy was written by a newer claviger, and holds what this one does not know",
                hint: "use a newer claviger", .newerFormat)
        case .samePair:
            self.init("this is the key pair in use already", hint: "make a new one at the provider first", .usage)
        case .inactive:
            self.init("the server says that the token is not active", hint: name.map(Hint.rejectToken), .requestRefused)
        case .changedMeanwhile:
            self.init("another process has changed the settings meanwhile", hint: "try again", .tryAgain)
        case .noValue(let field): self.init("there is no value for the secret \(Self.quoted(field))", .usage)
        case .nothingStaged: self.init("there is no unfinished rotation to resume", .usage)
        case .nothingToRollBack: self.init("there is no earlier key pair to roll back to", .usage)
        case .notShown(let cause):
            let cause = Problem(vault: cause)
            self.init("the change is made, but can't be shown: \(cause.title)", hint: "don't make it again", cause.code)
        case .rotationUnfinished(let cause):
            let cause = Problem(token: cause, name)
            self.init("the new key pair could not be proven: \(cause.title)", hint: name.map(Hint.resumeRotation), cause.code)
        case .renewalUnknown(let cause):
            let cause = Problem(token: cause, name)
            self.init(
                "whether the server has made a new secret is not known: \(cause.title)",
                hint: name.map(Hint.renewAgain),
                cause.code)
        }
    }

    private init(socket failure: AgentSocket.Failure) {
        switch failure {
        case .nobody: self.init("no agent runs", hint: .startAgent, .noAgent)
        case .stranger(let path, let uid):
            self.init(
                "somebody else (user \(uid)) listens on \(Self.plain(path))", hint: "see who with ss -xlp", .agentNotTrusted)
        case .silent(let path):
            self.init(
                "the agent at \(Self.plain(path)) does not answer", hint: "it is stopped, or hangs: ss -xlp shows its process",
                .agentSilent)
        case .closed(let path):
            self.init("the agent at \(Self.plain(path)) ended before it answered", hint: "try again", .agentSilent)
        case .broken:
            self.init(
                "the agent did not answer as it should", hint: "is it of another version? claviger agent stop",
                .unavailable)
        }
    }
}
