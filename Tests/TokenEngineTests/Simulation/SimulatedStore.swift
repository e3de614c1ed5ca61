import Foundation
import OAuth
import Sodium

@testable import TokenEngine

/// What is on the disk, and who holds a claim of it.
final class SimulatedDisk: @unchecked Sendable {
    private unowned let world: Simulation
    private(set) var credential: Credential
    /// In which start of the machine the journal was written last.
    private(set) var journaledBoot = 0
    /// By the table of claims: there is one, unless a fault says otherwise.
    private var holders: [Int: (claim: Int, process: SimulatedProcess)] = [:]
    private var claims = 0

    init(_ world: Simulation, _ credential: Credential) { (self.world, self.credential) = (world, credential) }

    private func table(_ process: SimulatedProcess) -> Int { world.fault == .claimsAreNotShared ? process.number : 0 }

    /// - Returns: the claim's number, or nil while another holds it.
    func claim(_ process: SimulatedProcess) -> Int? {
        if holders[table(process)] != nil {
            guard world.fault == .claimIsGrantedTwice, world.scheduler.generator.chance(1 / 3) else { return nil }
        }
        claims += 1
        holders[table(process)] = (claims, process)
        world.note("process \(process.number) takes claim \(claims)")
        return claims
    }

    func release(_ claim: Int, _ process: SimulatedProcess) {
        guard process.isAlive else { return }
        world.note("process \(process.number) lets claim \(claim) go")
        world.claimEnds(process)
        if holders[table(process)]?.claim == claim { holders[table(process)] = nil }
    }

    /// The kernel takes the locks of a process that dies.
    func lose(_ process: SimulatedProcess) {
        if holders[table(process)]?.process === process { holders[table(process)] = nil }
        if world.fault == .journalIsLostInACrash { credential.state.login?.sending = nil }
    }

    func replace(_ state: TokenState) { credential.state = state }

    func write(_ state: TokenState) {
        world.checkCommit(credential.state.login, state.login)
        credential.state = state
    }

    func journal() { journaledBoot = world.boot }
}

/// The store as one process sees it.
struct SimulatedStore: TokenStateStore {
    unowned let world: Simulation
    unowned let process: SimulatedProcess

    func credential(_ name: String) async throws -> Credential {
        try process.checkIsAlive()
        return world.disk.credential
    }

    func tryClaim(_ name: String) async throws -> (any TokenClaim)? {
        try process.checkIsAlive()
        guard let number = world.disk.claim(process) else { return nil }
        return SimulatedClaim(number, world, process)
    }
}

private final class SimulatedClaim: TokenClaim, @unchecked Sendable {
    struct Full: Error {}

    let credential: Credential
    private let number: Int
    private let world: Simulation
    private let process: SimulatedProcess
    private var hasRoom = false

    init(_ number: Int, _ world: Simulation, _ process: SimulatedProcess) {
        (self.number, self.world, self.process) = (number, world, process)
        credential = world.disk.credential
    }

    deinit { world.disk.release(number, process) }

    func reread() async throws -> Credential {
        try process.checkIsAlive()
        return world.disk.credential
    }

    func beginSending(_ sending: Login.Sending?) async throws -> SendPermit {
        if world.hasNoRoom() { throw Full() }
        hasRoom = true
        if world.fault != .permitComesWithoutAJournal {
            let disk = world.disk
            _ = try await commit("the journal") { state in
                state.login?.sending = sending
                disk?.journal()
                return true
            }
        }
        return SendPermit(refreshToken: world.disk.credential.state.login?.refreshToken)
    }

    func store(_ acquired: AcquiredTokens, _ permit: SendPermit) async throws -> Bool {
        guard hasRoom else { throw Full() }
        var acquired = acquired
        if world.fault == .commitDropsTheRefreshToken { acquired.refreshToken = nil }
        let isStored: Bool
        do {
            isStored = try await commit("an answer") { [acquired, world] state in
                let before = state.login?.refreshToken
                let spent = world.fault == .storeIgnoresLineage ? before : permit.refreshToken
                let isStored = state.store(acquired, spent: spent)
                if isStored, let before, permit.refreshToken?.equals(before) == false {
                    world.violate(.lineage, "\(before.revealed()) is replaced")
                }
                return isStored
            }
        } catch {
            process.owed?.failures += 1
            throw error
        }
        hasRoom = false
        let stored = world.disk.credential.state.login?.refreshToken.revealed()
        if stored == process.owed?.refreshToken { process.owed = nil }
        return isStored
    }

    func store(_ login: Login?, with token: CachedToken?, _ permit: SendPermit) async throws {
        preconditionFailure("nobody logs in through the driver here")
    }

    func update(_ change: @escaping @Sendable (inout TokenState) -> Void) async throws {
        _ = try await commit("what was learned") { state in
            change(&state)
            return true
        }
    }

    /// Nothing of it is on the disk, or all.
    private func commit(_ what: String, _ change: (inout TokenState) -> Bool) async throws -> Bool {
        world.mayCrash(process, "before it commits \(what)")
        let isSlow = world.scheduler.generator.chance(0.02)
        await world.scheduler.pause(world.scheduler.generator.within(0...(isSlow ? 2 : 0.02)))
        try process.checkIsAlive()
        if world.failsToCommit() {
            world.note("process \(process.number) can't commit \(what)")
            throw Full()
        }
        var state = world.disk.credential.state
        guard change(&state) else { return false }
        world.note("process \(process.number) commits \(what)")
        world.disk.write(state)
        world.mayCrash(process, "after it has committed \(what)")
        try process.checkIsAlive()
        return true
    }
}
