import FoundationEssentials
import JWTKit
import OAuth
import Sodium

/// The ID token that comes with a login where `openid` was asked for. It is only looked at for one thing then: whether it
/// belongs to the login that this process began. It came from the token endpoint itself, over TLS, which vouches for it
/// instead of its signature (OpenID Connect Core 1.0 section 3.1.3.7, point 6).
enum IDToken {
    private struct Claims: JWTPayload {
        var nonce: String?
        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }

    private static func refusal(_ what: String) -> TokenError {
        .unusableAnswer(reason: "an ID token that \(what) (claviger edit --nonce false takes one unseen)")
    }

    /// - Throws: `TokenError.unusableAnswer` if there is one, and it was made for another request. A server that takes
    ///   `openid` for a word like any other sends none.
    static func check(_ granted: TokenSet, nonce: String) async throws(TokenError) {
        let members = granted.extras.flatMap { JSONValue(parsing: Array($0.revealed().utf8)) }?.object
        guard let token = members?["id_token"]?.string, !token.isEmpty else { return }
        let parts = token.split(separator: ".", omittingEmptySubsequences: false).count
        guard parts != 5 else { throw refusal("is encrypted, so that its nonce can't be read") }
        guard let claims = try? await JWTKeyCollection().unverified(token, as: Claims.self) else {
            throw refusal("is no JWT, so that its nonce can't be read")
        }
        guard let found = claims.nonce, !found.isEmpty else { throw refusal("lacks the nonce that was sent") }
        guard found == nonce else { throw .unusableAnswer(reason: "an ID token that belongs to another login") }
    }
}
