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
    var username: String?
    var password: Secret?

    init(path: String) throws {
        var bytes = try SecretInput.contents(path, limit: 1 << 20, what: "JSON", isSecret: true)
        defer { bytes.wipe() }
        guard let outer = JSONValue(answer: bytes)?.object else {
            throw Problem("\(path == "-" ? "standard input" : path) is not a JSON object", .usage)
        }
        let members = outer["installed"]?.object ?? outer["web"]?.object ?? outer
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
}
