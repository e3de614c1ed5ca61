import AgentProtocol
import Credentials
import FoundationEssentials
import Sodium
import TokenEngine

/// What a template's places are filled with. Each credential is asked once for its token, and once for each further member.
struct TemplateValues {
    private(set) var values: [Template.Reference: String] = [:]
    /// When the first of the tokens is to be renewed; nil where none ever ends.
    private(set) var renewal: Date?

    /// - Parameter source: the agent, or the vault.
    /// - Throws: what the source throws, with the credential's name in its words.
    init(_ template: Template, from source: any TokenSource) async throws {
        var tokens: [String: CachedToken] = [:]
        for reference in template.references {
            let name = reference.name
            values[reference] = try await naming(name) {
                if let own = Own(rawValue: reference.member) {
                    let token = if let known = tokens[name] { known } else { try await source.token(name, TokenQuery()) }
                    tokens[name] = token
                    return own.value(of: token)
                }
                let field: TokenField = reference.member == "id_token" ? .idToken : TokenField(reference.member)
                var ask = TokenQuery()
                ask.field = field
                let token = try await source.token(name, ask)
                tokens[name] = tokens[name] ?? token
                return Terminal.plain(try field.text(in: token.extras))
            }
        }
        renewal = tokens.values.compactMap { token in
            // A moment after the token is no longer taken from the vault.
            token.expires.map { $0.addingTimeInterval(1 - min(60, $0.timeIntervalSince(token.sent) / 10)) }
        }.min()
    }

    /// The members that every token has.
    private enum Own: String {
        case accessToken = "access_token"
        case tokenType = "token_type"
        case expiresAt = "expires_at"
        case scope

        func value(of token: CachedToken) -> String {
            switch self {
            case .accessToken: token.token.revealed()
            case .tokenType: token.type
            case .expiresAt: token.expires.map { Report.time($0) } ?? ""
            case .scope: token.scopes?.joined(separator: " ") ?? ""
            }
        }
    }
}
