import FoundationEssentials
import OAuth
import Sodium
import TokenEngine
import Vault

/// A credential as the vault keeps it: a description in JSON, and its secrets by name.
///
/// Times are whole milliseconds since 1970. Decoding is strict: a description that would not be written back as it
/// stands is from a newer version, and changing it would lose what that version knows.
enum CredentialCoding {
    private struct Description: Codable {
        var provider: String?
        var settings: ClientSettings
        var keyPair: Pair
        var previousKeyPair: Pair?
        var stagedKeyPair: Pair?
        var tokens: [Token]
        var refusedSince: Int64?
        var login: LoginState?

        enum CodingKeys: String, CodingKey {
            case provider, settings, tokens, login
            case keyPair = "key_pair"
            case previousKeyPair = "previous_key_pair"
            case stagedKeyPair = "staged_key_pair"
            case refusedSince = "refused_since"
        }
    }

    private struct Pair: Codable {
        var clientID: String
        var since: Int64
        var username: String?

        enum CodingKeys: String, CodingKey {
            case since, username
            case clientID = "client_id"
        }
    }

    private struct LoginState: Codable {
        var since: Int64
        var renewed: Int64
        var rotates: Bool
        var owner: String
        var spending: Int64?
        var ended: Int64?
    }

    private struct Token: Codable {
        var requestedScopes: [String]
        var requestedAudiences: [String]?
        var type: String
        var scopes: [String]?
        var sent: Int64
        var expires: Int64?

        enum CodingKeys: String, CodingKey {
            case type, scopes, sent, expires
            case requestedScopes = "requested_scopes"
            case requestedAudiences = "requested_audiences"
        }
    }

    // MARK: Encoding

    static func record(_ credential: Credential) throws -> Record {
        let description = Description(
            provider: credential.provider, settings: credential.settings, keyPair: pair(credential.keyPair),
            previousKeyPair: credential.previousKeyPair.map(pair), stagedKeyPair: credential.stagedKeyPair.map(pair),
            tokens: credential.tokens.map(token), refusedSince: credential.refusedSince.map(milliseconds),
            login: credential.login.map(login))
        var secrets: [String: Secret] = [:]
        for (suffix, pair) in pairs(credential) {
            secrets["client_secret" + suffix] = pair.client.secret
            secrets["password" + suffix] = pair.client.password
        }
        secrets["refresh_token"] = credential.login?.refreshToken
        for (index, token) in credential.tokens.enumerated() {
            secrets["token.\(index)"] = token.token
            secrets["token.\(index).extras"] = token.extras
        }
        return try Record(description: encode(description), secrets: secrets)
    }

    private static func encode(_ description: Description) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(description))
    }

    /// The pairs of a credential, by the suffix of their secrets' names.
    private static func pairs(_ credential: Credential) -> [(suffix: String, pair: KeyPair)] {
        [("", credential.keyPair), (".previous", credential.previousKeyPair), (".staged", credential.stagedKeyPair)]
            .compactMap { suffix, pair in pair.map { (suffix, $0) } }
    }

    private static func pair(_ pair: KeyPair) -> Pair {
        Pair(clientID: pair.client.id, since: milliseconds(pair.since), username: pair.client.username)
    }

    private static func login(_ login: Login) -> LoginState {
        LoginState(
            since: milliseconds(login.since), renewed: milliseconds(login.renewed), rotates: login.rotates,
            owner: login.owner, spending: login.spending.map(milliseconds), ended: login.ended.map(milliseconds))
    }

    private static func token(_ token: CachedToken) -> Token {
        Token(
            requestedScopes: token.access.scopes,
            requestedAudiences: token.access.audiences.isEmpty ? nil : token.access.audiences, type: token.type,
            scopes: token.scopes,
            sent: milliseconds(token.sent), expires: token.expires.map(milliseconds))
    }

    static func milliseconds(_ date: Date) -> Int64 {
        Int64((date.timeIntervalSince1970 * 1000).rounded())
    }

    // MARK: Decoding

    /// - Throws: `AgentError.newerRecord`, or what the vault throws.
    static func credential(_ record: Record, name: String) throws -> Credential {
        let bytes = record.description
        guard let description = try? JSONDecoder().decode(Description.self, from: Data(bytes)),
            try encode(description) == bytes
        else { throw AgentError.newerRecord(name: name) }
        var credential = Credential(
            provider: description.provider, settings: description.settings,
            keyPair: try pair(description.keyPair, suffix: "", in: record))
        credential.previousKeyPair = try description.previousKeyPair.map {
            try pair($0, suffix: ".previous", in: record)
        }
        credential.stagedKeyPair = try description.stagedKeyPair.map {
            try pair($0, suffix: ".staged", in: record)
        }
        credential.tokens = try description.tokens.enumerated().map { try token($1, at: $0, in: record, name: name) }
        credential.refusedSince = description.refusedSince.map(date)
        credential.login = try description.login.map { try login($0, in: record, name: name) }
        return credential
    }

    private static func pair(_ pair: Pair, suffix: String, in record: Record) throws -> KeyPair {
        let client = ClientIdentity(
            id: pair.clientID, secret: try record.secret("client_secret" + suffix), username: pair.username,
            password: try record.secret("password" + suffix))
        return KeyPair(client: client, since: date(pair.since))
    }

    private static func login(_ state: LoginState, in record: Record, name: String) throws -> Login {
        guard let token = try record.secret("refresh_token") else { throw AgentError.newerRecord(name: name) }
        var login = Login(
            refreshToken: token, since: date(state.since), renewed: date(state.renewed), rotates: state.rotates,
            owner: state.owner)
        login.spending = state.spending.map(date)
        login.ended = state.ended.map(date)
        return login
    }

    private static func token(_ token: Token, at index: Int, in record: Record, name: String) throws -> CachedToken {
        guard let secret = try record.secret("token.\(index)") else { throw AgentError.newerRecord(name: name) }
        return CachedToken(
            access: RequestedAccess(scopes: token.requestedScopes, audiences: token.requestedAudiences ?? []), token: secret,
            type: token.type,
            scopes: token.scopes, sent: date(token.sent), expires: token.expires.map(date),
            extras: try record.secret("token.\(index).extras"))
    }

    private static func date(_ milliseconds: Int64) -> Date {
        Date(timeIntervalSince1970: Double(milliseconds) / 1000)
    }
}
