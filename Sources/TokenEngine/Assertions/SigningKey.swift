import FoundationEssentials
import JWTKit
import OAuth
import Sodium

/// A key that signs assertions. JWTKit signs; the key is in ordinary memory for that moment.
struct SigningKey {
    /// The key that a text was no key of.
    struct Refusal: Error {}

    private let add: @Sendable (JWTKeyCollection) async -> Void

    private init(_ add: @escaping @Sendable (JWTKeyCollection) async -> Void) {
        self.add = add
    }

    /// HS256 with a client secret.
    init(sharedSecret: String) throws {
        let key = HMACKey(from: Self.padded(sharedSecret))
        self.init { await $0.add(hmac: key, digestAlgorithm: .sha256) }
    }

    /// A private key in PEM; a certificate may stand beside it.
    /// - Parameter algorithm: nil for what suits the key: RS256, ES256, ES384, ES512 or EdDSA.
    /// - Throws: `Refusal` if it is no key, or none for this algorithm.
    init(pem text: String, algorithm: AssertionAlgorithm?) throws {
        guard let pem = PEM.privateKey(in: text) else { throw Refusal() }
        func suits(_ algorithms: AssertionAlgorithm...) -> Bool { algorithm.map(algorithms.contains) ?? true }
        if suits(.rs256, .ps256), let rsa = try? Insecure.RSA.PrivateKey(pem: pem) {
            self.init {
                if algorithm == .ps256 {
                    await $0.add(pss: rsa, digestAlgorithm: .sha256)
                } else {
                    await $0.add(rsa: rsa, digestAlgorithm: .sha256)
                }
            }
        } else if suits(.es256), let ecdsa = try? ES256PrivateKey(pem: pem) {
            self.init { await $0.add(ecdsa: ecdsa) }
        } else if suits(.es384), let ecdsa = try? ES384PrivateKey(pem: pem) {
            self.init { await $0.add(ecdsa: ecdsa) }
        } else if suits(.es512), let ecdsa = try? ES512PrivateKey(pem: pem) {
            self.init { await $0.add(ecdsa: ecdsa) }
        } else if suits(.eddsa), let eddsa = try? EdDSA.PrivateKey(pem: pem) {
            self.init { await $0.add(eddsa: eddsa) }
        } else {
            throw Refusal()
        }
    }

    init(_ key: ES256PrivateKey) { self.init { await $0.add(ecdsa: key) } }

    /// Signs one assertion.
    /// - Parameters:
    ///   - type: the header `typ`; nil for `JWT`.
    ///   - certificate: in DER; its hash goes into the header `x5t#S256` (RFC 7515 section 4.1.8).
    func sign(
        _ claims: [String: JSONValue], type: String?, keyID: String?, certificate: [UInt8]?
    ) async throws -> Secret {
        var header = JWTHeader()
        if let keyID { header.kid = keyID }
        if let type { header.typ = type }
        if let certificate { header.fields["x5t#S256"] = .string(Base64URL.encode(SHA256.hash(certificate))) }
        return try await sign(claims, header: header)
    }

    func sign(_ claims: [String: JSONValue], header: JWTHeader) async throws -> Secret {
        let keys = JWTKeyCollection()
        await add(keys)
        return try Secret(utf8: try await keys.sign(Claims(members: claims), header: header))
    }

    private struct Claims: JWTPayload {
        var members: [String: JSONValue]

        init(members: [String: JSONValue]) { self.members = members }
        init(from decoder: any Decoder) throws { members = try [String: JSONValue](from: decoder) }
        func encode(to encoder: any Encoder) throws { try members.encode(to: encoder) }
        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }

    /// JWTKit traps on keys shorter than RFC 7518 section 3.2 wants, and some servers hand out such secrets. HMAC itself
    /// fills a key up with zeros (RFC 2104 section 2), so that this one signs the same.
    private static func padded(_ key: String) -> [UInt8] {
        let bytes = Array(key.utf8)
        return bytes + [UInt8](repeating: 0, count: max(0, 32 - bytes.count))
    }
}
