import Agent
import AgentProtocol
import FoundationEssentials
import OAuth

/// Credentials as text and as JSON. Nothing here has a secret to show.
enum Report {
    /// A credential in the form of `--json`.
    struct Credential: Encodable {
        struct Token: Encodable {
            var requestedScopes: [String]
            var requestedAudiences: [String]
            var tokenType: String
            var scopes: [String]?
            var obtained: String
            var expires: String?
            var valid: Bool

            enum CodingKeys: String, CodingKey {
                case scopes, obtained, expires, valid
                case requestedScopes = "requested_scopes"
                case requestedAudiences = "requested_audiences"
                case tokenType = "token_type"
            }
        }

        struct Exchanged: Encodable {
            var credential: String?
            var file: String?
            var type: String

            init(_ token: ExchangedToken) {
                switch token.source {
                case .credential(let name): credential = name
                case .file(let path): file = path
                }
                type = token.type
            }
        }

        var name: String
        var provider: String?
        var state: String
        var clientID: String
        var grant: String
        var clientAuth: String
        var tokenURL: String
        var revocationURL: String?
        var introspectionURL: String?
        var apiURL: String?
        var scopes: [String]
        var audiences: [String]
        var resources: [String]
        var paramsIn: String
        var params: [String: String]
        var headers: [String: String]
        var ownCA: Bool
        var keyPairSince: String
        var previousKeyPairSince: String?
        var stagedKeyPairSince: String?
        var refusedSince: String?
        var username: String?
        var loggedInSince: String?
        var loginEnded: String?
        var refreshUnanswered: String?
        var authorizationURL: String?
        var deviceURL: String?
        var redirectURI: String?
        var issuer: String?
        var keyID: String?
        var subject: Exchanged?
        var actor: Exchanged?
        var tokens: [Token]

        enum CodingKeys: String, CodingKey {
            case name, provider, state, grant, scopes, audiences, resources, params, headers, tokens
            case clientID = "client_id"
            case clientAuth = "client_auth"
            case tokenURL = "token_url"
            case revocationURL = "revocation_url"
            case introspectionURL = "introspection_url"
            case apiURL = "api_url"
            case paramsIn = "params_in"
            case ownCA = "own_ca"
            case keyPairSince = "key_pair_since"
            case previousKeyPairSince = "previous_key_pair_since"
            case stagedKeyPairSince = "staged_key_pair_since"
            case refusedSince = "refused_since"
            case username
            case loggedInSince = "logged_in_since"
            case loginEnded = "login_ended"
            case refreshUnanswered = "refresh_unanswered"
            case authorizationURL = "authorization_url"
            case deviceURL = "device_url"
            case redirectURI = "redirect_uri"
            case issuer, subject, actor
            case keyID = "key_id"
        }

        init(_ summary: CredentialSummary, now: Date) {
            let settings = summary.settings
            name = summary.name
            provider = summary.provider
            state = Report.state(summary).rawValue
            clientID = summary.clientID
            grant = settings.grant.option
            clientAuth = settings.clientAuthentication.option
            tokenURL = settings.tokenURL.description
            revocationURL = settings.revocationURL?.description
            introspectionURL = settings.introspectionURL?.description
            apiURL = settings.apiURL?.description
            scopes = settings.scopes
            audiences = settings.audiences
            resources = settings.resources
            paramsIn = settings.placement.rawValue
            params = Dictionary(settings.parameters.map { ($0.name, $0.value) }) { $1 }
            headers = Dictionary(settings.headers.map { ($0.name, $0.value) }) { $1 }
            ownCA = settings.certificateAuthority != nil
            keyPairSince = Report.time(summary.keyPairSince)
            previousKeyPairSince = summary.previousKeyPairSince.map(Report.time)
            stagedKeyPairSince = summary.stagedKeyPairSince.map(Report.time)
            refusedSince = summary.refusedSince.map(Report.time)
            username = summary.username
            loggedInSince = summary.loggedInSince.map(Report.time)
            loginEnded = summary.loginEnded.map(Report.time)
            refreshUnanswered = summary.refreshUnanswered.map(Report.time)
            authorizationURL = settings.authorizationURL?.description
            deviceURL = settings.deviceAuthorizationURL?.description
            redirectURI = settings.redirectURI
            issuer = settings.issuer
            keyID = settings.keyID
            subject = settings.subject.map(Exchanged.init)
            actor = settings.actor.map(Exchanged.init)
            tokens = summary.tokens.map {
                Token(
                    requestedScopes: $0.requestedScopes, requestedAudiences: $0.requestedAudiences, tokenType: $0.type,
                    scopes: $0.scopes,
                    obtained: Report.time($0.obtained), expires: $0.expires.map(Report.time),
                    valid: $0.expires.map { $0 > now } ?? true)
            }
        }
    }

    enum State: String {
        case ready
        case keyPairRefused = "key pair refused"
        case rotationUnfinished = "rotation unfinished"
        case loginNeeded = "login needed"
    }

