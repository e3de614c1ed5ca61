import Credentials
import Foundation
import OAuth
import Sodium
import TestSupport
import Testing
import TokenEngine
import Vault

@testable import Agent

/// claviger-vault(5) is all that a reader of the format has: what a credential's record may hold must be on it.
@Suite struct VaultManualTests {
    // MARK: Records in which everything is set

    private static let date = Date(timeIntervalSince1970: 1_000_000)

    private static func settings() throws -> ClientSettings {
        let url = try EndpointURL("https://made-up.example/x")
        var settings = ClientSettings(tokenURL: url)
        (settings.revocationURL, settings.introspectionURL, settings.apiURL) = (url, url, url)
        (settings.authorizationURL, settings.deviceAuthorizationURL) = (url, url)
        (settings.scopes, settings.audiences, settings.resources) = (["read"], ["a"], ["r"])
        settings.parameters = [Parameter("p", "1")]
        settings.headers = [Parameter("X-H", "1")]
        settings.authorizationParameters = [Parameter("q", "1")]
        settings.certificateAuthority = "made up"
        settings.tokenLifetime = 60
        settings.redirectURI = "http://127.0.0.1/x"
        settings.omitsGrantType = true
        (settings.issuer, settings.keyID) = ("https://made-up.example", "k")
        settings.scopeSeparator = ","
        (settings.noRefreshToken, settings.refreshTokenRotates, settings.olderTokensLive) = (true, true, false)
        settings.refreshTokenGrace = .untilSuccessorIsUsed
        settings.resend = .never
        settings.subject = ExchangedToken(source: .credential(name: "s"), type: "t")
        settings.actor = ExchangedToken(source: .file(path: "/f"), type: "t")
        return settings
    }

    private static func token(_ text: String) throws -> CachedToken {
        var token = CachedToken(
            access: RequestedAccess(scopes: ["read"], audiences: ["a"]), token: try Secret(utf8: text), type: "Bearer",
            scopes: ["read"], sent: date, expires: date.addingTimeInterval(60), extras: try Secret(utf8: "{}"))
        token.rejected = date
        return token
    }

    private static func credential(_ refusal: TokenState.Refusal.Cause, _ rotation: Login.Rotation) throws -> Credential {
        let client = ClientCredentials(
            id: "made-up", secret: try Secret(utf8: "made-up-1"), username: "u", password: try Secret(utf8: "made-up-2"))
        let pair = KeyPair(client: client, since: date)
        var configuration = CredentialConfiguration(provider: "p", settings: try settings(), keyPair: pair)
        (configuration.previousKeyPair, configuration.stagedKeyPair) = (pair, pair)
        var login = Login(
            refreshToken: try Secret(utf8: "made-up-3"), since: date, renewed: date, rotation: rotation, owner: "made-up")
        login.sending = Login.Sending(began: date, last: date.addingTimeInterval(1), boot: "made-up", isResend: true)
        login.ended = date
        var state = TokenState(login: login, tokens: [try token("made-up-4")])
        state.replaced = [try token("made-up-5")]
        state.refusal = TokenState.Refusal(cause: refusal, since: date, asked: date, times: 2)
        state.forcedRenewals = [date]
        return Credential(configuration, state)
    }

    /// What differs between the two is stored under members that exclude each other.
    private static func credentials() throws -> [Credential] {
        [try credential(.client, .keeps), try credential(.refresh(status: 400), .rotates)]
    }

    /// The properties below a value that hold nothing, by their paths.
    private static func unset(_ value: Any, _ path: String = "") -> [String] {
        switch value {
        case is Secret, is Date, is EndpointURL, is String: return []
        default: break
        }
        let mirror = Mirror(reflecting: value)
        switch mirror.displayStyle {
        case .optional, .collection: if mirror.children.isEmpty { return [path] }
        case .enum: return []
        default: break
        }
        return mirror.children.flatMap { unset($0.value, path + "." + ($0.label ?? "")) }
    }

    // MARK: Words

    private static func keys(_ value: Any) -> Set<String> {
        switch value {
        case let object as [String: Any]: object.reduce(into: Set(object.keys)) { $0.formUnion(keys($1.value)) }
        case let array as [Any]: array.reduce(into: []) { $0.formUnion(keys($1)) }
        default: []
        }
    }

    /// The words in the tables about credentials. Those in sentences don't count: `since` and `type` are everywhere.
    private static func tabulated() throws -> Set<String> {
        let page = String(decoding: bytes(ofFile: Program.root + "/man/claviger-vault.5"), as: UTF8.self)
        let start = try #require(page.range(of: ".Ss Credentials\n"))
        let section = page[start.upperBound...].prefix(upTo: try #require(page.range(of: ".Ss Policy\n")).lowerBound)
        let tables = section.components(separatedBy: ".Bd -literal").dropFirst().map {
            $0.components(separatedBy: "\n.Ed\n")[0]
        }
        let isWord = { (character: Character) in character.isLetter || character.isNumber || "_.".contains(character) }
        return Set(tables.flatMap { $0.split { !isWord($0) }.map(String.init) })
    }

    @Test func `the records of this test leave nothing out`() throws {
        for credential in try Self.credentials() { #expect(Self.unset(credential) == []) }
    }

    @Test func `the manual has every member and every secret of a credential`() throws {
        let words = try Self.tabulated()
        for credential in try Self.credentials() {
            let record = try CredentialRecord.record(credential)
            let members = Self.keys(try JSONSerialization.jsonObject(with: Data(record.description)))
            #expect(members.count > 40)
            #expect(members.subtracting(words) == [])
            let secrets = Set(record.secretNames.map { $0.replacing(/[0-9]+/, with: "N") })
            #expect(secrets.count == 11)
            #expect(secrets.subtracting(words) == [])
        }
    }

    @Test func `the manual has every word that a setting may be`() throws {
        let all =
            GrantType.allCases.map(\.rawValue) + ClientAuthentication.allCases.map(\.rawValue)
            + ParameterPlacement.allCases.map(\.rawValue) + ResendPolicy.allCases.map(\.rawValue)
        #expect(Set(all).subtracting(try Self.tabulated()) == [])
        let grace = try JSONEncoder().encode([RefreshTokenGrace.untilSuccessorIsUsed])
        #expect(try Self.tabulated().contains(String(decoding: grace.dropFirst(2).dropLast(2), as: UTF8.self)))
    }
}
