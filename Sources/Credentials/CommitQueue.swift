import Access
import Synchronization
import TokenEngine
import Vault

/// Changes of token states that come while a commit is under way share the next one: each commit writes the whole file.
final class CommitQueue: Sendable {
    private struct Entry {
        let name: String
        let room: ReservedRoom?
        let mustSurvive: Bool
        let change: @Sendable (inout TokenState) -> Bool
        let continuation: CheckedContinuation<Bool, any Error>
    }

    private let vault: UnlockedVault
    private let log: AuditLog
    private let waiting = Mutex<(entries: [Entry], isRunning: Bool)>(([], false))

    init(vault: UnlockedVault, log: AuditLog) { (self.vault, self.log) = (vault, log) }

    /// A change that is made, and may be gone after a power cut (`VaultError.notDurable`), counts as made: what a server has
    /// given is stored then, and to store it once more helps nobody.
    /// - Parameters:
    ///   - mustSurvive: whether that is an error all the same, because of what the caller does next.
    ///   - change: returns false to leave the credential as it is.
    /// - Returns: what `change` has returned, when it is in the vault.
    /// - Throws: what the vault throws; nothing has changed then, except after `notDurable`.
    func commit(
        _ name: String, in room: ReservedRoom? = nil, mustSurvive: Bool = false,
        _ change: @escaping @Sendable (inout TokenState) -> Bool
    ) async throws -> Bool {
        try await withCheckedThrowingContinuation { continuation in
            let begins = waiting.withLock { waiting in
                waiting.entries.append(
                    Entry(name: name, room: room, mustSurvive: mustSurvive, change: change, continuation: continuation))
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
        var results: [Result<Bool, any Error>] = []
        var doubt: VaultError?
        do {
            try vault.update(sealing: log, in: entries.lazy.compactMap(\.room).first) { transaction in
                results = entries.map { entry in Result { try Self.apply(entry, to: &transaction) } }
            }
        } catch let error as VaultError where error.isDone {
            doubt = error
        } catch {
            for entry in entries { entry.continuation.resume(throwing: error) }
            return
        }
        for (entry, result) in zip(entries, results) {
            if entry.mustSurvive, let doubt {
                entry.continuation.resume(throwing: doubt)
            } else {
                entry.continuation.resume(with: result)
            }
        }
    }

    private static func apply(_ entry: Entry, to transaction: inout VaultTransaction) throws -> Bool {
        var credential = try CredentialRecord.credential(transaction.record(entry.name), name: entry.name)
        guard entry.change(&credential.state) else { return false }
        try transaction.replace(entry.name, with: CredentialRecord.record(credential))
        return true
    }
}
