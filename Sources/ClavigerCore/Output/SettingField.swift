import OAuth

/// A setting of a credential, by all its names. `show`, `--json` and `edit --clear` go by this table; a test holds it against
/// the stored members, the options and the manual.
struct SettingField: Sendable {
    /// As the vault and the agent's JSON have it.
    let key: String
    /// The option that sets it, without its hyphens, or what the options that do begin with; nil where only a provider does.
    let option: String?
    /// In the text of `show`.
    let label: String
    /// In `--json`.
    let member: String
    /// The value that `show` leaves out.
    let usual: FieldValue?
    /// - Returns: nil where it is not set.
    let read: @Sendable (ClientSettings) -> FieldValue?
    /// Nil for what every credential has.
    let clear: (@Sendable (inout ClientSettings) -> Void)?

    static let all: [SettingField] = [
        required("grant", "grant", "grant", "grant") { .text($0.grant.option) },
        required("client_authentication", "client-auth", "client auth", "client_auth") {
            .text($0.clientAuthentication.option)
        },
        required("token_url", "token-url", "token url", "token_url") { .text($0.tokenURL.description) },
        optional("authorization_url", "authorization-url", "authorization url", \.authorizationURL) { .text($0.description) },
        optional(
            "authorization_parameters", "authorization-param", "authorization parameters", \.authorizationParameters,
            member: "authorization_params"
        ) { .pairs($0, separator: "=") },
        optional(
            "pushed_authorization_url", "pushed-authorization-url", "pushed authorization url", \.pushedAuthorizationURL
        ) { .text($0.description) },
        optional("device_authorization_url", "device-url", "device url", \.deviceAuthorizationURL, member: "device_url") {
            .text($0.description)
        },
        optional("redirect_uri", "redirect-uri", "redirect uri", \.redirectURI) { .text($0) },
        optional("pkce", "pkce", "PKCE", \.pkce) { .flag($0) },
        optional("nonce", "nonce", "nonce", \.nonce) { .flag($0) },
        optional("revocation_url", "revocation-url", "revocation url", \.revocationURL) { .text($0.description) },
        optional("introspection_url", "introspection-url", "introspection url", \.introspectionURL) { .text($0.description) },
        optional("api_url", "api-url", "api url", \.apiURL) { .text($0.description) },
        optional("issuer", "issuer", "issuer", \.issuer) { .text($0) },
        optional("key_id", "kid", "key id", \.keyID) { .text($0) },
        optional("assertion", "assertion", "assertions", \.assertion) { .members(JSONValue($0)) },
        optional("dpop", "dpop", "bound to a key", \.dpop) { .flag($0) },
        optional("subject", "subject", "exchanges", \.subject, clears: false) { .exchanged($0) },
        optional("actor", "actor", "acting for it", \.actor) { .exchanged($0) },
        list("scopes", "scope", "scopes", \.scopes) { .list($0, separator: " ") },
        optional("scope_separator", "scope-separator", "scope separator", \.scopeSeparator) { .text($0) },
        list("audiences", "audience", "audiences", \.audiences) { .list($0, separator: ", ") },
        list("resources", "resource", "resources", \.resources) { .list($0, separator: ", ") },
        list("parameters", "param", "parameters", \.parameters, member: "params") { .pairs($0, separator: "=") },
        list("headers", "header", "headers", \.headers) { .pairs($0, separator: ": ") },
        optional("secret_parameters", "param-file", "secret parameters", \.secretParameters, member: "secret_params") {
            .list($0, separator: ", ")
        },
        optional("secret_headers", "header-file", "secret headers", \.secretHeaders) { .list($0, separator: ", ") },
        SettingField(
            key: "placement", option: "params-in", label: "parameters in", member: "params_in", usual: .text("body"),
            read: { .text($0.placement.rawValue) }, clear: { $0.placement = .body }),
        SettingField(
            key: "certificate_authority", option: "ca-file", label: "own certificates", member: "own_ca", usual: .flag(false),
            read: { .flag($0.certificateAuthority != nil) }, clear: { $0.certificateAuthority = nil }),
        optional("method", "method", "method", \.method) { .text($0.rawValue) },
        optional("parameter_names", "param-name", "parameter names", \.parameterNames, member: "param_names") { names in
            .pairs(names.sorted { $0.key < $1.key }.map { Parameter($0.key, $0.value) }, separator: "=")
        },
        optional("refresh", "refresh", "refresh request", \.refresh) { .members(JSONValue($0)) },
        optional("answer", "answer", "answer", \.answer) { .members(JSONValue($0)) },
        optional("presentation", "presentation", "presented as", \.presentation) { .text($0.rawValue) },
        optional("omits_grant_type", nil, "omits grant type", \.omitsGrantType) { .flag($0) },
        optional("token_lifetime", "token-lifetime", "token lifetime", \.tokenLifetime) { .number($0) },
        optional("login_idle", "login-idle", "login may be idle", \.loginIdle) { .number($0) },
        optional("login_lifetime", "login-lifetime", "login lives", \.loginLifetime) { .number($0) },
        optional("no_refresh_token", "no-refresh-token", "no refresh token", \.noRefreshToken) { .flag($0) },
        optional("refresh_token_rotates", "refresh-token-rotates", "refresh token rotates", \.refreshTokenRotates) { .flag($0) },
        optional("refresh_token_grace", "refresh-token-grace", "refresh token grace", \.refreshTokenGrace) { .grace($0) },
        optional("older_tokens_live", "older-tokens-live", "older tokens live", \.olderTokensLive) { .flag($0) },
        optional("resend", "resend", "resend", \.resend) { .text($0.rawValue) },
    ]

