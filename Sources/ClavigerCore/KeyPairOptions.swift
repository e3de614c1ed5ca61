import AgentProtocol
import ArgumentParser
import OAuth
import Sodium

/// Where a key pair comes from: for `add` and `rotate`.
struct KeyPairOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "JSON with client_id, client_secret, refresh_token, username, password; - for standard input.", valueName: "file|-"),
        completion: .file())
    var from: String?

    @Option(
        help: ArgumentHelp("A file that holds the client secret; - for standard input.", valueName: "file|-"),
        completion: .file())
    var secretFile: String?

    @Option(help: ArgumentHelp("The user of the password grant.", valueName: "name"))
    var username: String?

    @Option(
        help: ArgumentHelp("A file that holds the user's password; - for standard input.", valueName: "file|-"),
        completion: .file())
    var passwordFile: String?

    @Flag(name: .customLong("no-verify"), help: "Store it without acquiring a token to prove it.")
    var noVerify = false

    func validate() throws {
        if [from, secretFile, passwordFile].count(where: { $0 == "-" }) > 1 {
            throw ValidationError("--from, --secret-file and --password-file can't share standard input")
        }
    }

    var isEmpty: Bool { from == nil && secretFile == nil && username == nil && passwordFile == nil }

    /// What is known when a person is asked for the rest.
    struct Request {
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

    /// The pair from the options, or asked for on the terminal.
    func client(_ request: Request) throws -> ClientIdentity {
        let document = request.document
        var client = ClientIdentity(id: try clientID(request), secret: nil)
        if request.settings.hasPrivateKey {
            client.secret = try privateKey(request)
        } else if request.settings.needsSecret {
            client.secret = try secret(
                "client secret", of: request, file: secretFile, inDocument: document?.clientSecret, member: "client_secret")
        }
        if request.settings.grant == .password {
            client.username = try user(request)
            client.password = try secret(
                "password", of: request, file: passwordFile, inDocument: document?.password, member: "password")
        }
        return client
    }

    /// A private key is never typed: it is read from a file, or from the JSON that the provider handed out.
    private func privateKey(_ request: Request) throws -> Secret {
        if let secretFile { return try SecretInput.privateKey(secretFile) }
        guard let key = request.document?.privateKey else {
            throw Problem("no private key was given", hint: "use --secret-file FILE with the key in PEM, or --from FILE", .usage)
        }
        return key
    }

    private func clientID(_ request: Request) throws -> String {
        var id = request.document?.clientID ?? request.clientID
        let isOptional = request.settings.clientAuthentication == .none && request.settings.grant == .password
        if isOptional { return id ?? "" }
        if id == nil || (request.asksForID && isEmpty && Terminal.isThere) {
            let fallback = id.map { " [\(Terminal.plain($0))]" } ?? ""
            let answer = try Terminal.promptLine(
                "client id of \(Terminal.plain(request.name))\(id == nil ? request.origin : "")\(fallback): ",
                otherwise: .noTerminalForClientID)
            if !answer.isEmpty { id = answer }
        }
        guard let id, !id.isEmpty, HeaderRules.isValue(id) else {
            throw Problem("a client id is needed", hint: "use --client-id ID, or --from FILE", .usage)
        }
        return id
    }

    private func user(_ request: Request) throws -> String {
        if let user = username ?? request.document?.username ?? request.username { return user }
        let user = try Terminal.promptLine("user name of \(Terminal.plain(request.name)): ", otherwise: .noTerminalForUser)
        guard !user.isEmpty else { throw Problem("a user name is needed", hint: "use --username NAME", .usage) }
        return user
    }

    private func secret(
        _ what: String, of request: Request, file: String?, inDocument secret: Secret?, member: String
    ) throws -> Secret {
        if let file { return try SecretInput.file(file, what: what) }
        if let secret { return secret }
        if request.document != nil { throw Problem("the JSON holds no \(member)", .usage) }
        let question = "\(what) of \(Terminal.plain(request.name))\(request.origin), not shown: "
        return try Terminal.promptSecret(question, otherwise: .noTerminalForSecret(what))
    }
}

/// What a provider hands out, as JSON: flat, or inside `installed` or `web`, as in Google's `client_secret.json`.
struct KeyDocument {
    var clientID: String?
    var clientSecret: Secret?
    var refreshToken: Secret?
    /// Of a Google service account.
    var privateKey: Secret?
    var keyID: String?
    var tokenURL: String?
    var isServiceAccount = false
    var username: String?
    var password: Secret?

    init(path: String) throws {
        var bytes = try SecretInput.contents(path, limit: 1 << 20, what: "JSON")
        defer { bytes.wipe() }
        guard let outer = JSONValue(parsing: bytes)?.object else {
            throw Problem("\(path == "-" ? "standard input" : path) is not a JSON object", .usage)
        }
        let members = outer["installed"]?.object ?? outer["web"]?.object ?? outer
        func secret(_ name: String) throws -> Secret? {
            guard let text = members[name]?.string else { return nil }
            var copy = Array(text.utf8)
            defer { copy.wipe() }
            return try SecretInput.secret(&copy, what: name, from: "the JSON")
        }
        isServiceAccount = members["type"]?.string == "service_account"
        // The account's address is the client; the number beside it is of no use here.
        clientID = (isServiceAccount ? members["client_email"] : members["client_id"])?.string
        keyID = members["private_key_id"]?.string
        tokenURL = members["token_uri"]?.string
        if let text = members["private_key"]?.string {
            var copy = Array(text.utf8)
            defer { copy.wipe() }
            privateKey = try SecretInput.privateKey(&copy, from: "the JSON")
        }
        username = members["username"]?.string
        clientSecret = try secret("client_secret")
        refreshToken = try secret("refresh_token")
        password = try secret("password")
    }
}
