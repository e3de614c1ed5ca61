import Access
import FoundationEssentials
import OAuth
import Sodium
import TokenEngine
public import Vault

/// Who may have tokens of which credential, besides root and the agent's own user. It is kept inside the vault, sealed
/// with the rest; what no rule allows is denied.
public struct Policy: Codable, Equatable, Sendable {
    public struct Rule: Codable, Equatable, Sendable {
        public enum Subject: Codable, Equatable, Sendable {
            /// A user or a group, by number; the name is what it was called when the rule was made.
            case user(id: UInt32, name: String)
            case group(id: UInt32, name: String)
        }

        public var credential: String
        public var subject: Subject
        /// The scopes that may be asked for, and are where none are; nil for the credential's own and no others.
        public var scopes: [String]?
        /// Tokens that live longer are not handed out, in seconds; nil for no limit.
        public var longestLife: Int?

        public init(credential: String, subject: Subject, scopes: [String]? = nil, longestLife: Int? = nil) {
            self.credential = credential
            self.subject = subject
            self.scopes = scopes
            self.longestLife = longestLife
        }
    }

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

    /// - Returns: whether there was such a rule.
    @discardableResult
    public mutating func deny(_ credential: String, _ subject: Rule.Subject) -> Bool {
        let before = rules.count
        rules.removeAll { $0.credential == credential && $0.subject.isSame(as: subject) }
        return rules.count < before
    }

    /// The rules that let a caller have tokens of a credential.
    func rules(for credential: String, _ caller: Caller) -> [Rule] {
        rules.filter { $0.credential == credential && $0.subject.matches(caller) }
    }

    /// What a caller may ask in the place of `ask`, or nil.
    func permitted(_ ask: TokenAsk, of credential: String, to caller: Caller) -> (ask: TokenAsk, longestLife: Int?)? {
        // Which audience a token is for, and whose login it spends, is not for those who have no key.
        guard ask.access.audiences.isEmpty, !ask.takesOver else { return nil }
        for rule in rules(for: credential, caller) {
            var permitted = ask
            switch rule.scopes {
            case nil where !ask.access.scopes.isEmpty: continue
            case nil: break
            case let allowed? where ask.access.scopes.isEmpty: permitted.access.scopes = allowed
            case let allowed?: guard ask.access.scopes.allSatisfy(allowed.contains) else { continue }
            }
            return (permitted, rule.longestLife)
        }
        return nil
    }
}

extension Policy.Rule.Subject {
    func isSame(as other: Self) -> Bool { order == other.order }

    func matches(_ caller: Caller) -> Bool {
        switch self {
        case .user(let uid, _): caller.uid == uid
        case .group(let gid, _): caller.gid == gid || caller.groups.contains(gid)
        }
    }

    fileprivate var order: String {
        switch self {
        case .user(let uid, _): "user \(uid)"
        case .group(let gid, _): "group \(gid)"
        }
    }
}

/// The policy in a vault.
public struct VaultPolicy: Sendable {
    private let vault: UnlockedVault

    public init(vault: UnlockedVault) {
        self.vault = vault
    }

    /// - Throws: `AgentError.newerRecord`, or what the vault throws.
    public func read() throws -> Policy {
        guard let record = try vault.record(only: .policy) else { return Policy() }
        let bytes = record.description
        guard let policy = try? JSONDecoder().decode(Policy.self, from: Data(bytes)), try Self.encode(policy) == bytes else {
            throw AgentError.newerRecord(name: "policy")
        }
        return policy
    }

    /// Changes it in one commit, with the newest state of the vault in hand.
    /// - Parameter credential: must be there; nil to make sure of none.
    public func update<R>(credential: String? = nil, _ change: (inout Policy) throws -> R) throws -> R {
        try vault.update { transaction in
            // The commit lock is held: nobody changes it between.
            var policy = try read()
            if let credential { _ = try transaction.record(credential) }
            let result = try change(&policy)
            transaction.replace(only: .policy, with: try Record(description: Self.encode(policy), secrets: [:]))
            return result
        }
    }

    private static func encode(_ policy: Policy) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(policy))
    }
}
