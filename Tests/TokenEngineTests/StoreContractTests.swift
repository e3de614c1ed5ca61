import Contracts
import Sodium
import Testing
import TokenEngine

@Suite struct StoreContractTests {
    private static func contract(
        _ broken: @escaping @Sendable (any TokenStateStore) -> any TokenStateStore = { $0 }
    ) -> TokenStateStoreContract {
        TokenStateStoreContract { credentials in
            let store = MemoryStore(credentials)
            return TokenStateStoreContract.Subject(
                store: broken(store), other: store, fill: { store.refuseRoom($0) }, failCommits: { store.failUpdates($0) },
                change: { change in store.write("a") { change(&$0) } })
        }
    }

    @Test(arguments: TokenStateStoreContract.Check.allCases)
    func `the store in memory keeps the contract`(_ check: TokenStateStoreContract.Check) async throws {
        try await Self.contract().run(check)
    }

    /// Each breaks one rule, and nothing else: the check of that rule notices, so the checks are worth something.
    @Test(arguments: BrokenStore.Flaw.allCases)
    fileprivate func `a store that breaks the contract is found out`(_ flaw: BrokenStore.Flaw) async throws {
        let contract = Self.contract { BrokenStore(inner: $0, flaw: flaw) }
        var noticed: [TokenStateStoreContract.Check] = []
        for check in TokenStateStoreContract.Check.allCases {
            do { try await contract.run(check) } catch { noticed.append(check) }
        }
        #expect(noticed == flaw.noticedBy)
    }
}

private struct BrokenStore: TokenStateStore {
    enum Flaw: CaseIterable {
        case ignoresReservations, losesRoomAfterOneFailure, ignoresLineage, journalsLate, sharesClaims

        var noticedBy: [TokenStateStoreContract.Check] {
            switch self {
            case .ignoresReservations: [.noRoom, .room, .retry, .login]
            case .losesRoomAfterOneFailure: [.retry]
            case .ignoresLineage: [.foreignLineage]
            case .journalsLate: [.journal, .noLogin, .failingJournal]
            case .sharesClaims: [.exclusion]
            }
        }
    }

    let inner: any TokenStateStore
    let flaw: Flaw

    func credential(_ name: String) async throws -> Credential { try await inner.credential(name) }

    func tryClaim(_ name: String) async throws -> (any TokenClaim)? {
        if let claim = try await inner.tryClaim(name) { return BrokenClaim(inner: claim, flaw: flaw) }
        guard flaw == .sharesClaims else { return nil }
        return BrokenClaim(inner: SharedClaim(credential: try await inner.credential(name)), flaw: flaw)
    }
}

private final class BrokenClaim: TokenClaim {
    let inner: any TokenClaim
    let flaw: BrokenStore.Flaw

    init(inner: any TokenClaim, flaw: BrokenStore.Flaw) { (self.inner, self.flaw) = (inner, flaw) }

    var credential: Credential { inner.credential }
    func reread() async throws -> Credential { try await inner.reread() }

    func beginSending(_ sending: Login.Sending?) async throws -> SendPermit {
        let stored = try await inner.reread().state.login?.refreshToken
        switch flaw {
        case .ignoresReservations:
            guard let sending else { return SendPermit(refreshToken: nil) }
            guard let stored else { throw TokenError.loginNeeded(.never) }
            try await inner.update { $0.login?.sending = sending }
            return SendPermit(refreshToken: stored)
        case .journalsLate:
            _ = try await inner.beginSending(nil)
            return SendPermit(refreshToken: sending == nil ? nil : stored)
        default: return try await inner.beginSending(sending)
        }
    }

    func store(_ acquired: AcquiredTokens, _ permit: SendPermit) async throws -> Bool {
        switch flaw {
        case .ignoresReservations:
            let accepted = try await inner.reread().state.login?.refreshToken.equals(permit.refreshToken!) == true
            if accepted { try await inner.update { _ = $0.store(acquired, spent: permit.refreshToken) } }
            return accepted
        case .ignoresLineage:
            return try await inner.store(acquired, SendPermit(refreshToken: inner.reread().state.login?.refreshToken))
        case .losesRoomAfterOneFailure:
            do {
                return try await inner.store(acquired, permit)
            } catch {
                (inner as? MemoryClaim)?.loseRoom()
                throw error
            }
        default: return try await inner.store(acquired, permit)
        }
    }

    func store(_ login: Login?, with token: CachedToken?, _ permit: SendPermit) async throws {
        guard flaw == .ignoresReservations else { return try await inner.store(login, with: token, permit) }
        try await inner.update { $0.begin(login, with: token) }
    }

    func update(_ change: @escaping @Sendable (inout TokenState) -> Void) async throws { try await inner.update(change) }
}

/// A claim beside another one.
private struct SharedClaim: TokenClaim {
    let credential: Credential
    func reread() async throws -> Credential { credential }
    func beginSending(_ sending: Login.Sending?) async throws -> SendPermit { SendPermit(refreshToken: nil) }
    func store(_ acquired: AcquiredTokens, _ permit: SendPermit) async throws -> Bool { false }
    func store(_ login: Login?, with token: CachedToken?, _ permit: SendPermit) async throws {}
    func update(_ change: @escaping @Sendable (inout TokenState) -> Void) async throws {}
}
