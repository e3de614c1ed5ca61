import FoundationEssentials
import OAuth
import Sodium

/// A signed assertion (RFC 7523 section 3): what it says, and the signature. Each is used once.
enum Assertion {
    /// Seconds, where the settings do not say.
    static let lifetime = 300

    /// What an assertion is for.
    enum Use {
        /// The client proves who it is (section 2.2).
        case client
        /// The client asks for a token, in its own name or a user's (section 2.1).
        case grant(RequestedAccess)
        /// The assertion is the bearer token of the token request, as GitHub wants it of an App.
        case bearer
    }

    /// Proves who the client is, at the server that the settings name.
    /// - Parameter endpoint: where the request goes; nil for the token endpoint.
    /// - Throws: `TokenError.badKey` if the secret is no key that can sign.
    static func ofClient(
        _ configuration: CredentialConfiguration, to endpoint: EndpointURL? = nil, now: Date
    ) async throws(TokenError) -> Secret {
        let use = configuration.settings.clientAuthentication == .bearerJWT ? Use.bearer : .client
        return try await sign(configuration, use, to: endpoint, now: now)
    }

    /// Asks for a token. Google reads the scopes in it.
    static func asGrant(_ configuration: CredentialConfiguration, access: RequestedAccess, now: Date) async throws(TokenError)
        -> Secret
    {
        try await sign(configuration, .grant(access), to: nil, now: now)
    }

    private static func sign(
        _ configuration: CredentialConfiguration, _ use: Use, to endpoint: EndpointURL?, now: Date
    ) async throws(TokenError) -> Secret {
        let settings = configuration.settings
        let secret = configuration.keyPair.client.secret?.revealed() ?? ""
        let type = settings.assertion?.type
        var isSymmetric = false
        if case .client = use { isSymmetric = settings.clientAuthentication == .clientSecretJWT }
        do {
            let key =
                isSymmetric
                ? try SigningKey(sharedSecret: secret) : try SigningKey(pem: secret, algorithm: settings.assertion?.algorithm)
            return try await key.sign(
                claims(configuration, use, to: endpoint, now: now), type: type, keyID: settings.keyID,
                certificate: isSymmetric ? nil : PEM.firstCertificate(in: secret))
        } catch {
            throw .badKey
        }
    }

    /// The claims of one assertion, without those that the settings leave out.
    static func claims(
        _ configuration: CredentialConfiguration, _ use: Use, to endpoint: EndpointURL? = nil, now: Date
    ) -> [String: JSONValue] {
        let (settings, client) = (configuration.settings, configuration.keyPair.client)
        var assertion = settings.assertion ?? AssertionSettings()
        if assertion.audience == AssertionSettings.toEndpoint {
            assertion.audience = (endpoint ?? settings.tokenURL).description
        }
        var issued = Int(now.timeIntervalSince1970)
        var texts = ["iss": assertion.issuer ?? client.id, "jti": Base64URL.encode(Random.bytes(24))]
        switch use {
        case .client:
            texts["sub"] = client.id
            texts["aud"] = assertion.audience ?? settings.tokenURL.description
            // With this grant, the settings' names are those of the assertion that asks for a token.
            if settings.grant == .jwtBearer { texts["iss"] = client.id } else { texts["sub"] = assertion.subject ?? client.id }
        case .grant(let access):
            let scopes = access.scopes.isEmpty ? settings.scopes : access.scopes
            texts["sub"] = assertion.subject ?? client.username ?? client.id
            texts["aud"] = assertion.audience ?? settings.tokenURL.description
            if !scopes.isEmpty { texts["scope"] = settings.joined(scopes) }
        case .bearer:
            texts["sub"] = assertion.subject
            texts["aud"] = assertion.audience
            // GitHub advises this against clocks that differ, and refuses what lives for more than ten minutes.
            issued -= 60
        }
        var claims = texts.filter { !$0.value.isEmpty }.mapValues { JSONValue.string($0) }
        claims["iat"] = .integer(issued)
        claims["exp"] = .integer(issued + (assertion.lifetime ?? lifetime))
        return claims.merging(assertion.claims ?? [:]) { $1 }
    }
}
