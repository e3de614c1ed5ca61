public import FoundationEssentials
import OAuth
import Sodium
public import TokenEngine

/// What became of the tokens of a credential that was revoked.
public struct RevocationReport: Sendable, Equatable {
    public struct Counts: Sendable, Equatable {
        /// How many the server has revoked.
        public var revoked = 0
        /// How many were only forgotten, since the server can't revoke them.
        public var forgotten = 0
        /// How many the server has not revoked although it can; they stay stored for another try.
        public var kept = 0

        public init() {}
    }

    /// Those that were handed out until now.
    public var tokens = Counts()
    /// Those that had been replaced before they ended.
    public var replaced = Counts()
    /// Whether the server has ended the login with them.
    public var endedLogin = false
    /// Whether the login was only forgotten, since the server has no revocation endpoint.
    public var forgotLogin = false
    /// Whether the server has not ended the login although it can; it stays stored for another try.
    public var keptLogin = false
    /// When the tokens that live on end, each for itself; nil for one that does not say.
    public var livingTokens: [Date?] = []
    /// Why the first of the kept ones was not revoked.
    public var failure: TokenError?

    public init() {}

    /// Whether a token or a login can still be used by whoever has a copy.
    public var livesOn: Bool { !livingTokens.isEmpty || forgotLogin || keptLogin }
    /// Until when the last of those that live on stays valid, as far as they say.
    public var validUntil: Date? { livingTokens.compactMap { $0 }.max() }
    /// Whether one of those that live on never says when it ends.
    public var neverEnds: Bool { livingTokens.contains(nil) }
}

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
            for token in credential.state.tokens { try await revoke(token, credential, claim, &report, \.tokens) }
            for token in credential.state.replaced { try await revoke(token, credential, claim, &report, \.replaced) }
            return report
        }
    }

    private func revoke(
        _ token: CachedToken, _ credential: Credential, _ claim: any TokenClaim, _ report: inout RevocationReport,
        _ kind: WritableKeyPath<RevocationReport, RevocationReport.Counts>
    ) async throws {
        let now = clock.now()
        // One that has ended needs nobody's word.
        guard !token.hasExpired(at: now) else { return try await claim.update { $0.forget(token) } }
        switch await revoke(token.token, "access_token", credential) {
        case .success(.done):
            report[keyPath: kind].revoked += 1
            try await claim.update { $0.forget(token) }
        case .success(.unsupported):
            report[keyPath: kind].forgotten += 1
            report.livingTokens.append(token.expires)
            try await claim.update { $0.forget(token) }
        case .failure(let failure):
            report[keyPath: kind].kept += 1
            report.livingTokens.append(token.expires)
            report.failure = report.failure ?? failure
        }
    }

    private func revoke(
        _ token: Secret, _ hint: String, _ credential: Credential
    ) async -> Result<EndpointClient.Revocation, TokenError> {
        do throws(TokenError) {
            return .success(try await endpoints.revoke(token, hint: hint, of: credential.configuration))
        } catch {
            return .failure(error)
        }
    }
}
