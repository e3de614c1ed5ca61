import FoundationEssentials
import HTTPTypes
import JWTKit
import OAuth
public import Sodium
import Synchronization

/// A credential's key for proofs of possession (RFC 9449): P-256, which every server that knows DPoP knows. It is kept as the
/// client secret is, and no request returns it.
public enum DPoPKey {
    /// - Returns: a new key in PEM (PKCS#8).
    /// - Throws: `TokenError.memory`.
    public static func make() throws(TokenError) -> Secret {
        try ClientKey.make().key
    }

    /// What names the key in a login's request (`dpop_jkt`, section 10): a code that is stolen is then of no use without the key.
    /// - Returns: the JWK thumbprint (RFC 7638).
    /// - Throws: `TokenError.badKey` if this is no such key.
    public static func thumbprint(of key: Secret) throws(TokenError) -> String {
        do {
            let jwk = try ClientKey.publicKey(of: try ES256PrivateKey(pem: key.revealed()))
            // The members that are needed, in the order of the alphabet (section 3).
            let text = ["crv", "kty", "x", "y"].map { "\"\($0)\":\"\(jwk[$0] ?? "")\"" }.joined(separator: ",")
            return Base64URL.encode(SHA256.hash(Array("{\(text)}".utf8)))
        } catch {
            throw .badKey
        }
    }

    /// A proof for one request.
    /// - Parameter token: the access token that goes with it; nil at the token endpoint.
    /// - Throws: `TokenError.badKey` if this is no such key.
    static func proof(
        _ key: Secret, of request: ProofRequest, token: Secret?, now: Date
    ) async throws(TokenError) -> Secret {
        let claims = DPoPProof.claims(
            request, id: Base64URL.encode(Random.bytes(16)), issued: Int(now.timeIntervalSince1970), token: token)
        do {
            let key = try ES256PrivateKey(pem: key.revealed())
            return try await SigningKey(key).sign(claims, header: header(key))
        } catch {
            throw .badKey
        }
    }

    /// The public key stands in the proof (section 4.2).
    private static func header(_ key: ES256PrivateKey) throws -> JWTHeader {
        let jwk = try ClientKey.publicKey(of: key)
        return JWTHeader(fields: [
            "typ": .string(DPoPProof.type), "jwk": .object(jwk.mapValues { .string($0) }),
        ])
    }
}

/// The nonces that servers have given last, by their origins (RFC 9449 section 8.2). They are in no vault: a server gives another
/// one for the asking.
public final class DPoPNonces: Sendable {
    private let nonces = Mutex<[String: String]>([:])

    public init() {}

    func nonce(for url: EndpointURL) -> String? { nonces.withLock { $0[Self.origin(url)] } }

    /// Keeps the nonce of an answer, for the next request.
    /// - Returns: whether it is another one than was known.
    func learn(from fields: HTTPFields, of url: EndpointURL) -> Bool {
        guard let nonce = fields[.dpopNonce], ProofRequest.isNonce(nonce) else { return false }
        return nonces.withLock { $0.updateValue(nonce, forKey: Self.origin(url)) != nonce }
    }

    private static func origin(_ url: EndpointURL) -> String { "\(url.scheme)://\(url.authority)" }
}

extension HTTPField.Name {
    /// RFC 9449 section 4.1.
    static let dpop = HTTPField.Name("DPoP")!
    /// Section 8.2.
    static let dpopNonce = HTTPField.Name("DPoP-Nonce")!
}
