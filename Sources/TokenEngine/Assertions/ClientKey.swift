import JWTKit
public import OAuth
public import Sodium

/// A signing key that claviger makes itself: P-256, which every server knows that knows keys of clients.
public enum ClientKey {
    /// - Returns: a new key in PEM (PKCS#8), and its public half as a JWK (RFC 7517).
    /// - Throws: `TokenError.memory`.
    public static func make() throws(TokenError) -> (key: Secret, publicKey: JSONValue) {
        let key = ES256PrivateKey()
        guard let members = try? publicKey(of: key) else { throw .badKey }
        do throws(SodiumError) {
            return (try Secret(utf8: key.pemRepresentation), .object(members.mapValues(JSONValue.string)))
        } catch {
            throw .memory
        }
    }

    /// The members that say which key it is (RFC 7518 section 6.2.1).
    static func publicKey(of key: ES256PrivateKey) throws -> [String: String] {
        guard let (x, y) = key.parameters else { throw SigningKey.Refusal() }
        return ["kty": "EC", "crv": "P-256", "x": base64URL(x), "y": base64URL(y)]
    }

    /// JWTKit has the coordinates in base64 (RFC 4648 section 4).
    private static func base64URL(_ text: String) -> String {
        text.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}
