import Credentials
import FoundationEssentials
import OAuth
import Sodium
import Synchronization
import TokenEngine
import Vault

/// A token ready to be handed out: in ordinary memory, which is where it goes anyway. Locked pages hold thousands of
/// secrets at most; an agent may have many more tokens.
struct ServedToken: Sendable {
    var token: [UInt8]
    var type: String
    var scopes: [String]?
    var sent: Date
    var expires: Date?
    var presentation: TokenPresentation
    /// What was asked for besides, as a JSON object.
    var fields: [UInt8]?
    /// The proof of possession for the request that was named.
    var proof: String?
    /// Whether an API takes it only with a proof.
    var isBound: Bool { type == TokenPresentation.dpopType }

    init(_ token: CachedToken) {
        self.token = token.token.withBytes { $0.array() }
        type = token.type
        scopes = token.scopes
        sent = token.sent
        expires = token.expires
        presentation = token.presentation
    }
}

/// The tokens that were handed out last. An entry is good for as long as its credential's record is the one in the vault:
/// a commit, by whichever process, gives a changed credential another record.
final class TokenCache: Sendable {
    private struct Entry {
        var handout: ServedToken
        let record: RecordID
        /// The vault's generation in which that was last looked at.
        var generation: UInt64
    }

    private struct State {
        var entries: [TokenKey: Entry] = [:]
        var plans = RenewalPlans()
    }

    /// One caller must not fill the memory with ever new scopes.
    static let maximumEntries = 20_000

    private let state = Mutex(State())
    private let vault: UnlockedVault

    init(vault: UnlockedVault) { self.vault = vault }

    /// What can be handed out at once.
    /// - Throws: what the vault throws, if it is not there any more, or is another.
    func handout(_ name: String, _ ask: TokenQuery, at now: Date) throws -> ServedToken? {
        guard ask.mode == .cached, ask.field == nil, ask.proof == nil else { return nil }
        let generation = try vault.newestGeneration()
        let key = TokenKey(name: name, access: ask.access)
        let known = state.withLock { state in
            state.plans.asked(key, at: now)
            return state.entries[key]
        }
        guard var entry = known else { return nil }
        if entry.generation != generation {
            guard try vault.recordID(of: name) == entry.record else {
                forget(key)
                return nil
            }
            entry.generation = generation
            let checked = entry
            state.withLock { $0.entries[key] = checked }
        }
        guard Freshness.isGood(sent: entry.handout.sent, expires: entry.handout.expires, for: ask, at: now) else { return nil }
        return entry.handout
    }

    /// - Parameter asked: when somebody asked for it; nil where nobody did.
    func keep(_ token: CachedToken, of name: String, asked: Date? = nil) throws -> ServedToken {
        let handout = ServedToken(token)
        let key = TokenKey(name: name, access: token.access)
        let generation = try vault.newestGeneration()
        // Another process may have changed the credential since: only what stands in this very record is kept.
        if let record = try vault.recordID(of: name), let server = try server(of: token, name),
            try vault.recordID(of: name) == record
        {
            let entry = Entry(handout: handout, record: record, generation: generation)
            state.withLock { state in
                if state.entries.count >= Self.maximumEntries, state.entries[key] == nil, let any = state.entries.keys.first {
                    state.entries[any] = nil
                    state.plans.forget(any)
                }
                state.entries[key] = entry
                state.plans.plan(
                    key, at: server, sent: handout.sent, expires: handout.expires, asked: asked, share: .random(in: 0...1))
            }
        }
        return handout
    }

    /// The host that the credential's tokens come from.
    /// - Returns: nil if this token is not the one that is stored, or may not be handed out any more.
    private func server(of token: CachedToken, _ name: String) throws -> String? {
        let credential = try CredentialRecord.credential(try vault.record(name), name: name)
        guard credential.configuration.block == nil else { return nil }
        guard credential.state.token(for: token.access)?.token.equals(token.token) == true else { return nil }
        return credential.configuration.settings.tokenURL.host
    }

    private func forget(_ key: TokenKey) {
        state.withLock { state in
            state.entries[key]?.handout.token.wipe()
            state.entries[key] = nil
        }
    }

    // MARK: Renewal

    /// Reads or changes when each token is renewed.
    func withPlans<R: Sendable>(_ body: (inout RenewalPlans) -> R) -> R {
        state.withLock { body(&$0.plans) }
    }

    /// Wipes all of them.
    func wipe() {
        state.withLock { state in
            for key in state.entries.keys { state.entries[key]?.handout.token.wipe() }
            state = State()
        }
    }
}
