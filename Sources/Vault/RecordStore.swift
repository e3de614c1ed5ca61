import Linux

/// Where a vault lives. A commit swaps the root: records are never changed, only added and let go.
///
/// The file is one such place. A shared one writes the new records under their ids, then replaces the root by
/// compare-and-swap; nothing above this protocol would notice.
protocol RecordStore: Sendable {
    /// The vault as it is now. Everything read through one snapshot belongs together.
    func snapshot() throws(VaultError) -> any VaultSnapshot
    /// Whether the state before the last commit is still at hand.
    var hasPrevious: Bool { get }
    /// Whether `snapshot()` would give the same vault as `snapshot`; cheap.
    func isCurrent(_ snapshot: any VaultSnapshot) throws(VaultError) -> Bool
    /// Replaces `previous` by a new root and its records, or makes the first one where `previous` is nil.
    /// - Parameter room: what `reserve` has taken, or nil.
    /// - Throws: `conflict` if the vault is no longer `previous`. Nothing has changed then, nor after any other error but
    ///   `notDurable`.
    func commit(
        _ commit: VaultCommit, replacing previous: (any VaultSnapshot)?, in room: ReservedRoom?
    ) throws(VaultError)
    /// Takes room for a commit to come, somewhat larger than the vault is now. The commit lock is held.
    /// - Throws: `diskFull`, `system`.
    func reserve() throws(VaultError) -> ReservedRoom
    /// Tries to take a lock that the kernel releases when its holder goes away.
    /// - Returns: nil while another holds it.
    func tryLock(_ place: LockPlace) throws(VaultError) -> HeldLock?
}

/// One state of a vault: its header, its sealed root, and the records that the root names.
protocol VaultSnapshot: Sendable {
    var header: [UInt8] { get }
    var sealedRoot: [UInt8] { get }
    /// The user and the group whose files this one and its companions are; nil where it is no file.
    var owner: (UInt32, UInt32)? { get }
    /// Waits until this state is what is there after a power cut.
    func makeDurable() throws(VaultError)
    /// How many bytes of records there are, to be held against what the root says.
    var recordsLength: UInt64 { get }
    func record(_ entry: RootEntry) throws(VaultError) -> [UInt8]
}

/// A new state of a vault.
struct VaultCommit {
    enum Placement {
        /// A record of the previous state, kept.
        case kept(RootEntry)
        case added(RecordID, sealed: [UInt8])
    }

    let header: [UInt8]
    let sealedRoot: [UInt8]
    /// The records in the root's order.
    let records: [Placement]
    /// Whether no way back may be kept: the previous state opens with a key that this one does not open with.
    let forgetsPrevious: Bool
}

/// Room on the disk for one commit; freed when nobody refers to it any more. A commit that fails leaves it as it was, for
/// the next attempt; one that succeeds uses it up.
public final class ReservedRoom: Sendable {
    let file: AtomicFile
    init(_ file: AtomicFile) { self.file = file }
}

/// What can be locked: the right to commit, or the right to acquire tokens for one credential.
struct LockPlace: Equatable {
    let byte: Int64
    static let commit = LockPlace(byte: 0)
}

/// A lock, for as long as somebody refers to it.
public final class HeldLock: Sendable {
    private let file: File
    init(_ file: File) { self.file = file }
}
