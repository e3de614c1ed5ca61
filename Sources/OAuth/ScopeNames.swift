/// When scopes with different names are the same.
public enum ScopeNames {
    /// Google answers with the second where the first was requested
    /// (https://developers.google.com/identity/protocols/oauth2/scopes). No other server means anything else by these.
    private static let synonyms = [
        "email": "https://www.googleapis.com/auth/userinfo.email",
        "profile": "https://www.googleapis.com/auth/userinfo.profile",
    ]

    /// Whether a text may be one scope (RFC 6749 section 3.3).
    public static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }
    }

    private static func canonical(_ scope: String) -> String { synonyms[scope] ?? scope }

    /// The granted scopes that go beyond those that are allowed. Whoever may have a person's e-mail address or profile may have
    /// `openid`, which Google adds unasked, and which says less.
    public static func excess(of granted: [String], over allowed: [String]) -> [String] {
        var names = Set(allowed.map(canonical))
        if synonyms.values.contains(where: names.contains) { names.insert("openid") }
        return granted.filter { !names.contains(canonical($0)) }
    }
}
