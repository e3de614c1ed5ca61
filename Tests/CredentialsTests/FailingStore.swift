import Synchronization

@testable import Vault

/// A vault's file, on a disk that can be full, and with commits that can fail.
final class FailingStore: RecordStore {
    private struct State {
        var failing = 0
        var isFull = false
        var commits = 0
        var isDoubtful = false
    }

    private let file: FileStore
    private let state = Mutex(State())

    init(path: String) { file = FileStore(path: path) }

    /// How many commits were tried.
    var commits: Int { state.withLock { $0.commits } }
    func failCommits(_ count: Int) { state.withLock { $0.failing = count } }
    /// From now on commits are made, and their folder can't be synchronised.
    func doubt(_ isDoubtful: Bool) { state.withLock { $0.isDoubtful = isDoubtful } }
    func fill(_ isFull: Bool) { state.withLock { $0.isFull = isFull } }

    var hasPrevious: Bool { file.hasPrevious }
    func snapshot() throws(VaultError) -> any VaultSnapshot { try file.snapshot() }
    func isCurrent(_ snapshot: any VaultSnapshot) throws(VaultError) -> Bool { try file.isCurrent(snapshot) }
    func tryLock(_ place: LockPlace) throws(VaultError) -> HeldLock? { try file.tryLock(place) }

    func reserve() throws(VaultError) -> ReservedRoom {
        if state.withLock({ $0.isFull }) { throw .diskFull(path: "made up") }
        return try file.reserve()
    }

    func commit(
        _ commit: VaultCommit, replacing previous: (any VaultSnapshot)?, in room: ReservedRoom?
    ) throws(VaultError) {
        let fails = state.withLock { state in
            state.commits += 1
            if state.isFull, room == nil { return true }
            if state.failing == 0 { return false }
            state.failing -= 1
            return true
        }
        if fails { throw .diskFull(path: "made up") }
        try file.commit(commit, replacing: previous, in: room)
        if state.withLock({ $0.isDoubtful }) { throw .notDurable(path: "made up", errno: 5) }
    }
}
