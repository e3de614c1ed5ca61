import ArgumentParser
import OAuth
import Sodium

/// Where a key pair comes from: for `add` and `rotate`.
struct KeyPairOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "JSON with client_id and client_secret, as a provider hands it out; - for standard input.", valueName: "file|-"),
        completion: .file())
    var from: String?

    @Option(
        help: ArgumentHelp("A file that holds the client secret; - for standard input.", valueName: "file|-"),
        completion: .file())
    var secretFile: String?

    @Flag(name: .customLong("no-verify"), help: "Store it without acquiring a token to prove it.")
    var noVerify = false

    func validate() throws {
        if from == "-", secretFile == "-" {
            throw ValidationError("--from and --secret-file can't both be standard input")
        }
    }

    /// The pair from the options, or asked for on the terminal.
    /// - Parameters:
    ///   - known: the id from `--client-id`, or the one in use.
    ///   - asksForID: whether a person at the terminal is asked for an id, with the known one as the default.
    ///   - page: where a person makes the pair.
    func client(
        named name: String, known: String?, asksForID: Bool, needsSecret: Bool, page: String?
    ) throws -> ClientIdentity {
        let document = try from.map(KeyDocument.init)
        let origin = page.map { " (made in \($0))" } ?? ""
        var id = document?.clientID ?? known
        let hasSource = document != nil || secretFile != nil
        if id == nil || (asksForID && !hasSource && Terminal.isThere) {
            let fallback = id.map { " [\(Terminal.plain($0))]" } ?? ""
            let answer = try Terminal.promptLine(
                "client id of \(Terminal.plain(name))\(id == nil ? origin : "")\(fallback): ",
                otherwise: .noTerminalForClientID)
            if !answer.isEmpty { id = answer }
        }
        guard let id, !id.isEmpty, id.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw Failure("a client id is needed", hint: "use --client-id ID, or --from FILE", .usage)
        }
        guard needsSecret else { return ClientIdentity(id: id, secret: nil) }
        if let secretFile { return ClientIdentity(id: id, secret: try SecretInput.file(secretFile, what: "client secret")) }
        if let document {
            guard let secret = document.clientSecret else { throw Failure("the JSON holds no client_secret", .usage) }
            return ClientIdentity(id: id, secret: secret)
        }
        let question = "client secret of \(Terminal.plain(name))\(origin), not shown: "
        return ClientIdentity(id: id, secret: try Terminal.promptSecret(question, otherwise: .noTerminalForSecret))
    }
}

/// A key pair in JSON: flat, or inside `installed` or `web`, as in Google's `client_secret.json`.
struct KeyDocument {
    var clientID: String?
    var clientSecret: Secret?

    init(path: String) throws {
        var bytes = try SecretInput.contents(path, limit: 1 << 20, what: "JSON")
        defer { bytes.wipe() }
        guard let outer = JSONValue(parsing: bytes)?.object else {
            throw Failure("\(path == "-" ? "standard input" : path) is not a JSON object", .usage)
        }
        let members = outer["installed"]?.object ?? outer["web"]?.object ?? outer
        clientID = members["client_id"]?.string
        if let secret = members["client_secret"]?.string {
            var copy = Array(secret.utf8)
            defer { copy.wipe() }
            clientSecret = try SecretInput.secret(&copy, what: "client_secret", from: "the JSON")
        }
    }
}
