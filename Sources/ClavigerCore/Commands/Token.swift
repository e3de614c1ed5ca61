import ArgumentParser
import FoundationEssentials
import Glibc
import OAuth
import TokenEngine

struct Token: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print a valid access token, cached or new, and nothing else.")

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case raw, json, header, curl
    }

    @Argument(help: "The credential.")
    var name: String

    @Option(help: ArgumentHelp("The least remaining lifetime in seconds.", valueName: "seconds"))
    var minTTL: Int?

    @Flag(help: "Acquire a new token in any case.")
    var fresh = false

    @Flag(help: "The API answered 401 to the cached token: drop it and acquire a new one.")
    var rejected = false

    @Flag(help: "Use a login that belongs to another machine, which loses it.")
    var takeOver = false

    @Option(help: ArgumentHelp("A scope to ask for instead of the credential's; may be repeated.", valueName: "scope"))
    var scope: [String] = []

    @Option(help: ArgumentHelp("An audience to ask for instead of the credential's; may be repeated.", valueName: "audience"))
    var audience: [String] = []

    @Option(help: "raw; json with type and expiry; header: a line for an HTTP client; curl: for curl --config -.")
    var format: Format = .raw

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if let minTTL, minTTL < 0 { throw ValidationError("--min-ttl takes a number of seconds, not less than 0") }
        if fresh, rejected { throw ValidationError("--fresh and --rejected can't both be given: --rejected implies a new token") }
    }

    func run() async throws {
        var ask = TokenAsk(
            access: RequestedAccess(scopes: try scope.flatMap(SettingsOptions.scopes), audiences: audience),
            mode: rejected ? .rejected : fresh ? .fresh : .cached, minimumLifetime: minTTL)
        ask.takesOver = takeOver
        let token = try await naming(name) { try await global.withAgent { try await $0.token(name, ask) } }
        try Terminal.output(try text(token))
    }

    private func text(_ token: CachedToken) throws -> String {
        let value = token.token.revealed()
        switch format {
        case .raw: return value
        case .header: return "Authorization: Bearer \(value)"
        case .curl:
            return "header = \"Authorization: Bearer \(value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
        case .json: return try Report.json(TokenDocument(token, now: Date()))
        }
    }
}

/// A token in the form of `--format json`, with the member names of RFC 6749 section 5.1.
private struct TokenDocument: Encodable {
    var accessToken: String
    var tokenType: String
    var expiresIn: Int?
    var expiresAt: String?
    var scope: String?

    enum CodingKeys: String, CodingKey {
        case scope
        case accessToken = "access_token"
        case tokenType = "token_type"
        case expiresIn = "expires_in"
        case expiresAt = "expires_at"
    }

    init(_ token: CachedToken, now: Date) {
        accessToken = token.token.revealed()
        tokenType = token.type
        expiresIn = token.expires.map { max(0, Int($0.timeIntervalSince(now))) }
        expiresAt = token.expires.map(Report.time)
        scope = token.scopes?.joined(separator: " ")
    }
}
