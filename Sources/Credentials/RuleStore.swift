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

    /// - Throws: `CredentialError.newerRecord` if it holds what this version does not know, or what the vault throws.
    public func read() throws -> Policy {
        guard let record = try vault.record(only: .policy) else { return Policy() }
        let bytes = record.description
        guard let policy = try? JSONDecoder().decode(Policy.self, from: Data(bytes)), try Self.encode(policy) == bytes else {
            throw CredentialError.newerRecord(name: "policy")
        }
        return policy
    }

    /// Changes it in one commit, with the newest state of the vault in hand.
    /// - Parameter credential: must be there; nil to make sure of none.
    public func update<R>(credential: String? = nil, _ change: (inout Policy) throws -> R) throws -> R {
        try vault.update(sealing: log) { transaction in
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