    static func state(_ summary: CredentialSummary) -> State {
        if summary.refusedSince != nil { return .keyPairRefused }
        if summary.settings.grant.needsLogin, summary.loggedInSince == nil || summary.loginEnded != nil { return .loginNeeded }
        return summary.stagedKeyPairSince == nil ? .ready : .rotationUnfinished
    }

    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// RFC 3339, in UTC, whole seconds.
    static func time(_ date: Date) -> String {
        UTCTime.text(date.wholeSeconds)
    }

    /// `3d 4h`, `59m 30s`: the two largest units.
    static func duration(_ seconds: Double) -> String {
        var left = max(0, Int(seconds))
        var parts: [String] = []
        for (unit, size) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
            let count = left / size
            left -= count * size
            if count > 0 || !parts.isEmpty { parts.append("\(count)\(unit)") }
            if parts.count == 2 { break }
        }
        return parts.isEmpty ? "0s" : parts.joined(separator: " ")
    }

    static func tokenState(_ summary: CredentialSummary, now: Date) -> String {
        guard let token = summary.tokens.first(where: { $0.requestedScopes.isEmpty && $0.requestedAudiences.isEmpty }) else {
            return "none yet"
        }
        guard let expires = token.expires else { return "valid until refused" }
        return expires > now ? "\(duration(expires.timeIntervalSince(now))) left" : "expired"
    }

    /// Columns, each as wide as its widest cell.
    static func table(_ rows: [[String]]) -> String {
        let columns = rows.first?.count ?? 0
        let widths = (0..<columns).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: max(0, $1 - $0.count)) }
            return String(cells.joined(separator: "  ").reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }

    private static func exchanged(_ token: ExchangedToken) -> String {
        let type = token.type.replacing(ExchangedToken.registeredType(""), with: "")
        return switch token.source {
        case .credential(let name): "the token of \(name) (\(type))"
        case .file(let path): "the token in \(path) (\(type))"
        }
    }

    static func text(_ summary: CredentialSummary, now: Date) -> String {
        let settings = summary.settings
        func age(_ date: Date) -> String { "\(time(date)) (\(duration(now.timeIntervalSince(date))) ago)" }
        var rows: [(String, String)] = [
            ("name", summary.name), ("provider", summary.provider ?? "none"), ("state", state(summary).rawValue),
            ("grant", settings.grant.option), ("client id", summary.clientID),
            ("client secret", settings.needsSecret ? "stored, never shown" : "none"),
            ("client auth", settings.clientAuthentication.option), ("token url", settings.tokenURL.description),
        ]
        if let url = settings.authorizationURL { rows.append(("authorization url", url.description)) }
        if let url = settings.deviceAuthorizationURL { rows.append(("device url", url.description)) }
        if let id = settings.keyID { rows.append(("key id", id)) }
        if let uri = settings.redirectURI { rows.append(("redirect uri", uri)) }
        if let subject = settings.subject { rows.append(("exchanges", exchanged(subject))) }
        if let actor = settings.actor { rows.append(("acting for it", exchanged(actor))) }
        if let user = summary.username { rows.append(("user name", user)) }
        if let url = settings.revocationURL { rows.append(("revocation url", url.description)) }
        if let url = settings.introspectionURL { rows.append(("introspection url", url.description)) }
        if let url = settings.apiURL { rows.append(("api url", url.description)) }
        for (label, values) in [
            ("scopes", settings.scopes), ("audiences", settings.audiences), ("resources", settings.resources),
            ("parameters", settings.parameters.map { "\($0.name)=\($0.value)" }),
            ("headers", settings.headers.map { "\($0.name): \($0.value)" }),
        ] where !values.isEmpty {
            rows.append((label, values.joined(separator: label == "scopes" ? " " : ", ")))
        }
        if settings.placement != .body { rows.append(("parameters in", settings.placement.rawValue)) }
        if settings.certificateAuthority != nil { rows.append(("trusts", "its own certificate authority only")) }
        rows.append(("key pair since", age(summary.keyPairSince)))
        if let date = summary.previousKeyPairSince { rows.append(("previous key pair", "kept, from \(time(date))")) }
        if let date = summary.stagedKeyPairSince { rows.append(("staged key pair", "not proven, from \(time(date))")) }
        if let date = summary.refusedSince { rows.append(("refused since", age(date))) }
        if let date = summary.loggedInSince {
            let kind = summary.refreshTokenRotates == true ? "; its refresh token rotates" : ""
            rows.append(("logged in since", age(date) + kind))
        }
        if let date = summary.loginEnded { rows.append(("login ended", age(date))) }
        if let date = summary.refreshUnanswered { rows.append(("unanswered refresh", age(date))) }
        rows.append(("token", tokenState(summary, now: now)))
        return table(rows.map { [$0.0, Terminal.plain($0.1)] })
    }
}
