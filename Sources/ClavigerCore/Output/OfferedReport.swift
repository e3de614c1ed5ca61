import Credentials
import FoundationEssentials
import OAuth

/// What a rule gives to see of a credential, as text and in the form of `--json`.
struct OfferedReport: Encodable {
    let offered: OfferedCredential
    let now: Date

    private enum CodingKeys: String, CodingKey {
        case name, state, since, reason, keeper, scopes, token, presentation
        case apiURL = "api_url"
        case ownCA = "own_ca"
    }

    private struct TokenMember: Encodable {
        var expires: String?
        var valid: Bool
    }

    var tokenWords: String { Report.life(offered.token.map(\.expires), now: now) }

    var text: String {
        var rows = [("name", offered.name), ("state", offered.state.rawValue)]
        if let since = offered.since { rows.append(("since", Report.age(since, now: now))) }
        if let reason = offered.reason { rows.append(("blocked for", reason)) }
        rows.append(("kept by", offered.keeper))
        if !offered.scopes.isEmpty { rows.append(("scopes", offered.scopes.joined(separator: " "))) }
        if let api = offered.apiURL { rows.append(("api url", api.description)) }
        if offered.certificateAuthority != nil { rows.append(("own certificates", "yes")) }
        if let presentation = offered.presentation { rows.append(("presented as", presentation.rawValue)) }
        rows.append(("token", tokenWords))
        return Report.table(rows.map { [$0.0, Terminal.plain($0.1)] })
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(offered.name, forKey: .name)
        try container.encode(offered.state, forKey: .state)
        try container.encodeIfPresent(offered.since.map(Report.time), forKey: .since)
        try container.encodeIfPresent(offered.reason, forKey: .reason)
        try container.encode(offered.keeper, forKey: .keeper)
        try container.encode(offered.scopes, forKey: .scopes)
        try container.encodeIfPresent(offered.apiURL, forKey: .apiURL)
        try container.encode(offered.certificateAuthority != nil, forKey: .ownCA)
        try container.encodeIfPresent(offered.presentation, forKey: .presentation)
        let token = offered.token.map { token in
            TokenMember(expires: token.expires.map(Report.time), valid: token.expires.map { $0 > now } ?? true)
        }
        try container.encodeIfPresent(token, forKey: .token)
    }
}
