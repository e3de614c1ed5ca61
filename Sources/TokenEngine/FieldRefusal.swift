/// Why something that came with a token is not shown.
public enum FieldRefusal: Error, Codable, Equatable, Sendable {
    /// Its name or its value says that it lets somebody in.
    case secret(String)
    case noField(String)
    case noIDToken
    /// It can't be taken apart: it is encrypted, or no JWT.
    case unreadable
    /// The settings name no issuer, so that nobody can say whose keys it must be signed with.
    case noIssuer
    case wrongIssuer
    case wrongAudience
    case wrongSignature
    case ended
    /// The issuer's keys can't be had: for this reason, in words of ours.
    case noKeys(String)
}
