/// Where credentials are kept, as far as the engine needs to know.
public protocol TokenStore: Sendable {
    /// The newest state of a credential, whoever wrote it.
    func credential(_ name: String) async throws -> Credential
    /// Changes a credential in one commit. When it returns, the change is on the disk.
    func update(_ name: String, _ change: @Sendable (inout Credential) -> Void) async throws
    /// Takes room on the disk for a commit to come, so that it can't fail for want of it.
    /// - Returns: what `update` with `room` is given; let go of, it frees the room.
    func reserveRoom() async throws -> any Sendable
    /// As `update`, in room that was taken before.
    func update(_ name: String, in room: any Sendable, _ change: @Sendable (inout Credential) -> Void) async throws
    /// Tries to take the right to acquire tokens for a credential, among all processes and tasks.
    /// - Returns: what holds the lock while it lives; nil while another holds it.
    func tryLock(_ name: String) async throws -> (any Sendable)?
}
