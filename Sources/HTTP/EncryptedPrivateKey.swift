import FoundationEssentials
import NIOSSL
public import Sodium

/// A private key in PEM that a passphrase protects (PKCS#8, or the older form of OpenSSL). `add` and `rotate` decrypt it once;
/// the vault keeps it decrypted, since the vault is encrypted itself. BoringSSL, which NIOSSL brings, decrypts.
public enum EncryptedPrivateKey {
    public enum Refusal: Error, Equatable {
        /// The passphrase is wrong, or the key is encrypted in a way that BoringSSL does not know.
        case notDecrypted
        /// BoringSSL can't write a key of this kind: Ed25519.
        case unknownKind
        case memory
    }

    /// The first lines of a key.
    private static let headers = ["ENCRYPTED ", "RSA ", "EC ", ""].map { "-----BEGIN \($0)PRIVATE KEY-----" }

    /// Whether the key among these blocks is encrypted.
    public static func isEncrypted(_ pem: Secret) -> Bool {
        lines(pem).contains { $0 == headers[0] || $0.hasPrefix("Proc-Type: 4,ENCRYPTED") }
    }

    /// - Parameter pem: the key; certificates may stand beside it, and stay where they are.
    /// - Returns: the same with the key decrypted.
    public static func decrypt(_ pem: Secret, passphrase: Secret) throws(Refusal) -> Secret {
        var bytes = pem.withBytes { $0.array() }
        defer { bytes.wipe() }
        guard
            let key = try? NIOSSLPrivateKey(
                bytes: bytes, format: .pem,
                passphraseCallback: { (set: NIOSSLPassphraseSetter<[UInt8]>) in set(passphrase.withBytes { $0.array() }) })
        else { throw .notDecrypted }
        guard var der = try? key.derBytes, let name = name(ofKey: der) else { throw .unknownKind }
        defer { der.wipe() }
        let lines = lines(pem)
        guard let first = lines.firstIndex(where: { headers.contains(String($0)) }),
            let last = lines[first...].firstIndex(where: { $0.hasPrefix("-----END ") })
        else { throw .notDecrypted }
        let base64 = Data(der).base64EncodedString(options: .lineLength64Characters).split { $0.isNewline }
        let block = ["-----BEGIN \(name)-----"] + base64 + ["-----END \(name)-----"]
        do {
            return try Secret(utf8: (lines[..<first] + block + lines[(last + 1)...]).joined(separator: "\n") + "\n")
        } catch {
            throw .memory
        }
    }

    private static func lines(_ pem: Secret) -> [Substring] {
        pem.revealed().split { $0.isNewline }
    }

    /// An RSA key is a sequence that begins with the number 0 (RFC 8017 appendix A.1.2), one of an elliptic curve with 1
    /// (RFC 5915 section 3).
    private static func name(ofKey der: [UInt8]) -> String? {
        guard der.count > 8, der[0] == 0x30 else { return nil }
        let content = 2 + (der[1] < 0x80 ? 0 : Int(der[1] & 0x7F))
        guard der.count > content + 3, der[content] == 2, der[content + 1] == 1 else { return nil }
        return [0: "RSA PRIVATE KEY", 1: "EC PRIVATE KEY"][der[content + 2]]
    }
}