    // MARK: Rows

    private static func required(
        _ key: String, _ option: String, _ label: String, _ member: String, usual: FieldValue? = nil,
        read: @escaping @Sendable (ClientSettings) -> FieldValue
    ) -> SettingField {
        SettingField(key: key, option: option, label: label, member: member, usual: usual, read: read, clear: nil)
    }

    /// - Parameters:
    ///   - member: in `--json`, where that is not the key.
    ///   - clears: false for what the grant can't be without, and for what only `add` sets.
    private static func optional<Value>(
        _ key: String, _ option: String?, _ label: String, _ path: any WritableKeyPath<ClientSettings, Value?> & Sendable,
        member: String? = nil, clears: Bool = true, text: @escaping @Sendable (Value) -> FieldValue
    ) -> SettingField {
        let clear: @Sendable (inout ClientSettings) -> Void = { $0[keyPath: path] = nil }
        return SettingField(
            key: key, option: option, label: label, member: member ?? key, usual: nil,
            read: { $0[keyPath: path].map(text) }, clear: clears && option != nil ? clear : nil)
    }

    private static func list<Element>(
        _ key: String, _ option: String, _ label: String, _ path: any WritableKeyPath<ClientSettings, [Element]> & Sendable,
        member: String? = nil, text: @escaping @Sendable ([Element]) -> FieldValue
    ) -> SettingField {
        SettingField(
            key: key, option: option, label: label, member: member ?? key, usual: text([]),
            read: { text($0[keyPath: path]) }, clear: { $0[keyPath: path] = [] })
    }
}

/// The value of a setting, to be shown.
enum FieldValue: Encodable, Equatable {
    case text(String)
    case number(Int)
    case flag(Bool)
    case list([String], separator: String)
    case pairs([Parameter], separator: String)
    case exchanged(ExchangedToken)
    case grace(RefreshTokenGrace)
    /// A format, in the words of a provider file.
    case members(JSONValue)

    /// For people.
    var words: String {
        switch self {
        case .text(let text): text
        case .number(let number): "\(number) s"
        case .flag(let flag): flag ? "yes" : "no"
        case .list(let list, let separator): list.joined(separator: separator)
        case .pairs(let pairs, let separator): pairs.map { $0.name + separator + $0.value }.joined(separator: ", ")
        case .exchanged(let token): Self.words(token)
        case .grace(.seconds(let seconds)): "\(seconds) s"
        case .grace(.untilSuccessorIsUsed): "until its successor is used"
        case .members(let format): Self.words(format)
        }
    }

    private static func words(_ format: JSONValue) -> String {
        (format.object ?? [:]).sorted { $0.key < $1.key }.map { name, value in
            name + "=" + (value.string ?? value.encoded())
        }.joined(separator: ", ")
    }

    private static func words(_ token: ExchangedToken) -> String {
        let type = token.type.replacing(ExchangedToken.registeredType(""), with: "")
        return switch token.source {
        case .credential(let name): "the token of \(name) (\(type))"
        case .file(let path): "the token in \(path) (\(type))"
        }
    }

    // MARK: In JSON

    private struct Exchanged: Encodable {
        var credential: String?
        var file: String?
        var type: String
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .number(let number): try container.encode(number)
        case .flag(let flag): try container.encode(flag)
        case .list(let list, _): try container.encode(list)
        case .pairs(let pairs, _): try container.encode(Dictionary(pairs.map { ($0.name, $0.value) }) { $1 })
        case .exchanged(let token):
            switch token.source {
            case .credential(let name): try container.encode(Exchanged(credential: name, type: token.type))
            case .file(let path): try container.encode(Exchanged(file: path, type: token.type))
            }
        case .grace(let grace): try container.encode(grace)
        case .members(let format): try container.encode(format)
        }
    }
}
