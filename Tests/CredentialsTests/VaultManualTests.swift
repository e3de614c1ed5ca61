import Access
import Foundation
import OAuth
import Sodium
import TestSupport
import Testing
import TokenEngine

@testable import Credentials
@testable import Vault

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
        (settings.secretParameters, settings.secretHeaders) = (["s"], ["X-S"])
        settings.authorizationParameters = [Parameter("q", "1")]
        settings.certificateAuthority = "made up"
        settings.tokenLifetime = 60
        (settings.loginIdle, settings.loginLifetime) = (60, 120)
        settings.redirectURI = "http://127.0.0.1/x"
        settings.omitsGrantType = true
        (settings.issuer, settings.keyID) = ("https://made-up.example", "k")
        settings.assertion = assertion()
        settings.dpop = true
        settings.pushedAuthorizationURL = url
        settings.scopeSeparator = ","
        (settings.noRefreshToken, settings.refreshTokenRotates, settings.olderTokensLive) = (true, true, false)
        settings.refreshTokenGrace = .untilSuccessorIsUsed
        settings.resend = .never
        settings.method = .get
        (settings.pkce, settings.nonce) = (false, false)
        settings.parameterNames = ["client_id": "app"]
        (settings.refresh, settings.answer) = (try refresh(url), try answer())
        settings.presentation = TokenPresentation(rawValue: "X-Token: {token}")
        settings.subject = ExchangedToken(source: .credential(name: "s"), type: "t")
        settings.actor = ExchangedToken(source: .file(path: "/f"), type: "t")
        return settings
    }

    private static func assertion() -> AssertionSettings {
        var assertion = AssertionSettings()
        (assertion.audience, assertion.subject, assertion.issuer, assertion.type) = ("a", "s", "i", "t")
        (assertion.lifetime, assertion.algorithm, assertion.claims) = (60, .ps256, ["scope": .bool(true)])
        return assertion
    }

    private static func refresh(_ url: EndpointURL) throws -> RefreshFormat {
        var refresh = RefreshFormat()
        (refresh.url, refresh.method, refresh.placement, refresh.scopes) = (url, .post, .json, true)
        refresh.clientAuthentication = .post
        refresh.parameters = [Parameter("p", "2")]
        refresh.parameterNames = ["client_id": "app"]
        return refresh
    }

    private static func answer() throws -> AnswerFormat {
        let pointers = ["access_token", "refresh_token", "token_type", "scope", "id_token", "expires_in", "expires_at", "error"]
        return try AnswerFormat(
            members: pointers.map { Parameter($0, "/x") } + [
                Parameter("success", "/code=0"), Parameter("login_ended", "a"), Parameter("client_refused", "b"),
                Parameter("try_again", "c"),
            ])
    }

    private static func token(_ text: String) throws -> CachedToken {
        var token = CachedToken(
            access: RequestedAccess(scopes: ["read"], audiences: ["a"]), token: try Secret(utf8: text), type: "Bearer",
            scopes: ["read"], sent: date, expires: date.addingTimeInterval(60), extras: try Secret(utf8: "{}"))
        token.rejected = date
        // It is in no record.
        token.proof = try Secret(utf8: "made-up-9")
        return token
    }

    private static func credential(_ refusal: TokenState.Refusal.Cause, _ rotation: Login.Rotation) throws -> Credential {
        let client = ClientCredentials(
            id: "made-up", secret: try Secret(utf8: "made-up-1"), username: "u", password: try Secret(utf8: "made-up-2"))
        let pair = KeyPair(client: client, since: date, expires: date)
        let fields = SecretFields(
            parameters: [SecretField("s", try Secret(utf8: "made-up-6"))],
            headers: [SecretField("X-S", try Secret(utf8: "made-up-7"))])
        var configuration = CredentialConfiguration(
            provider: "p", settings: try settings(), secretFields: fields, keyPair: pair)
        configuration.dpopKey = try Secret(utf8: "made-up-8")
        configuration.registration = ClientRegistration(
            url: try EndpointURL("https://made-up.example/x"), token: try Secret(utf8: "made-up-10"))
        (configuration.previousKeyPair, configuration.stagedKeyPair) = (pair, pair)
        configuration.block = CredentialBlock(since: date, reason: "made up")
        var login = Login(
            refreshToken: try Secret(utf8: "made-up-3"), since: date, renewed: date, rotation: rotation, owner: "made-up")
        login.sending = Login.Sending(began: date, last: date.addingTimeInterval(1), boot: "made-up", isResend: true)
        (login.ended, login.expires, login.refreshBy) = (date, date, date)
        var state = TokenState(login: login, tokens: [try token("made-up-4")])
        state.replaced = [try token("made-up-5")]
        state.refusal = TokenState.Refusal(cause: refusal, since: date, asked: date, times: 2)
        state.forcedRenewals = [date]
        return Credential(configuration, state)
    }

    /// What differs between the two is stored under members that exclude each other.
    static func credentials() throws -> [Credential] {
        [try credential(.client, .keeps), try credential(.refresh(status: 400), .rotates)]
    }

    /// The properties below a value that hold nothing, by their paths.
    private static func unset(_ value: Any, _ path: String = "") -> [String] {
        switch value {
        case is Secret, is Date, is EndpointURL, is String, is JSONPointer, is AnswerCondition, is RefusalWord: return []
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

    private static let page = String(decoding: bytes(ofFile: Program.root + "/man/claviger-vault.5"), as: UTF8.self)

    /// What is between two headings.
    private static func section(_ heading: String, to next: String) throws -> Substring {
        let start = try #require(page.range(of: heading + "\n"))
        return try page[start.upperBound..<#require(page.range(of: next + "\n")).lowerBound]
    }

    private static func tables(in section: Substring) -> [String] {
        section.components(separatedBy: ".Bd -literal").dropFirst().map { $0.components(separatedBy: "\n.Ed\n")[0] }
    }

    private static func words(in texts: [String]) -> Set<String> {
        let isWord = { (character: Character) in character.isLetter || character.isNumber || "_.".contains(character) }
        return Set(texts.flatMap { $0.split { !isWord($0) }.map(String.init) })
    }

    /// The words in the tables of a section. Those in sentences don't count: `since` and `type` are everywhere.
    private static func tabulated(
        _ heading: String = ".Ss Credentials", to next: String = ".Ss Policy"
    ) throws -> Set<String> {
        words(in: tables(in: try section(heading, to: next)))
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
            #expect(secrets.count == 15)
            #expect(secrets.subtracting(words) == [])
        }
    }

    @Test func `the manual has every word that a setting may be`() throws {
        let all =
            GrantType.allCases.map(\.rawValue) + ClientAuthentication.allCases.map(\.rawValue)
            + ParameterPlacement.allCases.map(\.rawValue) + RequestMethod.allCases.map(\.rawValue)
            + ResendPolicy.allCases.map(\.rawValue)
        #expect(Set(all).subtracting(try Self.tabulated()) == [])
        let grace = try JSONEncoder().encode([RefreshTokenGrace.untilSuccessorIsUsed])
        #expect(try Self.tabulated().contains(String(decoding: grace.dropFirst(2).dropLast(2), as: UTF8.self)))
    }

    @Test func `the manual lists the members of each object in the order in which they are stored`() throws {
        let tables = Self.tables(in: try Self.section(".Ss Credentials", to: ".Ss Policy"))
        let members = try #require(tables.first)
        for object in members.matches(of: /\{([^{}]+)\}/).map({ String($0.output.1) }) {
            let names = object.split { !($0.isLetter || $0 == "_") }.map(String.init)
            #expect(names == names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }, "\(names)")
        }
        let lines = members.split(separator: "\n").dropFirst().prefix { !$0.hasPrefix("token:") }
        let outermost = lines.filter { !$0.hasPrefix(" ") }.map { $0.prefix { $0 != " " } }
        #expect(outermost.count == 13 && outermost == outermost.sorted())
    }

    @Test func `the manual has every member of the policy`() throws {
        let all = Policy(rules: [
            Rule(credential: "a", subject: .user(id: 1, name: "n"), scopes: ["read"], maxTTL: 60),
            Rule(credential: "a", subject: .group(id: 1, name: "n")),
        ])
        #expect(Self.unset(all.rules[0]) == [])
        let members = Self.keys(try JSONSerialization.jsonObject(with: JSONEncoder().encode(all)))
        #expect(members.count == 9)
        #expect(members.subtracting(try Self.tabulated(".Ss Policy", to: ".Ss Head of the log's chain")) == [])
    }

    @Test func `the manual has every member of the log's head`() throws {
        let head = AuditLog.Head(sequence: 1, mac: String(repeating: "0", count: 64), lost: true)
        #expect(Self.unset(head) == [])
        let members = Self.keys(try JSONSerialization.jsonObject(with: JSONEncoder().encode(head)))
        #expect(members == ["lost", "mac", "sequence"])
        #expect(members.subtracting(try Self.tabulated(".Ss Head of the log's chain", to: ".Sh LOG")) == [])
    }

    @Test func `the manual has every member, event and break of the log`() throws {
        var event = AuditEvent(.broken, of: "a", by: Caller(uid: 1, gid: 1, pid: 1, exe: "/a"), at: Self.date)
        (event.token, event.reason, event.problem, event.previous) = ("t", "r", "q", "p")
        (event.first, event.breaks, event.from, event.to, event.bytes) = (1, 1, 1, 1, 1)
        #expect(Self.unset(event) == [])
        let section = try Self.section(".Sh LOG", to: ".Sh READING")
        let words = Self.words(in: [String(section.replacing(".Va", with: "").replacing(",", with: " "))])
        let members = Self.keys(try JSONSerialization.jsonObject(with: JSONEncoder().encode(event)))
        #expect(members.count == 16)
        #expect(members.union(["seq", "mac"]).subtracting(words) == [])
        #expect(Set(AuditEvent.Kind.allCases.map(\.rawValue)).subtracting(words) == [])
        let text = section.replacing("\n", with: " ")
        for kind in AuditEvent.Break.allCases { #expect(text.contains(kind.rawValue), "\(kind)") }
    }

    @Test func `the manual has every limit`() throws {
        let words = Self.words(in: [Self.page.replacing(".", with: " ")])
        let limits =
            [
                Limits.slots, Limits.header, Limits.root, Limits.records, Limits.record, Limits.nameBytes, Limits.labelBytes,
                Limits.secrets, Limits.recordBlock, Limits.rootBlock,
            ].map(String.init)
            + [Limits.openingCost, Limits.memory.lowerBound, Limits.memory.upperBound].map(String.init)
            + [Limits.passes.lowerBound, Limits.passes.upperBound].map(String.init)
        #expect(Set(limits).subtracting(words) == [])
    }
}
