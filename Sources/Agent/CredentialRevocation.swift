import FoundationEssentials
import OAuth
import Sodium
import TokenEngine

extension CredentialService {
    /// Tries every token, whatever becomes of the others, and forgets those that are dead. What the server would not revoke
    /// stays stored for another try.
    public func revoke(_ name: String) async throws -> RevocationReport {
        try await driver.withClaim(name) { claim in
            let credential = claim.credential
            var report = RevocationReport()
            // The refresh token first: it could buy new access tokens meanwhile.
            if let login = credential.state.login {
                switch await revoke(login.refreshToken, "refresh_token", credential) {
                case .success(.done):
                    try await claim.update { $0.login = nil }
                    report.endedLogin = true
                case .success(.unsupported):
                    try await claim.update { $0.login = nil }
                    report.forgotLogin = true
                case .failure(let failure):
                    report.keptLogin = true
                    report.failure = failure
                }
            }
            for token in credential.state.tokens + credential.state.replaced {
                try await revoke(token, credential, claim, &report)
            }
            return report
        }
    }

    private func revoke(
        _ token: CachedToken, _ credential: Credential, _ claim: any TokenClaim, _ report: inout RevocationReport
    ) async throws {
        let now = clock.now()
        // One that has ended needs nobody's word.
        guard !token.hasExpired(at: now) else { return try await claim.update { $0.forget(token) } }
        switch await revoke(token.token, "access_token", credential) {
        case .success(.done):
            report.revoked += 1
            try await claim.update { $0.forget(token) }
        case .success(.unsupported):
            report.forgotten += 1
            report.live(until: token.expires)
            try await claim.update { $0.forget(token) }
        case .failure(let failure):
            report.kept += 1
            report.live(until: token.expires)
            report.failure = report.failure ?? failure
        }
    }

    private func revoke(
        _ token: Secret, _ hint: String, _ credential: Credential
    ) async -> Result<EndpointClient.Revocation, TokenFailure> {
        do throws(TokenFailure) {
            return .success(try await endpoints.revoke(token, hint: hint, of: credential.configuration))
        } catch {
            return .failure(error)
        }
    }
}

extension RevocationReport {
    /// Counts a token that lives on.
    fileprivate mutating func live(until expires: Date?) {
        if let expires { validUntil = max(validUntil ?? expires, expires) } else { neverEnds = true }
    }
}
