import TokenEngine
import Vault

/// The engine's store, in an unlocked vault.
struct VaultTokenStore: TokenStore {
    let vault: UnlockedVault

    func credential(_ name: String) throws -> Credential {
        try CredentialCoding.credential(vault.record(name), name: name)
    }

    func update(_ name: String, _ change: @Sendable (inout Credential) -> Void) throws {
        try update(name, room: nil, change)
    }

    func update(_ name: String, in room: any Sendable, _ change: @Sendable (inout Credential) -> Void) throws {
        try update(name, room: room as? ReservedRoom, change)
    }

    func reserveRoom() throws -> any Sendable {
        try vault.reserveRoom()
    }

    private func update(_ name: String, room: ReservedRoom?, _ change: (inout Credential) -> Void) throws {
        try vault.update(in: room) { transaction in
            var credential = try CredentialCoding.credential(transaction.record(name), name: name)
            change(&credential)
            try transaction.replace(name, with: CredentialCoding.record(credential))
        }
    }

    func tryLock(_ name: String) throws -> (any Sendable)? {
        try vault.tryLock(credential: name)
    }
}
