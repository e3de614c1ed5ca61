public import Access
import FoundationEssentials
public import Vault

/// The log that belongs to a vault: keyed with two of its keys, its head sealed in it.
extension AuditLog {
    /// - Parameters:
    ///   - path: of the log's newest file.
    ///   - rotationSize: the size in bytes from which a new file is begun.
    public convenience init(vault: UnlockedVault, path: String, rotationSize: UInt64 = UInt64(rotationSize)) {
        self.init(
            path: path,
            keys: AuditKeys(
                chain: { vault.hash($0, for: .auditChain) }, fingerprint: { vault.hash($0, for: .tokenFingerprint) },
                sealed: { vault.sealedHead }, owner: { vault.owner }),
            rotationSize: rotationSize)
    }

    /// Has the vault vouch for what this process has written.
    public func seal(in vault: UnlockedVault) throws {
        try synchronize()
        try vault.update { $0.seal(self) }
    }

    /// Checks every line against the chain, and the chain against the head that is sealed in the vault.
    /// - Throws: `AuditError`.
    public func verify(against vault: UnlockedVault) throws(AuditError) -> AuditReport {
        try verify(sealed: vault.sealedHead ?? .none)
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

extension UnlockedVault {
    /// What the vault vouches for of its log; nil if the vault itself can't be read now.
    var sealedHead: SealedHead? {
        do {
            return try SealedHead(record(only: .auditHead))
        } catch VaultError.damaged, VaultError.damagedRecord {
            return .unreadable
        } catch {
            return nil
        }
    }
}

extension VaultTransaction {
    /// Puts the head of the vault's log into this commit, as far as it is on the disk. Another process may have sealed a later
    /// one, which stays. A head that can't be read or written fails no commit: it may hold the only copy of a refresh token.
    public mutating func seal(_ log: AuditLog) {
        guard var head = log.durableHead else { return }
        let sealed: SealedHead
        do {
            sealed = try SealedHead(record(only: .auditHead))
        } catch VaultError.damaged, VaultError.damagedRecord {
            sealed = .unreadable
        } catch {
            // The disk could not be read at this moment, which says nothing of the head: it stays, for the next commit.
            return
        }
        switch sealed {
        case .none: break
        case .head(let known):
            guard head.sequence > known.sequence else { return }
            if known.lost == true, !log.hasNoted(lossBefore: known) { head.lost = true }
        case .unreadable:
            head.lost = true
            log.distrust()
        }
        if let record = head.record { replace(only: .auditHead, with: record) }
    }
}

extension SealedHead {
    fileprivate init(_ record: Record?) {
        guard let record else {
            self = .none
            return
        }
        let head = try? JSONDecoder().decode(AuditLog.Head.self, from: Data(record.description))
        // The last number there is leaves no room for the next line.
        self = head.map { $0.sequence < .max - 1 && $0.mac.utf8.count == 64 ? .head($0) : .unreadable } ?? .unreadable
    }
}

extension AuditLog.Head {
    fileprivate var record: Record? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let bytes = try? encoder.encode(self) else { return nil }
        return try? Record(description: Array(bytes), secrets: [:], of: .auditHead)
    }
}

extension VaultError: AuditedError {
    public var isDone: Bool { if case .notDurable = self { true } else { false } }
}
