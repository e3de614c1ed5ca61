import Credentials
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

    /// When a token is to be renewed before somebody has to wait for it.
    private struct Plan {
        var sent: Date?
        var expires: Date?
        var renewAt: Date
        var lastAsked: Date
        var isBusy = false
    }

    /// A token that is to be renewed now.
    struct Due {
        let name: String
        let access: RequestedAccess
        let sent: Date?
        let expires: Date?
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var plans: [Key: Plan] = [:]
    }

    /// One caller must not fill the memory with ever new scopes.
    static let maximumEntries = 20_000

    private let state = Mutex(State())
    private let vault: UnlockedVault

    init(vault: UnlockedVault) { self.vault = vault }

    /// What can be handed out at once.
    /// - Throws: what the vault throws, if it is not there any more, or is another.
    func handout(_ name: String, _ ask: TokenAsk, at now: Date) throws -> Handout? {
        guard ask.mode == .cached else { return nil }
        let generation = try vault.newestGeneration()
        let key = Key(name: name, access: ask.access)
        let known = state.withLock { state in
            state.plans[key]?.lastAsked = now
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
    func keep(_ token: CachedToken, of name: String, asked: Date? = nil) throws -> Handout {
        let handout = Handout(token)
        let key = Key(name: name, access: token.access)
        let generation = try vault.newestGeneration()
        // Another process may have changed the credential since: only what stands in this very record is kept.
        if let record = try vault.recordID(of: name), try isStored(token, name), try vault.recordID(of: name) == record {
            let entry = Entry(handout: handout, record: record, generation: generation)
            state.withLock { state in
                if state.entries.count >= Self.maximumEntries, state.entries[key] == nil, let any = state.entries.keys.first {
                    (state.entries[any], state.plans[any]) = (nil, nil)
                }
                state.entries[key] = entry
                let lastAsked = asked ?? state.plans[key]?.lastAsked ?? .distantPast
                state.plans[key] = Plan(
                    sent: handout.sent, expires: handout.expires, renewAt: Self.renewal(of: handout), lastAsked: lastAsked)
            }
        }
        return handout
    }

    private func isStored(_ token: CachedToken, _ name: String) throws -> Bool {
        let credential = try CredentialRecord.credential(try vault.record(name), name: name)
        return credential.state.token(for: token.access)?.token.equals(token.token) ?? false
    }

    private func forget(_ key: Key) {
        state.withLock { state in
            state.entries[key]?.handout.token.wipe()
            state.entries[key] = nil
        }
    }

    // MARK: Renewal

    /// In the last quarter of its life, before anybody is refused it, and each at a moment of its own.
    private static func renewal(of handout: Handout) -> Date {
        guard let expires = handout.expires else { return .distantFuture }
        return handout.sent.addingTimeInterval(expires.timeIntervalSince(handout.sent) * Double.random(in: 0.75...0.88))
    }

    /// Takes what is to be renewed now; each must come back by `renewed` or `giveUp`.
    /// - Parameters:
    ///   - interest: seconds after which a token that nobody asked for is not renewed any more.
    ///   - limit: how many may be taken and not yet back.
    func due(at now: Date, since interest: Double, atMost limit: Int) -> [Due] {
        state.withLock { state in
            var room = limit - state.plans.values.count { $0.isBusy }
            var due: [Due] = []
            for (key, plan) in state.plans where !plan.isBusy && plan.renewAt <= now {
                if now.timeIntervalSince(plan.lastAsked) > interest {
                    state.plans[key] = nil
                } else if room > 0 {
                    state.plans[key]?.isBusy = true
                    due.append(Due(name: key.name, access: key.access, sent: plan.sent, expires: plan.expires))
                    room -= 1
                }
            }
            return due
        }
    }

    /// - Parameter seconds: until the next try; nil if there is a new token, whose time is known.
    func renewed(_ due: Due, at now: Date, tryAgainIn seconds: Double? = nil) {
        state.withLock { state in
            let key = Key(name: due.name, access: due.access)
            state.plans[key]?.isBusy = false
            if let seconds { state.plans[key]?.renewAt = now.addingTimeInterval(seconds) }
        }
    }

    func giveUp(_ due: Due) { state.withLock { $0.plans[Key(name: due.name, access: due.access)] = nil } }

    /// Has a token acquired for a credential that nobody has asked for.
    func takeUp(_ name: String, at now: Date) {
        state.withLock { state in
            let key = Key(name: name, access: RequestedAccess())
            if state.plans[key] == nil { state.plans[key] = Plan(renewAt: now, lastAsked: .distantPast) }
        }
    }

    /// Wipes all of them.
    func wipe() {
        state.withLock { state in
            for key in state.entries.keys { state.entries[key]?.handout.token.wipe() }
            state = State()
        }
    }
}
