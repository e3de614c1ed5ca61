import Credentials
import FoundationEssentials
import OAuth

/// A credential as it is shown, as text and in the form of `--json`. Nothing here has a secret to show.
struct CredentialReport {
    let summary: CredentialView
    let now: Date

    init(_ summary: CredentialView, now: Date) {
        self.summary = summary
        self.now = now
    }

    var state: CredentialState { summary.state(at: now).state }

    /// For a table in which nothing else says since when.
    var stateWords: String { Report.state(state, blockedSince: summary.blockedSince) }

    /// How long the token for the credential's own scopes lives.
    var tokenWords: String { Report.life(summary.ownToken.map(\.expires), now: now) }

    var keyPairAge: String { Report.duration(now.timeIntervalSince(summary.keyPairSince)) }

    // MARK: As text

    var text: String {
        var rows: [(String, String)] = [
            ("name", summary.name), ("provider", summary.provider ?? "none"), ("state", state.rawValue),
        ]
        if !summary.clientID.isEmpty { rows.append(("client id", summary.clientID)) }
        rows.append(("client secret", summary.settings.needsSecret ? "stored, never shown" : "none"))
        if let user = summary.username { rows.append(("user name", user)) }
        for field in SettingField.all {
            guard let value = field.read(summary.settings), value != field.usual else { continue }
            rows.append((field.label, value.words))
        }
        if let url = summary.registrationURL { rows.append(("registered at", "\(url)")) }
        rows += dates + [("token", tokenWords)]
        return Report.table(rows.map { [$0.0, Terminal.plain($0.1)] })
    }

    private var dates: [(String, String)] {
        func age(_ date: Date) -> String { Report.age(date, now: now) }
        var rows: [(String, String)] = []
        if let date = summary.blockedSince { rows.append(("blocked since", age(date))) }
        if let reason = summary.blockedReason { rows.append(("blocked for", reason)) }
        if let date = summary.rotatingSince { rows.append(("being rotated since", age(date))) }
        rows.append(("key pair since", age(summary.keyPairSince)))
        if let date = summary.keyPairExpires { rows.append(("key pair ends", end(date, summary.keyPairEnd(soonAt: now) != nil))) }
        if let date = summary.previousKeyPairSince { rows.append(("previous key pair", "kept, from \(Report.time(date))")) }
        if let date = summary.stagedKeyPairSince { rows.append(("staged key pair", "not proven, from \(Report.time(date))")) }
        if let date = summary.refusedSince { rows.append(("refused since", age(date))) }
        if let date = summary.loggedInSince {
            let kind = summary.refreshTokenRotates == true ? "; its refresh token rotates" : ""
            rows.append(("logged in since", age(date) + kind))
        }
        if let date = summary.loginExpires { rows.append(("login ends", end(date, summary.loginEnd(soonAt: now) != nil))) }
        if let date = summary.refreshBy {
            rows.append(("ends if not used", end(date, summary.idleEnd(soonAt: now) != nil)))
        }
        if let date = summary.loginEnded { rows.append(("login ended", age(date))) }
        if let date = summary.refreshRefusedSince { rows.append(("refresh refused since", age(date))) }
        for token in summary.tokens { if let date = token.rejected { rows.append(("token rejected by its API", age(date))) } }
        if let date = summary.refreshUnanswered { rows.append(("unanswered refresh", age(date))) }
        return rows
    }
}

extension CredentialReport {
    private func end(_ date: Date, _ isSoon: Bool) -> String {
        "\(Report.time(date))\(isSoon ? "; that is soon" : "")"
    }
}

// MARK: - In JSON

extension CredentialReport: Encodable {
    private struct Member: CodingKey {
        let stringValue: String
        init(stringValue: String) { self.stringValue = stringValue }
        init(_ name: String) { stringValue = name }
        var intValue: Int? { nil }
        init?(intValue: Int) { nil }
    }

    private struct TokenMember: Encodable {
        var requestedScopes: [String]
        var requestedAudiences: [String]
        var tokenType: String
        var scopes: [String]?
        var obtained: String
        var expires: String?
        var valid: Bool
        var rejected: String?

        enum CodingKeys: String, CodingKey {
            case scopes, obtained, expires, valid, rejected
            case requestedScopes = "requested_scopes"
            case requestedAudiences = "requested_audiences"
            case tokenType = "token_type"
        }

        init(_ token: CredentialView.Token, now: Date) {
            (requestedScopes, requestedAudiences) = (token.requestedScopes, token.requestedAudiences)
            (tokenType, scopes) = (token.type, token.scopes)
            obtained = Report.time(token.obtained)
            expires = token.expires.map(Report.time)
            valid = token.expires.map { $0 > now } ?? true
            rejected = token.rejected.map(Report.time)
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Member.self)
        for (name, value) in [
            ("name", summary.name), ("provider", summary.provider), ("state", state.rawValue),
            ("client_id", summary.clientID.isEmpty ? nil : summary.clientID), ("username", summary.username),
            ("registration_url", summary.registrationURL?.description),
            ("blocked_reason", summary.blockedReason),
        ] {
            try container.encodeIfPresent(value, forKey: Member(name))
        }
        for (name, date) in [
            ("key_pair_since", summary.keyPairSince), ("key_pair_expires", summary.keyPairExpires),
            ("previous_key_pair_since", summary.previousKeyPairSince),
            ("staged_key_pair_since", summary.stagedKeyPairSince), ("refused_since", summary.refusedSince),
            ("logged_in_since", summary.loggedInSince), ("login_ended", summary.loginEnded),
            ("login_expires", summary.loginExpires), ("refresh_by", summary.refreshBy),
            ("refresh_unanswered", summary.refreshUnanswered), ("refresh_refused_since", summary.refreshRefusedSince),
            ("blocked_since", summary.blockedSince), ("rotating_since", summary.rotatingSince),
        ] {
            try container.encodeIfPresent(date.map(Report.time), forKey: Member(name))
        }
        for field in SettingField.all {
            try container.encodeIfPresent(field.read(summary.settings), forKey: Member(field.member))
        }
        try container.encode(summary.tokens.map { TokenMember($0, now: now) }, forKey: Member("tokens"))
    }
}
