import AgentProtocol
import HTTP
import OAuth
import Sodium

/// What is known when a person is asked for the rest.
struct KnownOfPair {
    var name: String
    var settings: ClientSettings
    /// The pair in use, or what the options say of a new one.
    var clientID: String?
    var username: String?
    /// Whether a person at the terminal is asked for a new id, too.
    var asksForID = false
    /// Where a person makes the pair.
    var page: String?
    /// What `--from` held, read once.
    var document: KeyDocument?

    var origin: String { page.map { " (made in \(Terminal.plain($0)))" } ?? "" }
}

extension SecretOptions {
    /// The pair from the options, or asked for on the terminal.
    func client(_ known: KnownOfPair) throws -> ClientCredentials {
        let document = known.document
        var client = ClientCredentials(id: try clientID(known), secret: nil)
        if known.settings.hasPrivateKey {
            client.secret = try privateKey(known)
        } else if known.settings.needsSecret {
            client.secret = try secret(
                "client secret", of: known, file: secretFile, inDocument: document?.clientSecret, member: "client_secret")
        }
        if known.settings.grant == .jwtBearer {
            // The subject of the assertion: without it, the token is the client's own.
            client.username = username ?? document?.username ?? known.username
        }
        if known.settings.grant == .password {
            client.username = try user(known)
            client.password = try secret(
                "password", of: known, file: passwordFile, inDocument: document?.password, member: "password")
        }
        if known.settings.clientAuthentication == .tls, let secret = client.secret {
            if let problem = ClientCertificate.problem(with: secret) { throw Problem(problem, .usage) }
        }
        return client
    }

    /// A private key is never typed: it is read from a file, or from the JSON that the provider handed out.
    private func privateKey(_ known: KnownOfPair) throws -> Secret {
        if let secretFile { return try decrypted(try SecretInput.privateKey(secretFile), of: secretFile) }
        guard let key = known.document?.privateKey else {
            throw Problem(
                "no private key was given", hint: "use --secret-file FILE with the key in PEM, or --from-json FILE", .usage)
        }
        return try decrypted(key, of: "the JSON")
    }

    /// A key that has a passphrase is kept without: the vault protects it.
    private func decrypted(_ key: Secret, of place: String) throws -> Secret {
        let place = Terminal.plain(place == "-" ? "standard input" : place)
        guard EncryptedPrivateKey.isEncrypted(key) else { return key }
        let passphrase =
            try privateKeyPassphraseFile.map { try SecretInput.file($0, what: "passphrase") }
            ?? Terminal.promptSecret(
                "passphrase of the private key in \(place), not shown: ", otherwise: .noTerminalForKeyPassphrase)
        do throws(EncryptedPrivateKey.Refusal) {
            return try EncryptedPrivateKey.decrypt(key, passphrase: passphrase)
        } catch {
            throw Problem.encryptedKey(place, error)
        }
    }

    private func clientID(_ known: KnownOfPair) throws -> String {
        var id = known.document?.clientID ?? known.clientID
        if known.settings.clientIDIsOptional { return id ?? "" }
        if id == nil || (known.asksForID && isEmpty && Terminal.isThere) {
            let fallback = id.map { " [\(Terminal.plain($0))]" } ?? ""
            let answer = try Terminal.promptLine(
                "client id of \(Terminal.plain(known.name))\(id == nil ? known.origin : "")\(fallback): ",
                otherwise: .noTerminalForClientID)
            if !answer.isEmpty { id = answer }
        }
        if let oddity = id.flatMap({ SecretLine.oddity(of: Array($0.utf8)) }) { Terminal.note("the client id \(oddity)") }
        if let id, id != id.trimmed { Terminal.note("the client id begins or ends with a space, which is kept") }
        guard let id, !id.isEmpty, HeaderRules.isValue(id) else {
            throw Problem("a client id is needed", hint: "use --client-id ID, or --from-json FILE", .usage)
        }
        return id
    }

    private func user(_ known: KnownOfPair) throws -> String {
        if let user = username ?? known.document?.username ?? known.username { return user }
        let user = try Terminal.promptLine("user name of \(Terminal.plain(known.name)): ", otherwise: .noTerminalForUser)
        guard !user.isEmpty else { throw Problem("a user name is needed", hint: "use --username NAME", .usage) }
        return user
    }

    private func secret(
        _ what: String, of known: KnownOfPair, file: String?, inDocument secret: Secret?, member: String
    ) throws -> Secret {
        if let file { return try SecretInput.file(file, what: what) }
        if let secret { return secret }
        if known.document != nil { throw Problem("the JSON holds no \(member)", .usage) }
        let question = "\(what) of \(Terminal.plain(known.name))\(known.origin), not shown: "
        return try Terminal.promptSecret(
            question, madeElsewhere: what == "password" ? nil : what, otherwise: .noTerminalForSecret(what))
    }
}

extension ClientSettings {
    /// Whether a user's name and password are enough.
    var clientIDIsOptional: Bool { clientAuthentication == .none && grant == .password }
}

extension String {
    fileprivate var trimmed: Substring {
        var rest = self[...]
        while rest.first == " " { rest.removeFirst() }
        while rest.last == " " { rest.removeLast() }
        return rest
    }
}
