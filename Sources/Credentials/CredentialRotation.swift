import FoundationEssentials
public import OAuth
import Sodium
import TokenEngine
import Vault

/// Which key pair a rotation goes to.
public enum Rotation: Sendable {
    case to(ClientCredentials)
    /// The pair that an unfinished rotation left in the vault.
    case staged
    /// The pair before the last rotation.
    case previous
    /// A pair that the server makes when the client's registration is updated.
    case renewal

    public var isRenewal: Bool { if case .renewal = self { true } else { false } }
}

extension CredentialService {
    /// Replaces the key pair: stage, prove, promote, in that order; the old pair is in use until the new one is proven.
    public func rotate(_ name: String, _ rotation: Rotation, verify: Bool) async throws -> CredentialView {
        try await driver.withClaim(name) { claim in
            let old = claim.credential
            if rotation.isRenewal {
                try await renew(name, old.configuration)
            } else {
                try stage(try newPair(rotation, of: old.configuration), name)
            }
            var consequences: [TokenState.Consequence] = [.forgetRenewable, .newClient]
            let revives = revives(rotation, old)
            if revives { consequences.append(.reviveLogin) }
            var authentication = old.configuration.settings.clientAuthentication
            if verify {
                let proof = try await proveStaged(name, claim, revives: revives)
                consequences += proof.consequences
                authentication = proof.authentication ?? authentication
            }
            let (result, proven) = (consequences, authentication)
            try store.configure(name, now: clock.now()) { configuration in
                configuration.promoteStaged()
                configuration.settings.clientAuthentication = proven
                return result
            }
            return try changed(name)
        }
    }

    /// Stores a pair that is not proven yet. It is in no use: one that may be gone after a power cut is no rotation that is made.
    private func stage(_ pair: KeyPair?, _ name: String) throws {
        do {
            try store.configure(name, now: clock.now()) {
                $0.stagedKeyPair = pair
                return []
            }
        } catch VaultError.notDurable(let path, let code) {
            throw VaultError.system(operation: "synchronise the folder of", path: path, errno: code)
        }
    }

    /// Whether a login that ended with the pair that goes may be good for the one that comes back.
    private func revives(_ rotation: Rotation, _ old: Credential) -> Bool {
        guard case .previous = rotation, let ended = old.state.login?.ended else { return false }
        return ended >= old.configuration.keyPair.since
    }

    private func newPair(_ rotation: Rotation, of old: CredentialConfiguration) throws -> KeyPair {
        switch rotation {
        case .to(let client):
            if client.isSame(as: old.keyPair.client) { throw CredentialError.samePair }
            return KeyPair(client: client, since: clock.now())
        case .staged, .renewal:
            guard let pair = old.stagedKeyPair else { throw CredentialError.nothingStaged }
            return pair
        case .previous:
            guard let pair = old.previousKeyPair else { throw CredentialError.nothingToRollBack }
            return pair
        }
    }

    /// A pair that the server refuses is dropped. One that could not be tried stays staged: its secret may have been
    /// shown to the person only once. Where nobody is logged in there is nothing to prove it with.
    /// - Returns: what the proof means for the state, and how the client has proven itself.
    private func proveStaged(
        _ name: String, _ claim: any TokenClaim, revives: Bool
    ) async throws -> (consequences: [TokenState.Consequence], authentication: ClientAuthentication?) {
        let stored = try await claim.reread()
        var candidate = stored.configuration
        guard let pair = candidate.stagedKeyPair else { throw CredentialError.nothingStaged }
        candidate.keyPair = pair
        guard revives || stored.state.canRenew(by: candidate.settings) else { return ([], nil) }
        do {
            let (token, proven) = try await BasicForm.proving(candidate) {
                try await driver.prove($0, under: claim, retriesEnded: revives)
            }
            return ([.keep(token)], proven.settings.clientAuthentication)
        } catch let failure as TokenError {
            switch failure {
            case .loginNeeded(.ended), .loginNeeded(.answerLost), .loginNeeded(.interrupted):
                // The client was let in, and its login was not: the pair is good, and a person has to log in again.
                return ([.endLogin], nil)
            case .keyPairRefused, .refused(.registered):
                // What the server says of it is more than that it could not be dropped.
                try? stage(nil, name)
                throw failure
            default:
                throw CredentialError.rotationUnfinished(cause: failure)
            }
        }
    }
}

extension CredentialConfiguration {
    /// The staged pair becomes the one in use, and the one in use the previous.
    fileprivate mutating func promoteStaged() {
        guard let staged = stagedKeyPair else { return }
        previousKeyPair = keyPair
        keyPair = staged
        stagedKeyPair = nil
    }
}

extension ClientCredentials {
    fileprivate func isSame(as other: ClientCredentials) -> Bool {
        func same(_ a: Secret?, _ b: Secret?) -> Bool {
            guard let a, let b else { return a == nil && b == nil }
            return a.equals(b)
        }
        return id == other.id && username == other.username && same(secret, other.secret) && same(password, other.password)
    }
}
