import FoundationEssentials
import OAuth
import Sodium
package import TokenEngine
package import Vault

/// A credential as the vault keeps it: a description in JSON, and its secrets by name.
///
/// Times are whole milliseconds since 1970. Decoding is strict: a description that would not be written back as it
/// stands is from a newer version, and changing it would lose what that version knows.
package enum CredentialRecord {
    private struct Description: Codable {
        var blocked: Blocked?
        var provider: String?
        var settings: ClientSettings
        var keyPair: Pair
        var previousKeyPair: Pair?
        var stagedKeyPair: Pair?
        var tokens: [Token]
        var replaced: [Token]?
        var refusedSince: Int64?
        var refusal: Refusal?
        var forcedRenewals: [Int64]?
        var login: LoginState?
        /// Where the client is managed that registered itself.
        var registration: EndpointURL?

        enum CodingKeys: String, CodingKey {
            case blocked, provider, settings, tokens, login, replaced, refusal, registration
            case forcedRenewals = "forced_renewals"
            case keyPair = "key_pair"
            case previousKeyPair = "previous_key_pair"
            case stagedKeyPair = "staged_key_pair"
            case refusedSince = "refused_since"
        }
    }

    private struct Blocked: Codable {
        var reason: String?
        var since: Int64
    }

    private struct Pair: Codable {
        var clientID: String
        var since: Int64
        var username: String?
        var expires: Int64?

        enum CodingKeys: String, CodingKey {
            case since, username, expires
            case clientID = "client_id"
        }
    }

    private struct LoginState: Codable {
        var since: Int64
        var renewed: Int64
        var rotates: Bool
        var owner: String
        /// Whether the server has been seen to answer without a new refresh token.
        var keeps: Bool?
        /// When the refresh token was sent whose answer is missing: first, and last where that was later.
        var spending: Int64?
        var sentLast: Int64?
        var boot: String?
        var resent: Bool?
        var ended: Int64?
        var expires: Int64?
        var refreshBy: Int64?

        enum CodingKeys: String, CodingKey {
            case since, renewed, rotates, owner, keeps, spending, boot, resent, ended, expires
            case refreshBy = "refresh_by"
            case sentLast = "sent_last"
        }
    }

    /// `refused_since` is its beginning where the client was refused; a refresh that was refused has one of its own.
    private struct Refusal: Codable {
        var asked: Int64
        var times: Int
        var since: Int64?
        var status: Int?
    }

    private struct Token: Codable {
        var requestedScopes: [String]
        var requestedAudiences: [String]?
        var type: String
        var scopes: [String]?
        var sent: Int64
        var expires: Int64?
        var rejected: Int64?

        enum CodingKeys: String, CodingKey {
            case type, scopes, sent, expires, rejected
            case requestedScopes = "requested_scopes"
            case requestedAudiences = "requested_audiences"
        }
    }

    // MARK: Encoding

    package static func record(_ credential: Credential) throws -> Record {
        let (configuration, state) = (credential.configuration, credential.state)
        let description = Description(
            blocked: configuration.block.map { Blocked(reason: $0.reason, since: milliseconds($0.since)) },
            provider: configuration.provider, settings: configuration.settings, keyPair: pair(configuration.keyPair),
            previousKeyPair: configuration.previousKeyPair.map(pair), stagedKeyPair: configuration.stagedKeyPair.map(pair),
            tokens: state.tokens.map(token), replaced: state.replaced.isEmpty ? nil : state.replaced.map(token),
            refusedSince: state.refusal.flatMap { $0.cause == .client ? milliseconds($0.since) : nil },
            refusal: state.refusal.map(refusal),
            forcedRenewals: state.forcedRenewals.isEmpty ? nil : state.forcedRenewals.map(milliseconds),
            login: state.login.map(login), registration: configuration.registration?.url)
        return try Record(description: encode(description), secrets: secrets(credential))
    }

    private static func secrets(_ credential: Credential) -> [String: Secret] {
        let (configuration, state) = (credential.configuration, credential.state)
        var secrets: [String: Secret] = [:]
        for (suffix, pair) in pairs(configuration) {
            secrets["client_secret" + suffix] = pair.client.secret
            secrets["password" + suffix] = pair.client.password
        }
        for (prefix, fields) in [
            ("parameter", configuration.secretFields.parameters), ("header", configuration.secretFields.headers),
        ] {
            for (index, field) in fields.enumerated() { secrets["\(prefix).\(index)"] = field.value }
        }
        secrets["dpop_key"] = configuration.dpopKey
        secrets["registration_token"] = configuration.registration?.token
        secrets["refresh_token"] = state.login?.refreshToken
        for (prefix, tokens) in [("token", state.tokens), ("replaced", state.replaced)] {
            for (index, token) in tokens.enumerated() {
                secrets["\(prefix).\(index)"] = token.token
                secrets["\(prefix).\(index).extras"] = token.extras
            }
        }
        return secrets
    }

    private static func encode(_ description: Description) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(description))
    }

    /// The pairs of a credential, by the suffix of their secrets' names.
    private static func pairs(_ configuration: CredentialConfiguration) -> [(suffix: String, pair: KeyPair)] {
        [("", configuration.keyPair), (".previous", configuration.previousKeyPair), (".staged", configuration.stagedKeyPair)]
            .compactMap { suffix, pair in pair.map { (suffix, $0) } }
    }

    private static func pair(_ pair: KeyPair) -> Pair {
        Pair(
            clientID: pair.client.id, since: milliseconds(pair.since), username: pair.client.username,
            expires: pair.expires.map(milliseconds))
    }

    private static func login(_ login: Login) -> LoginState {
        let sending = login.sending
        return LoginState(
            since: milliseconds(login.since), renewed: milliseconds(login.renewed), rotates: login.rotation == .rotates,
            owner: login.owner, keeps: login.rotation == .keeps ? true : nil, spending: (sending?.began).map(milliseconds),
            sentLast: sending.flatMap { $0.last == $0.began ? nil : milliseconds($0.last) }, boot: sending?.boot,
            resent: sending?.isResend == true ? true : nil, ended: login.ended.map(milliseconds),
            expires: login.expires.map(milliseconds), refreshBy: login.refreshBy.map(milliseconds))
    }

    private static func refusal(_ refusal: TokenState.Refusal) -> Refusal {
        switch refusal.cause {
        case .client: Refusal(asked: milliseconds(refusal.asked), times: refusal.times)
        case .refresh(let status):
            Refusal(
                asked: milliseconds(refusal.asked), times: refusal.times, since: milliseconds(refusal.since), status: status)
        }
    }

    private static func token(_ token: CachedToken) -> Token {
        Token(
            requestedScopes: token.access.scopes,
            requestedAudiences: token.access.audiences.isEmpty ? nil : token.access.audiences, type: token.type,
            scopes: token.scopes,
            sent: milliseconds(token.sent), expires: token.expires.map(milliseconds),
            rejected: token.rejected.map(milliseconds))
    }

    static func milliseconds(_ date: Date) -> Int64 {
        let value = (date.timeIntervalSince1970 * 1000).rounded()
        // What is read from 2^63 - 1 is rounded to 2^63.
        return Int64(exactly: value) ?? (value < 0 ? .min : .max)
    }

    // MARK: Decoding

    /// Whether any version can have written this as a description: a JSON object in UTF-8, without white space.
    static func isDescription(_ bytes: [UInt8]) -> Bool {
        // The decoder reads other encodings, too: it knows UTF-16 and UTF-32 by their zeros, which no JSON in UTF-8 has.
        guard bytes.first == UInt8(ascii: "{"), !bytes.contains(0), String(validating: bytes, as: UTF8.self) != nil else {
            return false
        }
        return JSONValue(parsing: bytes)?.object != nil
    }

    static let noDescription = "holds no JSON object"

    /// - Throws: `CredentialError.newerRecord`, `VaultError.damagedRecord`, or what else the vault throws.
    package static func credential(_ record: Record, name: String) throws -> Credential {
        let bytes = record.description
        guard let description = try? JSONDecoder().decode(Description.self, from: Data(bytes)),
            try encode(description) == bytes
        else {
            guard isDescription(bytes) else {
                throw VaultError.damagedRecord(.credential, name: name, reason: noDescription)
            }
            throw CredentialError.newerRecord(name: name)
        }
        var configuration = CredentialConfiguration(
            provider: description.provider, settings: description.settings,
            secretFields: try secretFields(description.settings, in: record, name: name),
            keyPair: try pair(description.keyPair, suffix: "", in: record))
        configuration.dpopKey = try record.secret("dpop_key")
        guard (configuration.dpopKey != nil) == (description.settings.dpop == true) else {
            throw CredentialError.newerRecord(name: name)
        }
        if let url = description.registration {
            guard let token = try record.secret("registration_token") else { throw CredentialError.newerRecord(name: name) }
            configuration.registration = ClientRegistration(url: url, token: token)
        }
        configuration.block = description.blocked.map { CredentialBlock(since: date($0.since), reason: $0.reason) }
        configuration.previousKeyPair = try description.previousKeyPair.map { try pair($0, suffix: ".previous", in: record) }
        configuration.stagedKeyPair = try description.stagedKeyPair.map { try pair($0, suffix: ".staged", in: record) }
        let credential = Credential(configuration, try state(description, in: record, name: name))
        // A secret without a place in the description would be lost with the next change.
        guard Set(record.secretNames) == Set(secrets(credential).keys) else { throw CredentialError.newerRecord(name: name) }
        return credential
    }

    private static func secretFields(_ settings: ClientSettings, in record: Record, name: String) throws -> SecretFields {
        func fields(_ names: [String]?, _ prefix: String) throws -> [SecretField] {
            let names = names ?? []
            // An edit finds values by their names. Names are compared as bytes, as other readers do.
            guard Set(names.map { Array($0.utf8) }).count == names.count else { throw CredentialError.newerRecord(name: name) }
            return try names.enumerated().map { index, field in
                guard let value = try record.secret("\(prefix).\(index)") else { throw CredentialError.newerRecord(name: name) }
                return SecretField(field, value)
            }
        }
        return SecretFields(
            parameters: try fields(settings.secretParameters, "parameter"),
            headers: try fields(settings.secretHeaders, "header"))
    }

    private static func state(_ description: Description, in record: Record, name: String) throws -> TokenState {
        func tokens(_ all: [Token], _ prefix: String) throws -> [CachedToken] {
            try all.enumerated().map { try token($1, description.settings, secret: "\(prefix).\($0)", in: record, name: name) }
        }
        var state = TokenState()
        state.tokens = try tokens(description.tokens, "token")
        state.replaced = try tokens(description.replaced ?? [], "replaced")
        state.forcedRenewals = (description.forcedRenewals ?? []).map(date)
        state.login = try description.login.map { try login($0, in: record, name: name) }
        state.refusal = refusal(description)
        return state
    }

    /// A record of an older version knows only since when; it was asked then, once, as far as that can be told.
    private static func refusal(_ description: Description) -> TokenState.Refusal? {
        let stored = description.refusal
        if let since = description.refusedSince.map(date) {
            return TokenState.Refusal(
                cause: .client, since: since, asked: stored.map { date($0.asked) } ?? since, times: stored?.times ?? 1)
        }
        guard let stored, let since = stored.since, let status = stored.status else { return nil }
        return TokenState.Refusal(
            cause: .refresh(status: status), since: date(since), asked: date(stored.asked), times: stored.times)
    }

    private static func pair(_ pair: Pair, suffix: String, in record: Record) throws -> KeyPair {
        let client = ClientCredentials(
            id: pair.clientID, secret: try record.secret("client_secret" + suffix), username: pair.username,
            password: try record.secret("password" + suffix))
        return KeyPair(client: client, since: date(pair.since), expires: pair.expires.map(date))
    }

    private static func login(_ state: LoginState, in record: Record, name: String) throws -> Login {
        guard let token = try record.secret("refresh_token") else { throw CredentialError.newerRecord(name: name) }
        var login = Login(
            refreshToken: token, since: date(state.since), renewed: date(state.renewed),
            rotation: state.rotates ? .rotates : state.keeps == true ? .keeps : .unknown, owner: state.owner)
        login.sending = state.spending.map {
            Login.Sending(
                began: date($0), last: state.sentLast.map(date), boot: state.boot, isResend: state.resent ?? false)
        }
        (login.ended, login.expires, login.refreshBy) = (
            state.ended.map(date), state.expires.map(date), state.refreshBy.map(date)
        )
        return login
    }

    private static func token(
        _ token: Token, _ settings: ClientSettings, secret: String, in record: Record, name: String
    ) throws -> CachedToken {
        let extras = try record.secret(secret + ".extras")
        guard let secret = try record.secret(secret) else { throw CredentialError.newerRecord(name: name) }
        var cached = CachedToken(
            access: RequestedAccess(scopes: token.requestedScopes, audiences: token.requestedAudiences ?? []), token: secret,
            type: token.type,
            scopes: token.scopes, sent: date(token.sent), expires: token.expires.map(date), extras: extras)
        cached.rejected = token.rejected.map(date)
        cached.presentation = settings.presentation(ofType: token.type)
        return cached
    }

    private static func date(_ milliseconds: Int64) -> Date {
        Date(timeIntervalSince1970: Double(milliseconds) / 1000)
    }
}
