public import Sodium

/// What a device shows to a person, and asks with (RFC 8628 section 3.2).
public struct DeviceCodes: Sendable {
    public var deviceCode: Secret
    /// What the person types.
    public var userCode: String
    /// Where the person types it.
    public var verificationURI: String
    /// The same with the code in it, for a QR code.
    public var completeURI: String?
    /// Seconds.
    public var expiresIn: Int
    /// Seconds between two questions.
    public var interval: Int

    /// - Throws: `TokenRefusal`.
    public init(parsing answer: JSONValue) throws(TokenRefusal) {
        func optional(_ name: String) -> String? {
            guard let text = answer.member(name)?.string, text.utf8.count <= 2048,
                text.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
            else { return nil }
            return text
        }
        func text(_ name: String) throws(TokenRefusal) -> String {
            guard let text = optional(name) else { throw .unusable(reason: "no \(name)") }
            return text
        }
        do throws(SodiumError) {
            deviceCode = try Secret(utf8: answer.member("device_code")?.string ?? "")
        } catch {
            throw .memory
        }
        guard deviceCode.count > 0 else { throw .unusable(reason: "no device_code") }
        userCode = try text("user_code")
        // Google's word is from before the RFC.
        if let uri = optional("verification_uri") {
            verificationURI = uri
        } else {
            verificationURI = try text("verification_url")
        }
        completeURI = optional("verification_uri_complete")
        expiresIn = min(max(answer.member("expires_in")?.wholeNumber ?? 600, 1), 86_400)
        interval = min(max(answer.member("interval")?.wholeNumber ?? 5, 1), 3600)
    }
}

extension JSONValue {
    var wholeNumber: Int? {
        switch self {
        case .integer(let number): number
        case .number(let number): Int(exactly: number.rounded())
        case .string(let text): Int(text) ?? Double(text).flatMap { Int(exactly: $0.rounded()) }
        default: nil
        }
    }
}
