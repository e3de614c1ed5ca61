import AgentProtocol
import OAuth
import Sodium

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
    /// What is registered for a client whose redirect address must be one of these; nil for one that may come back to any port.
    var redirectURIs: [String]?
    var username: String?
    var password: Secret?

    init(path: String) throws {
        var bytes = try SecretInput.contents(path, limit: 1 << 20, what: "JSON", isSecret: true)
        defer { bytes.wipe() }
        guard let outer = JSONValue(answer: bytes)?.object else {
            throw Problem("\(path == "-" ? "standard input" : path) is not a JSON object", .usage)
        }
        // Some consoles write `clientId` for `client_id`.
        let members = Dictionary(
            (outer["installed"]?.object ?? outer["web"]?.object ?? outer).map { (Self.snakeCase($0.key), $0.value) }
        ) { first, _ in first }
        if outer["web"] != nil, case .array(let addresses) = members["redirect_uris"] {
            redirectURIs = addresses.compactMap(\.string)
        }
        func secret(_ name: String) throws -> Secret? {
            guard let text = members[name]?.string else { return nil }
            var copy = Array(text.utf8)
            defer { copy.wipe() }
            return try SecretLine.pasted(&copy, what: name, from: "the JSON", remark: Terminal.note)
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

    /// The one that a login of this machine can come back to.
    /// - Throws: a problem that says what to register, where there is none.
    func loopbackRedirectURI() throws -> String? {
        guard let redirectURIs else { return nil }
        let hosts = ["http://127.0.0.1", "http://[::1]", "http://localhost"]
        if let uri = redirectURIs.first(where: { uri in
            hosts.contains { uri == $0 || uri.hasPrefix($0 + ":") || uri.hasPrefix($0 + "/") }
        }) {
            return uri
        }
        throw Problem(
            "the client is one of a web site, and no address of this machine is registered for it",
            hint:
                "register http://127.0.0.1:8765/callback there, or make a client of the kind desktop app; or use --redirect-uri",
            .usage)
    }

    /// `clientId` and `clientID` as `client_id`.
    private static func snakeCase(_ name: String) -> String {
        var text = ""
        var before: Character = "_"
        for character in name {
            if character.isUppercase, !before.isUppercase, before != "_" { text += "_" }
            text += character.lowercased()
            before = character
        }
        return text
    }
}
