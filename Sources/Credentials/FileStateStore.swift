package import Access
import FoundationEssentials
import OAuth
import Sodium
import Synchronization
package import TokenEngine
package import Vault

/// The engine's store, in an unlocked vault file. Its claim is a lock of the kernel on one byte.
package struct FileStateStore: TokenStateStore {
    let vault: UnlockedVault
    private let log: AuditLog
    private let commits: CommitQueue
    private let caller: Caller
    private let clock: any WallClock

    /// - Parameters:
    ///   - log: the vault's, whose head is sealed with every commit.
    ///   - caller: in whose name the log says that a refresh token is sent.
    package init(vault: UnlockedVault, log: AuditLog, caller: Caller = .own, clock: any WallClock = SystemClock()) {
        self.vault = vault
        self.log = log
        self.caller = caller
        self.clock = clock
        commits = CommitQueue(vault: vault, log: log)
    }

    /// Writes that a refresh token is about to be sent, or what has come of it.
    fileprivate func recordBegun(_ name: String) async throws {
        try await log.appendInTurn(AuditEvent(.refresh, of: name, by: caller, outcome: AuditEvent.begun, at: clock.now()))
    }

    fileprivate func recordEnd(_ name: String, _ failure: (any Error)?) async throws {
        var event = AuditEvent(.refresh, of: name, by: caller, at: clock.now())
        if let failure { event.fail(failure) }
        try await log.appendInTurn(event)
    }

    /// What is in the log now is on the disk when this returns.
    fileprivate func synchronizeLog() throws { try log.synchronize() }

    package func credential(_ name: String) throws -> Credential {
        try CredentialRecord.credential(vault.record(name), name: name)
    }

    package func tryClaim(_ name: String) throws -> (any TokenClaim)? {
        guard let lock = try vault.tryLock(credential: name) else { return nil }
        return FileClaim(name: name, credential: try credential(name), store: self, commits: commits, lock: lock)
    }

    /// Changes what people set, and names what that means for the rest, in one commit with the newest state in hand.
    func configure(
        _ name: String, now: Date, _ change: (inout CredentialConfiguration) throws -> [TokenState.Consequence]
    ) throws {
        try vault.update(sealing: log) { transaction in
            var credential = try CredentialRecord.credential(transaction.record(name), name: name)
            let consequences = try change(&credential.configuration)
            credential.state.apply(consequences, of: credential.configuration.settings, now: now)
            try transaction.replace(name, with: CredentialRecord.record(credential))
        }
    }
}

/// A claim on the file: neither deadline nor epoch, for the kernel takes it from a process that dies.
private final class FileClaim: TokenClaim {
    let credential: Credential
    private let name: String
    private let store: FileStateStore
    private let commits: CommitQueue
    private let lock: HeldLock
    /// Taken before a refresh token is sent, and kept until the answer is stored.
    private let room = Mutex<ReservedRoom?>(nil)

    init(name: String, credential: Credential, store: FileStateStore, commits: CommitQueue, lock: HeldLock) {
        (self.name, self.credential, self.store, self.commits, self.lock) = (name, credential, store, commits, lock)
    }

    func reread() throws -> Credential { try store.credential(name) }

    func beginSending(_ sending: Login.Sending?) async throws -> SendPermit {
        if room.withLock({ $0 == nil }) {
            let taken = try store.vault.reserveRoom()
            room.withLock { $0 = taken }
        }
        guard let sending else { return SendPermit(refreshToken: nil) }
        try await store.recordBegun(name)
        do {
            try store.synchronizeLog()
            return SendPermit(refreshToken: try await journal(sending))
        } catch {
            // Nothing is sent. Why is said even where that can't be written down.
            try? await conclude(error)
            throw error
        }
    }

    /// Writes the journal.
    /// - Returns: what may be sent now.
    private func journal(_ sending: Login.Sending) async throws -> Secret {
        let found = Mutex<(token: Secret?, sending: Login.Sending?)>((nil, nil))
        do {
            _ = try await commits.commit(name, mustSurvive: true) { state in
                found.withLock { $0 = (state.login?.refreshToken, state.login?.sending) }
                state.login?.sending = sending
                return true
            }
        } catch VaultError.notDurable(let path, let code) {
            // A power cut after the sending would hide it. Nothing is sent, and the journal must not say that something was.
            let (token, earlier) = found.withLock { $0 }
            _ = try? await commits.commit(name) { state in
                guard let token, state.login?.refreshToken.equals(token) == true else { return false }
                state.login?.sending = earlier
                return true
            }
            throw VaultError.system(operation: "synchronise the folder of", path: path, errno: code)
        }
        guard let token = found.withLock({ $0.token }) else { throw TokenError.loginNeeded(.never) }
        return token
    }

    func store(_ acquired: AcquiredTokens, _ permit: SendPermit) async throws -> Bool {
        let isStored = try await commits.commit(name, in: room.withLock { $0 }) { $0.store(acquired, spent: permit.refreshToken) }
        room.withLock { $0 = nil }
        return isStored
    }

    func store(_ login: Login?, with token: CachedToken?, _ permit: SendPermit) async throws {
        _ = try await commits.commit(name, in: room.withLock { $0 }) { state in
            state.begin(login, with: token)
            return true
        }
        room.withLock { $0 = nil }
    }

    func conclude(_ failure: (any Error)?) async throws {
        try await store.recordEnd(name, failure)
    }

    func update(_ change: @escaping @Sendable (inout TokenState) -> Void) async throws {
        _ = try await commits.commit(name) { state in
            change(&state)
            return true
        }
    }
}
