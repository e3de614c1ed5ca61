/// The rules of one vault: who may have tokens of which credential, besides root and the agent's own user. What no rule
/// allows is denied. It is stored in the vault, sealed with the rest, and its members' names never change.
public struct Policy: Codable, Equatable, Sendable {
    public var rules: [Rule]

    public init(rules: [Rule] = []) {
        self.rules = rules
    }

    /// Puts a rule in the place of the one for the same credential and subject.
    public mutating func allow(_ rule: Rule) {
        deny(rule.credential, rule.subject)
        rules.append(rule)
        rules.sort { ($0.credential, $0.subject.order) < ($1.credential, $1.subject.order) }
    }

    /// Removes the rule for a credential and a subject.
    /// - Returns: whether there was one.
    @discardableResult
    public mutating func deny(_ credential: String, _ subject: Subject) -> Bool {
        let before = rules.count
        rules.removeAll { $0.credential == credential && $0.subject.order == subject.order }
        return rules.count < before
    }

    /// Removes all rules for a user or a group.
    /// - Parameters:
    ///   - credential: nil for every one.
    ///   - matches: says which subjects are meant.
    /// - Returns: the rules that were removed.
    public mutating func deny(_ credential: String?, _ matches: (Subject) -> Bool) -> [Rule] {
        func isMeant(_ rule: Rule) -> Bool { (credential == nil || rule.credential == credential) && matches(rule.subject) }
        let denied = rules.filter(isMeant)
        rules.removeAll(where: isMeant)
        return denied
    }

    /// Whether any rule is for a caller.
    public func names(_ caller: Caller) -> Bool { rules.contains { $0.subject.matches(caller) } }

    /// The rules that let a caller have tokens of a credential.
    func rules(for credential: String, _ caller: Caller) -> some Sequence<Rule> {
        rules.lazy.filter { $0.credential == credential && $0.subject.matches(caller) }
    }
}

/// One thing that is allowed.
public struct Rule: Codable, Equatable, Sendable {
    public var credential: String
    public var subject: Subject
    /// Scopes the caller may request. If it requests none, all of these are requested. Nil: it may request none, and has
    /// the token that the credential's own settings lead to.
    public var scopes: [String]?
    /// Tokens that live longer than so many seconds are not handed out; nil for no limit.
    public var maxTTL: Int?

    public init(credential: String, subject: Subject, scopes: [String]? = nil, maxTTL: Int? = nil) {
        self.credential = credential
        self.subject = subject
        self.scopes = scopes
        self.maxTTL = maxTTL
    }

    private enum CodingKeys: String, CodingKey {
        case credential, subject, scopes
        case maxTTL = "longestLife"
    }
}

/// Whom a rule is for.
public enum Subject: Codable, Hashable, Sendable {
    /// A user or a group of this machine, by number; the name is what it was called when the rule was made.
    case user(id: UInt32, name: String)
    case group(id: UInt32, name: String)

    public var isUser: Bool {
        if case .user = self { true } else { false }
    }

    public var number: UInt32 {
        switch self {
        case .user(let number, _), .group(let number, _): number
        }
    }

    /// What it was called when the rule was made; the number in digits where it was named by that.
    public var name: String {
        switch self {
        case .user(_, let name), .group(_, let name): name
        }
    }

    func matches(_ caller: Caller) -> Bool {
        switch self {
        case .user(let uid, _): caller.uid == uid
        case .group(let gid, _): caller.gid == gid || caller.groups.contains(gid)
        }
    }

    /// Two subjects are the same if the kernel can't tell them apart: the name does not count.
    fileprivate var order: String {
        switch self {
        case .user(let uid, _): "user \(uid)"
        case .group(let gid, _): "group \(gid)"
        }
    }
}
