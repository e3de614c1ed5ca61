import AgentProtocol
import Credentials
import FoundationEssentials
import OAuth

/// What became of one credential's tokens, in words and in the form of `--json`.
struct RevocationOutcome {
    let name: String
    let result: Result<RevocationReport, Problem>
    /// Where the provider lets people make the key pair anew, in words; nil where nobody knows.
    let keysPage: String?
    let isBlocked: Bool
    /// Whether it is known where the server revokes tokens.
    let hasAddress: Bool

    /// Revokes what there is.
    static func revoking(
        _ name: String, _ credential: ListedCredential?, _ agent: any CredentialManager, _ catalogue: Catalogue?
    ) async -> RevocationOutcome {
        let result: Result<RevocationReport, Problem>
        do {
            result = .success(try await agent.revoke(name))
        } catch {
            result = .failure(Problem(describing: error, of: name))
        }
        let provider = credential?.view?.provider.flatMap { catalogue?[$0] }
        return RevocationOutcome(
            name: name, result: result, keysPage: provider?.keysPage, isBlocked: credential?.isBlocked ?? false,
            hasAddress: credential?.view?.settings.revocationURL != nil)
    }

    /// Whether something can still be used by whoever has a copy.
    var livesOn: Bool {
        switch result {
        case .success(let report): report.livesOn
        case .failure: true
        }
    }

    /// In one word or two.
    var verdict: String {
        switch result {
        case .success(let report) where report.livesOn: "NOT REVOKED"
        case .success(let report): report == RevocationReport() ? "nothing" : "done"
        case .failure: "FAILED"
        }
    }

    /// What was done and what lives on.
    var words: String {
        switch result {
        case .success(let report):
            (report.failure.map { Problem(describing: $0, of: name).title + "; " } ?? "") + Self.words(report)
        case .failure(let problem): problem.title
        }
    }

    /// One line of many, with the page on which the key pair is made anew, where something lives on.
    var row: [String] {
        let page = livesOn ? keysPage.map { "; its key pair is made anew in \(Terminal.plain($0))" } ?? "" : ""
        return [Terminal.plain(name), verdict, words + page]
    }

    /// Why the command ends with a failure, for one credential alone.
    var problem: Problem? {
        switch result {
        case .failure(let problem): return problem
        case .success(let report):
            if let failure = report.failure { return Problem(describing: failure, of: name) }
            guard report.livesOn else { return nil }
            let page =
                keysPage.map { "make its key pair anew in \(Terminal.plain($0)), then " } ?? "make its key pair anew, then "
            let block = isBlocked ? "" : "; until then, claviger block \(Hint.shellWord(name)) hands out no new tokens"
            return Problem(
                "\(Problem.quoted(name)) is NOT REVOKED: "
                    + (hasAddress ? "the server has no way to" : "no address to revoke it is set (--revocation-url)"),
                hint: .text("\(page)claviger rotate \(Hint.shellWord(name))\(block)"), .checkFailed)
        }
    }

    private static func words(_ report: RevocationReport) -> String {
        if report == RevocationReport() { return "there was no valid token to revoke" }
        var parts: [String] = []
        if report.endedLogin { parts.append("ended the login at the server") }
        if report.forgotLogin { parts.append("forgot the login, which only the provider's own pages can end") }
        if report.keptLogin { parts.append("the server did not end the login, which is kept for another try") }
        func tell(_ count: KeyPath<RevocationReport.Counts, Int>, _ words: (String) -> String) {
            let (tokens, replaced) = (report.tokens[keyPath: count], report.replaced[keyPath: count])
            if tokens > 0 { parts.append(words("\(tokens) token\(tokens == 1 ? "" : "s")")) }
            if replaced > 0 { parts.append(words("\(replaced) that had been replaced before")) }
        }
        tell(\.revoked) { "revoked \($0) at the server" }
        tell(\.kept) { "the server did not revoke \($0), kept for another try" }
        tell(\.forgotten) { "forgot \($0), which could not be revoked" }
        if !report.livingTokens.isEmpty { parts.append("whoever has a copy can use \(ends(report.livingTokens))") }
        return parts.joined(separator: "; ")
    }

    /// `it until 2026-11-21T10:00:00Z`, or each of several with its end.
    private static func ends(_ tokens: [Date?]) -> String {
        guard tokens.count > 1 else { return "it \(end(tokens[0]))" }
        let sorted = tokens.sorted { ($0 ?? .distantFuture) < ($1 ?? .distantFuture) }
        return "one " + sorted.map(end).joined(separator: ", one ")
    }

    private static func end(_ date: Date?) -> String {
        date.map { "until \(Report.time($0))" } ?? "for as long as the server likes"
    }
}

// MARK: - In JSON

extension RevocationOutcome: Encodable {
    private struct Counts: Encodable {
        var revoked: Int
        var forgotten: Int
        var kept: Int

        /// Nil where there were none.
        init?(_ counts: RevocationReport.Counts) {
            guard counts != RevocationReport.Counts() else { return nil }
            (revoked, forgotten, kept) = (counts.revoked, counts.forgotten, counts.kept)
        }
    }

    private enum CodingKeys: String, CodingKey {
        case name, revoked, forgotten, kept, replaced, error
        case livesOn = "lives_on"
        case livingTokens = "living_tokens"
        case keptLogin = "kept_login"
        case endedLogin = "ended_login"
        case forgotLogin = "forgot_login"
        case validUntil = "valid_until"
        case keysPage = "keys_page"
    }

    private struct LivingToken: Encodable {
        var expires: String?
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(livesOn, forKey: .livesOn)
        if livesOn { try container.encodeIfPresent(keysPage, forKey: .keysPage) }
        var report = RevocationReport()
        switch result {
        case .success(let done): report = done
        case .failure(let problem): try container.encode(problem.title, forKey: .error)
        }
        try container.encode(report.tokens.revoked, forKey: .revoked)
        try container.encode(report.tokens.forgotten, forKey: .forgotten)
        try container.encode(report.tokens.kept, forKey: .kept)
        try container.encodeIfPresent(Counts(report.replaced), forKey: .replaced)
        try container.encode(report.endedLogin, forKey: .endedLogin)
        try container.encode(report.forgotLogin, forKey: .forgotLogin)
        try container.encode(report.keptLogin, forKey: .keptLogin)
        try container.encode(report.livingTokens.map { LivingToken(expires: $0.map(Report.time)) }, forKey: .livingTokens)
        try container.encodeIfPresent(report.validUntil.map(Report.time), forKey: .validUntil)
        if let failure = report.failure { try container.encode(Problem(describing: failure, of: name).title, forKey: .error) }
    }
}
