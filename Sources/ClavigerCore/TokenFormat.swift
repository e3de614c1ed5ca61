import AgentSocket
import ArgumentParser
import FoundationEssentials
import TokenEngine

/// The forms in which a token is printed.
enum TokenFormat: String, ExpressibleByArgument, CaseIterable {
    case raw, json, header
    case headersJSON = "headers-json"
    case curl, netrc, env

    /// - Parameter name: the credential's.
    func text(_ token: CachedToken, of name: String) throws -> String {
        let value = token.token.revealed()
        return switch self {
        case .raw: value
        case .header: "Authorization: Bearer \(value)"
        case .headersJSON: try Report.json(["Authorization": "Bearer \(value)"])
        case .curl: "header = \"Authorization: Bearer \(Self.escaped(value, ["\\", "\""], by: "\\"))\""
        // A token has no space and no control character, so that it is one word of a netrc file.
        case .netrc: "default login oauth2 password \(value)"
        case .env: "export \(TokenVariable.name(name))='\(value.replacing("'", with: "'\\''"))'"
        case .json: try Report.json(TokenDocument(token, now: Date()))
        }
    }

    private static func escaped(_ text: String, _ characters: [String], by escape: String) -> String {
        characters.reduce(text) { $0.replacing($1, with: escape + $1) }
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
