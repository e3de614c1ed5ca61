public import Access
import FoundationEssentials
public import Vault

/// The policy in a vault.
public struct RuleStore: Sendable {
    private let vault: UnlockedVault
    private let log: AuditLog

    /// - Parameter log: the vault's, whose head is sealed with every commit.
    public init(vault: UnlockedVault, log: AuditLog) {
        self.vault = vault
        self.log = log
    }

    /// - Throws: `CredentialError.newerPolicy` if it holds what this version does not know, or what the vault throws.
    public func read() throws -> Policy {
        var policy = try Policy(vault.record(only: .policy))
        // For which of the two it was made can't be told.
        policy.rules.removeAll { vault.isSpelledTwice($0.credential) }
        return policy
    }

    /// Changes it in one commit, with the newest state of the vault in hand.
    /// - Parameter credential: must be there; nil to make sure of none.
    public func update<R>(credential: String? = nil, _ change: (inout Policy) throws -> R) throws -> R {
        try vault.update(sealing: log) { transaction in
            if let credential { _ = try transaction.record(credential) }
            var policy = try transaction.policy()
            let result = try change(&policy)
            try transaction.replace(policy)
            return result
        }
    }
}

// MARK: - With other changes

extension VaultTransaction {
    /// What was allowed of the old name is allowed of the new one, and of nothing that takes the old name later.
    /// - Throws: `CredentialError.newerPolicy` if the policy holds what this version does not know.
    mutating func renameRules(of name: String, to newName: String) throws {
        try changeRules(of: [name, newName]) { rule in
            var renamed = rule
            renamed.credential = newName
            // A rule for the new name is left from a credential that is gone.
            return rule.credential == name ? renamed : nil
        }
    }

    /// A credential that gets this name later is another: nobody is allowed anything of it.
    /// - Throws: `CredentialError.newerPolicy` if the policy holds what this version does not know.
    mutating func removeRules(of name: String) throws {
        try changeRules(of: [name]) { _ in nil }
    }

    private mutating func changeRules(of names: Set<String>, _ change: (Rule) -> Rule?) throws {
        var policy = try policy()
        let affected = policy.rules.filter { names.contains($0.credential) }
        if affected.isEmpty { return }
        policy.rules.removeAll { names.contains($0.credential) }
        for rule in affected.compactMap(change) { policy.allow(rule) }
        try replace(policy)
    }

    fileprivate func policy() throws -> Policy { try Policy(record(only: .policy)) }

    fileprivate mutating func replace(_ policy: Policy) throws {
        replace(only: .policy, with: try Record(description: policy.encoded(), secrets: [:], of: .policy))
    }
}

extension Policy {
    fileprivate init(_ record: Record?) throws {
        guard let record else {
            self.init()
            return
        }
        let bytes = record.description
        guard let policy = try? JSONDecoder().decode(Policy.self, from: Data(bytes)), try policy.encoded() == bytes,
            record.secretNames.isEmpty
        else {
            guard CredentialRecord.isDescription(bytes) else {
                throw VaultError.damagedRecord(.policy, name: "-", reason: CredentialRecord.noDescription)
            }
            throw CredentialError.newerPolicy
        }
        self = policy
    }

    fileprivate func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(self))
    }
}
