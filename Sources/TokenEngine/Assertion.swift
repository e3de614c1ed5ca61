import FoundationEssentials
import JWTKit
import OAuth
import Sodium

/// Signed assertions (RFC 7523 section 3). JWTKit signs; each assertion lives for five minutes and is used once.
enum Assertion {
    /// Seconds.
    static let lifetime = 300.0

    private struct Claims: JWTPayload {
        var iss: String
        var sub: String
        var aud: String
        var iat: Int
        var exp: Int
        var jti: String
        var scope: String?

        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }

    /// Proves who the client is, at the server that the settings name.
    /// - Throws: `TokenError.badKey` if the secret is no key that can sign.
    static func ofClient(_ configuration: CredentialConfiguration, now: Date) async throws(TokenError) -> Secret {
        let client = configuration.keyPair.client
        return try await sign(
            configuration, subject: client.id, scope: nil, now: now,
            symmetric: configuration.settings.clientAuthentication == .clientSecretJWT)
    }

    /// Asks for a token in the client's own name (RFC 7523 section 2.1). Google reads the scopes in it.
    static func asGrant(_ configuration: CredentialConfiguration, access: RequestedAccess, now: Date) async throws(TokenError)
        -> Secret
    {
        let client = configuration.keyPair.client
        let scopes = access.scopes.isEmpty ? configuration.settings.scopes : access.scopes
        return try await sign(
            configuration, subject: client.username ?? client.id, scope: scopes.isEmpty ? nil : scopes.joined(separator: " "),
            now: now,
            symmetric: false)
    }

    /// JWTKit traps on keys shorter than RFC 7518 section 3.2 wants, and some servers hand out such secrets. HMAC itself
    /// fills a key up with zeros (RFC 2104 section 2), so that this one signs the same.
    private static func padded(_ key: String) -> [UInt8] {
        let bytes = Array(key.utf8)
        return bytes + [UInt8](repeating: 0, count: max(0, 32 - bytes.count))
    }

    private static func sign(
        _ configuration: CredentialConfiguration, subject: String, scope: String?, now: Date, symmetric: Bool
    ) async throws(TokenError) -> Secret {
        let settings = configuration.settings
        let issued = Int(now.timeIntervalSince1970)
        let claims = Claims(
            iss: configuration.keyPair.client.id, sub: subject, aud: settings.tokenURL.description, iat: issued,
            exp: issued + Int(lifetime), jti: Base64URL.encode(Random.bytes(24)), scope: scope)
        let key = configuration.keyPair.client.secret?.revealed() ?? ""
        do {
            let keys = JWTKeyCollection()
            if symmetric {
                await keys.add(hmac: HMACKey(from: Self.padded(key)), digestAlgorithm: .sha256)
            } else if let rsa = try? Insecure.RSA.PrivateKey(pem: key) {
                await keys.add(rsa: rsa, digestAlgorithm: .sha256)
            } else if let ecdsa = try? ES256PrivateKey(pem: key) {
                await keys.add(ecdsa: ecdsa)
            } else {
                await keys.add(eddsa: try EdDSA.PrivateKey(pem: key))
            }
            var header = JWTHeader()
            if let id = settings.keyID { header.kid = id }
            return try Secret(utf8: try await keys.sign(claims, header: header))
        } catch {
            throw .badKey
        }
    }
}
