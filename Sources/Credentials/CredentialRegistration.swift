import FoundationEssentials
import OAuth
import Sodium
import TokenEngine

/// Clients that have registered themselves (RFC 7591), and are managed at their servers (RFC 7592).
extension CredentialService {
    /// Has the server make another secret for the client, and stages it: from then on it is a rotation like every other.
    ///
    /// First it is read what is registered. A secret that is another one than ours is the answer to an update that we have not
    /// seen, and is taken. Else the same metadata is sent again, without the secret; what the server gives for that is stored
    /// before anything else is done.
    func renew(_ name: String, _ old: CredentialConfiguration) async throws {
        guard let registration = old.registration else { throw RegistrationError.notManaged }
        let authority = old.settings.certificateAuthority
        let current = try await endpoints.registered(registration, certificateAuthority: authority)
        try keep(current.registration, name)
        if old.settings.clientAuthentication == .privateKeyJWT {
            return try await renewKey(name, current, registration, old)
        }
        if try stageSecret(of: current, name, old) { return }
        let updated: RegisteredClient
        do {
            updated = try await endpoints.update(
                current.registration ?? registration, to: current.metadata, certificateAuthority: authority)
        } catch let error as TokenError {
            throw CredentialError.renewalUnknown(cause: error)
        }
        if try stageSecret(of: updated, name, old) { return }
        throw RegistrationError.secretKept
    }

    /// A client that signs makes its key itself, and tells the server the public half. The key is stored first: whether the server
    /// has taken it can't be known where its answer is lost, and `--resume` finds out.
    private func renewKey(
        _ name: String, _ current: RegisteredClient, _ registration: ClientRegistration, _ old: CredentialConfiguration
    ) async throws {
        guard current.metadata["jwks"] != nil else {
            throw RegistrationError.unusable(reason: "its keys are not registered with it, but elsewhere")
        }
        let (key, publicKey) = try ClientKey.make()
        var client = old.keyPair.client
        client.secret = key
        let pair = KeyPair(client: client, since: clock.now())
        try store.configure(name, now: clock.now()) {
            $0.stagedKeyPair = pair
            return []
        }
        var metadata = current.metadata
        metadata["jwks"] = .object(["keys": .array([publicKey])])
        let updated: RegisteredClient
        do {
            updated = try await endpoints.update(
                current.registration ?? registration, to: metadata,
                certificateAuthority: old.settings.certificateAuthority)
        } catch let error as RegistrationError {
            try store.configure(name, now: clock.now()) {
                $0.stagedKeyPair = nil
                return []
            }
            throw error
        } catch let error as TokenError {
            throw CredentialError.rotationUnfinished(cause: error)
        }
        try keep(updated.registration, name)
    }

    /// - Returns: whether it is another secret than the one in use.
    private func stageSecret(
        of registered: RegisteredClient, _ name: String, _ old: CredentialConfiguration
    ) throws -> Bool {
        var client = old.keyPair.client
        guard registered.client.id == client.id else {
            throw RegistrationError.unusable(reason: "it answered with another client")
        }
        let isNew = registered.client.secret.map { client.secret?.equals($0) != true } ?? false
        client.secret = registered.client.secret
        let pair = KeyPair(client: client, since: clock.now(), expires: registered.secretExpires)
        let isLonger = !isNew && registered.client.secret != nil && registered.secretExpires != old.keyPair.expires
        try store.configure(name, now: clock.now()) { configuration in
            configuration.registration = registered.registration ?? configuration.registration
            if isNew { configuration.stagedKeyPair = pair }
            if isLonger { configuration.keyPair.expires = registered.secretExpires }
            return []
        }
        return isNew
    }

    private func keep(_ registration: ClientRegistration?, _ name: String) throws {
        guard let registration else { return }
        try store.configure(name, now: clock.now()) {
            $0.registration = registration
            return []
        }
    }

    /// Ends the client at the server.
    /// - Throws: `RegistrationError`; the credential stays then.
    func deregister(_ name: String) async throws {
        let configuration = try store.credential(name).configuration
        guard let registration = configuration.registration else { throw RegistrationError.notManaged }
        try await endpoints.deregister(registration, certificateAuthority: configuration.settings.certificateAuthority)
    }
}
