public import TokenEngine

/// What may be asked without the vault's key. The commands work the same with an agent and without.
/// Nothing here returns a client secret, a refresh token or a password.
public protocol TokenSource: Sendable {
    /// A valid access token, cached or new.
    func token(_ name: String, _ ask: TokenQuery) async throws -> CachedToken
    /// Every credential that the caller may know of, in the order of the names, with those that can't be read.
    func list() async throws -> [ListedCredential]
    /// One of them. A record that can't be read is thrown.
    func credential(_ name: String) async throws -> ListedCredential
}
