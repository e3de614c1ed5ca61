import FoundationEssentials
import OAuth
import TokenEngine

/// How a credential was proven.
public enum CheckResult: String, Codable, Sendable {
    /// The server granted a token.
    case granted
    /// The server says that the stored token is active (RFC 7662).
    case active
    /// A token is stored that can neither be renewed nor asked about: only its API can tell.
    case kept
}

extension CredentialService {
    /// A key pair is proven by a new token, which is not stored. A login is not refreshed for nothing: its stored token
    /// is shown to the server where that can be asked, and renewed where not. A blocked credential is checked, too: whether its new
    /// key pair or login works is worth knowing before it is unblocked.
    public func check(_ name: String) async throws -> CheckResult {
        let credential = try store.credential(name)
        let settings = credential.configuration.settings
        if !settings.grant.needsLogin { return try await checkClient(name, credential) }
        if settings.introspectionURL != nil {
            let token = try await driver.tokenForCheck(name, TokenQuery())
            return try await checkActive(token, of: credential.configuration)
        }
        // Without a refresh token there is nothing to renew, and nobody to ask but the API.
        if credential.state.login == nil, !credential.state.tokens.isEmpty {
            _ = try await driver.tokenForCheck(name, TokenQuery())
            return .kept
        }
        _ = try await driver.tokenForCheck(name, TokenQuery(mode: .fresh))
        return .granted
    }

    private func checkClient(_ name: String, _ credential: Credential) async throws -> CheckResult {
        let now = clock.now()
        if let refusal = credential.state.refusal, (refusal.asked...).contains(now), now < refusal.nextAsk {
            throw TokenError.stillRefused(refusal)
        }
        let token: CachedToken
        do {
            token = try await driver.prove(credential.configuration)
        } catch let failure as TokenError where failure == .keyPairRefused || failure == .refused(.invalidGrant) {
            try await driver.withClaim(name) { try await $0.update { $0.noteRefusal(.client, at: now) } }
            throw failure
        }
        if credential.state.refusal != nil {
            try await driver.withClaim(name) { try await $0.update { $0.refusal = nil } }
        }
        guard credential.configuration.settings.introspectionURL != nil else { return .granted }
        return try await checkActive(token, of: credential.configuration)
    }

    private func checkActive(_ token: CachedToken, of configuration: CredentialConfiguration) async throws -> CheckResult {
        guard try await endpoints.isActive(token.token, of: configuration) else { throw CredentialError.inactive }
        return .active
    }
}
