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
        // The head goes into the vault with every commit.
        vault.sealWithEveryCommit(.auditHead) { [weak self, weak vault] in
            guard let self, let vault, let head = head() else { return nil }
            // Another process may have got further.
            let sealed = (try? vault.auditHead())?.sequence ?? 0
            return head.sequence > sealed ? head.record : nil
        }
    }

    /// Seals the head into the vault if this process has moved it since that was done last.
    public func seal(in vault: UnlockedVault) throws {
        let sealed = try vault.auditHead()?.sequence ?? 0
        guard let head = ownHead, head.sequence > sealed, let record = head.record else { return }
        try vault.update { $0.replace(only: .auditHead, with: record) }
    }

    /// Checks every line against the chain, and the chain against the head that is sealed in the vault.
    /// - Returns: how many lines there are, and how many of them the vault vouches for.
    /// - Throws: `AuditChainError`, `AuditError`, or what the vault throws.
    public func verify(against vault: UnlockedVault) throws -> (lines: Int, sealed: UInt64) {
        try verify(sealed: vault.auditHead() ?? .none)
    }
}

extension UnlockedVault {
    fileprivate func auditHead() throws -> AuditLog.Head? {
        guard let record = try record(only: .auditHead) else { return nil }
        return try? JSONDecoder().decode(AuditLog.Head.self, from: Data(record.description))
    }
}

extension AuditLog.Head {
    fileprivate var record: Record? {
        guard let bytes = try? JSONEncoder().encode(self) else { return nil }
        return try? Record(description: Array(bytes), secrets: [:])
    }
}
