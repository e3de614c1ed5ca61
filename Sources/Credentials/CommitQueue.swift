import Access
import Synchronization
import TokenEngine
import Vault

/// Changes of token states that come while a commit is under way share the next one: each commit writes the whole file.
final class CommitQueue: Sendable {
    private struct Entry {
        let name: String
        let room: ReservedRoom?
        let change: @Sendable (inout TokenState) -> Bool
        let continuation: CheckedContinuation<Bool, any Error>
    }

    private let vault: UnlockedVault
    private let log: AuditLog
    private let waiting = Mutex<(entries: [Entry], isRunning: Bool)>(([], false))

    init(vault: UnlockedVault, log: AuditLog) { (self.vault, self.log) = (vault, log) }

    /// - Parameter change: returns false to leave the credential as it is.
    /// - Returns: what `change` has returned, when it is on the disk.
    /// - Throws: what the vault throws; nothing has changed then.
    func commit(
        _ name: String, in room: ReservedRoom? = nil, _ change: @escaping @Sendable (inout TokenState) -> Bool
    ) async throws -> Bool {
        try await withCheckedThrowingContinuation { continuation in
            let begins = waiting.withLock { waiting in
                waiting.entries.append(Entry(name: name, room: room, change: change, continuation: continuation))
                defer { waiting.isRunning = true }
                return !waiting.isRunning
            }
            // Not the caller's task: its end must not cut the commits of others.
            if begins { Task.detached { self.run() } }
        }
    }

    private func run() {
        while true {
            let entries = waiting.withLock { waiting in
                defer { waiting = ([], !waiting.entries.isEmpty) }
                return waiting.entries
            }
            if entries.isEmpty { return }
            commit(entries)
        }
    }

    private func commit(_ entries: [Entry]) {
        do {
            let results = try vault.update(sealing: log, in: entries.lazy.compactMap(\.room).first) { transaction in
                entries.map { entry in Result { try Self.apply(entry, to: &transaction) } }
            }
            for (entry, result) in zip(entries, results) { entry.continuation.resume(with: result) }
        } catch {
            for entry in entries { entry.continuation.resume(throwing: error) }
        }
    }

    private static func apply(_ entry: Entry, to transaction: inout VaultTransaction) throws -> Bool {
        var credential = try CredentialRecord.credential(transaction.record(entry.name), name: entry.name)
        guard entry.change(&credential.state) else { return false }
        try transaction.replace(entry.name, with: CredentialRecord.record(credential))
        return true
    }
}
