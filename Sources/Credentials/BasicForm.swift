import OAuth
import Sodium
import TokenEngine

/// HTTP Basic in the form that the server reads. RFC 6749 section 2.3.1 has id and secret form-encoded first; many servers, and
/// the examples with `curl -u` of their pages, don't. For a secret with `+` or `=` in it only one of the two is right.
enum BasicForm {
    /// Proves a client; where the server refuses it, and the form may be the reason, once more in the other form. A method that
    /// the catalogue or the server itself names is believed.
    /// - Parameter prove: acquires a token with a configuration.
    /// - Returns: the token, and the configuration that it was acquired with.
    /// - Throws: what `prove` throws for the form that was given.
    static func proving<R>(
        _ configuration: CredentialConfiguration, _ prove: (CredentialConfiguration) async throws -> R
    ) async throws -> (R, CredentialConfiguration) {
        do {
            return (try await prove(configuration), configuration)
        } catch TokenError.keyPairRefused {
            guard var other = other(than: configuration) else { throw TokenError.keyPairRefused }
            other.settings.clientAuthentication = configuration.settings.clientAuthentication == .basic ? .basicRaw : .basic
            guard let proof = try? await prove(other) else { throw TokenError.keyPairRefused }
            return (proof, other)
        }
    }

    private static func other(than configuration: CredentialConfiguration) -> CredentialConfiguration? {
        let (settings, client) = (configuration.settings, configuration.keyPair.client)
        let isBasic = settings.clientAuthentication == .basic || settings.clientAuthentication == .basicRaw
        guard isBasic, settings.grant == .clientCredentials, configuration.provider == nil, settings.issuer == nil else {
            return nil
        }
        return client.needsNoEncoding ? nil : configuration
    }
}
