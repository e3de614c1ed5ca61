import FoundationEssentials
import TokenEngine

extension CredentialService {
    /// Hands out no token of a credential from this commit on, in whatever process, until `unblock`. Of one that is blocked already,
    /// the time stays.
    ///
    /// No claim is taken: an acquisition that is under way must not delay this. What it brings is stored, and handed out to nobody.
    /// - Parameter reason: nil leaves the one that is stored.
    public func block(_ name: String, reason: String?) async throws -> CredentialView {
        let now = clock.now()
        try store.configure(name, now: now) { configuration in
            let known = configuration.block
            configuration.block = CredentialBlock(since: known?.since ?? now, reason: reason ?? known?.reason)
            return []
        }
        return try changed(name)
    }

    /// Hands out tokens of a credential again.
    public func unblock(_ name: String) async throws -> CredentialView {
        try store.configure(name, now: clock.now()) { configuration in
            configuration.block = nil
            return []
        }
        return try changed(name)
    }
}
