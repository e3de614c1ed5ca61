import OAuth
public import TokenEngine

/// Decides what one caller may do. Every decision of the agent's about a caller is made here: caller, query and rules in,
/// decision out.
public struct Authorizer: Sendable {
    private let caller: Caller
    /// Nil for an owner, whom no rule limits.
    private let policy: Policy?

    /// - Parameter policy: is read only if the decision depends on it.
    public init(_ caller: Caller, under policy: @autoclosure () throws -> Policy) rethrows {
        self.caller = caller
        self.policy = caller.isOwner ? nil : try policy()
    }

    /// For a caller as the rules alone see it, whoever that is.
    public init(rulesOnly caller: Caller, under policy: Policy) {
        self.caller = caller
        self.policy = policy
    }

    /// Whether the caller may lock, unlock and stop the agent, and see what is wrong with it.
    public static func mayManage(_ caller: Caller) -> Bool { caller.isOwner }

    /// Whether the caller may see that there is such a credential, and how it stands.
    public func mayShow(_ credential: String) -> Bool {
        guard let policy else { return true }
        return policy.rules(for: credential, caller).contains { _ in true }
    }

    /// The scopes that the caller may request of a credential, by all rules for it; nil where the credential's own are the only ones.
    public func scopes(of credential: String) -> [String]? {
        guard let policy else { return nil }
        let allowed = policy.rules(for: credential, caller).compactMap(\.scopes)
        return allowed.isEmpty ? nil : Array(Set(allowed.joined())).sorted()
    }

    /// What the caller may have of a credential, by the rule that `rule(for:scopes:)` finds.
    public func decision(on query: TokenQuery, for credential: String) -> Decision {
        guard let policy else { return .allowed(Grant(scopes: query.access.scopes, maxTTL: nil)) }
        // Which audience a token is for, and whose login is spent or put at risk, is for the owner to say.
        guard query.access.audiences.isEmpty, !query.takesOver, !query.resends else { return .denied }
        guard let rule = rule(for: credential, scopes: query.access.scopes),
            let scopes = Self.scopes(query.access.scopes, under: rule)
        else { return .denied }
        // An ID token says who somebody is, to whoever believes its issuer.
        if query.field == .idToken, let limit = rule.scopes, !limit.contains("openid") { return .denied }
        return .allowed(Grant(scopes: scopes, maxTTL: rule.maxTTL, limit: rule.scopes))
    }

    /// The rule that decides about a query: of those that allow it the one that allows most, wherever it stands. Without scopes,
    /// a rule for the caller alone comes before those for groups, then one without scopes, then one with more of them; then the
    /// longest life decides.
    /// - Returns: nil where none allows it, and for an owner, who needs none.
    public func rule(for credential: String, scopes wanted: [String]) -> Rule? {
        guard let policy else { return nil }
        func rank(_ rule: Rule) -> [Int] {
            let life = rule.maxTTL ?? .max
            guard wanted.isEmpty else { return [life] }
            return [rule.subject.isUser ? 1 : 0, rule.scopes?.count ?? .max, life]
        }
        return policy.rules(for: credential, caller)
            .filter { Self.scopes(wanted, under: $0) != nil }
            .max { rank($0).lexicographicallyPrecedes(rank($1)) }
    }

    /// - Returns: the scopes to request, or nil if the rule doesn't allow these.
    private static func scopes(_ wanted: [String], under rule: Rule) -> [String]? {
        guard let allowed = rule.scopes else { return wanted.isEmpty ? [] : nil }
        if wanted.isEmpty { return allowed }
        return wanted.allSatisfy(allowed.contains) ? wanted : nil
    }
}

public enum Decision: Equatable, Sendable {
    case denied
    case allowed(Grant)
}

/// What a caller is allowed in answer to one query.
public struct Grant: Equatable, Sendable {
    /// The scopes to request; empty for those of the credential's settings.
    public let scopes: [String]
    /// The longest lifetime of a token in seconds; nil for no limit.
    public let maxTTL: Int?
    /// What a token may be good for at most; nil for whatever the credential's own request is granted.
    public let limit: [String]?

    public init(scopes: [String], maxTTL: Int?, limit: [String]? = nil) {
        (self.scopes, self.maxTTL, self.limit) = (scopes, maxTTL, limit)
    }

    /// Whether a token may leave, now that its lifetime is known.
    /// - Parameter lifetime: in seconds; nil for a token whose end nobody knows.
    public func covers(lifetime: Double?) -> Bool {
        guard let maxTTL else { return true }
        return (lifetime ?? .infinity) <= Double(maxTTL)
    }

    /// The scopes of a token that the caller must not have.
    /// - Parameter granted: as the server said; nil where it granted what was requested (RFC 6749 section 5.1).
    public func excess(of granted: [String]?) -> [String] {
        guard let limit, let granted else { return [] }
        return ScopeNames.excess(of: granted, over: limit)
    }
}
