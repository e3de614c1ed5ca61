import FoundationEssentials
import OAuth
import Sodium
import Synchronization
import TokenEngine
import Vault

/// A token ready to be handed out: in ordinary memory, which is where it goes anyway. Locked pages hold thousands of
/// secrets at most; an agent may have many more tokens.
struct Handout: Sendable {
    var token: [UInt8]
    var type: String
    var scopes: [String]?
    var sent: Date
    var expires: Date?

    init(_ token: CachedToken) {
        self.token = token.token.withBytes { $0.array() }
        type = token.type
        scopes = token.scopes
        sent = token.sent
        expires = token.expires
    }
}

/// The tokens that were handed out last. An entry is good for as long as its credential's record is the one in the vault:
/// a commit, by whichever process, gives a changed credential another record.
final class TokenCache: Sendable {
    private struct Key: Hashable {
        let name: String
        let access: RequestedAccess
    }

    private struct Entry {
        var handout: Handout
        let record: RecordID
        /// The vault's generation in which that was last looked at.
        var generation: UInt64
    }

    /// One caller must not fill the memory with ever new scopes.
    static let maximumEntries = 20_000

    private let entries = Mutex<[Key: Entry]>([:])
    private let vault: UnlockedVault

    init(vault: UnlockedVault) { self.vault = vault }

    /// What can be handed out at once.
    /// - Throws: what the vault throws, if it is not there any more, or is another.
    func handout(_ name: String, _ ask: TokenAsk, at now: Date) throws -> Handout? {
        guard ask.mode == .cached else { return nil }
        let generation = try vault.newestGeneration()
        let key = Key(name: name, access: ask.access)
        guard var entry = entries.withLock({ $0[key] }) else { return nil }
        if entry.generation != generation {
            guard try vault.recordID(of: name) == entry.record else {
                forget(key)
                return nil
            }
            entry.generation = generation
            let checked = entry
            entries.withLock { $0[key] = checked }
        }
        guard Freshness.isGood(sent: entry.handout.sent, expires: entry.handout.expires, for: ask, at: now) else { return nil }
        return entry.handout
    }

    func keep(_ token: CachedToken, of name: String) throws -> Handout {
        let handout = Handout(token)
        let generation = try vault.newestGeneration()
        // Another process may have changed the credential since: only what stands in this very record is kept.
        if let record = try vault.recordID(of: name), try isStored(token, name), try vault.recordID(of: name) == record {
            let entry = Entry(handout: handout, record: record, generation: generation)
            let key = Key(name: name, access: token.access)
            entries.withLock { entries in
                if entries.count >= Self.maximumEntries, entries[key] == nil, let any = entries.keys.first { entries[any] = nil }
                entries[key] = entry
            }
        }
        return handout
    }

    private func isStored(_ token: CachedToken, _ name: String) throws -> Bool {
        let credential = try CredentialCoding.credential(try vault.record(name), name: name)
        return credential.token(for: token.access)?.token.equals(token.token) ?? false
    }

    private func forget(_ key: Key) {
        entries.withLock { entries in
            entries[key]?.handout.token.wipe()
            entries[key] = nil
        }
    }

    /// Wipes all of them.
    func wipe() {
        entries.withLock { entries in
            for key in entries.keys { entries[key]?.handout.token.wipe() }
            entries = [:]
        }
    }
}
