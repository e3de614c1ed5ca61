public import Access
import FoundationEssentials
public import Vault

/// The log that belongs to a vault: keyed with two of its keys, its head sealed in it.
extension AuditLog {
    /// - Parameters:
    ///   - path: of the log's newest file.
    ///   - rotationSize: the size in bytes from which a new file is begun.
    public convenience init(vault: UnlockedVault, path: String, rotationSize: UInt64 = 16 << 20) {
        self.init(
            path: path,
            keys: AuditKeys(
                chain: { vault.hash($0, for: .auditChain) }, fingerprint: { vault.hash($0, for: .tokenFingerprint) }),
            rotationSize: rotationSize)
    }

    /// Seals the head into the vault if this process has moved it since that was done last.
    public func seal(in vault: UnlockedVault) throws {
        guard let head = ownHead else { return }
        try vault.update { $0.seal(head) }
    }

    /// Checks every line against the chain, and the chain against the head that is sealed in the vault.
    /// - Returns: how many lines there are, and how many of them the vault vouches for.
    /// - Throws: `AuditChainError`, `AuditError`, or what the vault throws.
    public func verify(against vault: UnlockedVault) throws -> (lines: Int, sealed: UInt64) {
        let sealed = try vault.record(only: .auditHead).flatMap(AuditLog.Head.init)
        return try verify(sealed: sealed ?? .none)
    }
}

extension UnlockedVault {
    /// Changes the vault in one commit that also seals the head of its log. Every commit for a credential or a rule is made
    /// by this function, so that a log that lost its last lines is found out after the next change.
    /// - Parameters:
    ///   - log: the vault's.
    ///   - room: what was reserved for this commit.
    /// - Throws: what `body` throws, and what a commit throws; nothing has changed then.
    public func update<R>(
        sealing log: AuditLog, in room: ReservedRoom? = nil, _ body: (inout VaultTransaction) throws -> R
    ) throws -> R {
        try update(in: room) { transaction in
            let result = try body(&transaction)
            if !transaction.isEmpty { transaction.seal(log) }
            return result
        }
    }
}

extension VaultTransaction {
    /// Puts the head of the vault's log into this commit.
    public mutating func seal(_ log: AuditLog) {
        if let head = log.head() { seal(head) }
    }

    /// Another process may have sealed a later head, which stays. A head that can't be read or written fails no commit: it may
    /// hold the only copy of a refresh token.
    fileprivate mutating func seal(_ head: AuditLog.Head) {
        let stored = (try? record(only: .auditHead)).flatMap(AuditLog.Head.init)
        guard head.sequence > stored?.sequence ?? 0, let record = head.record else { return }
        replace(only: .auditHead, with: record)
    }
}

extension AuditLog.Head {
    fileprivate init?(_ record: Record) {
        guard let head = try? JSONDecoder().decode(AuditLog.Head.self, from: Data(record.description)) else { return nil }
        self = head
    }

    fileprivate var record: Record? {
        guard let bytes = try? JSONEncoder().encode(self) else { return nil }
        return try? Record(description: Array(bytes), secrets: [:])
    }
}
