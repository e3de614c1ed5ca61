import AgentProtocol
import Credentials
import OAuth
import TokenEngine

extension Terminal {
    /// Says in which form the server reads HTTP Basic, where that was found out.
    static func noteBasicForm(_ before: ClientAuthentication?, _ now: ClientAuthentication) {
        guard let before, before != now else { return }
        let words = now == .basicRaw ? "as they are, not form-encoded" : "form-encoded, as RFC 6749 says"
        note("the server reads id and secret \(words): kept as --client-auth \(now.option)")
    }

    /// Says of a credential whose key pair or login is new that nobody gets tokens of it yet.
    static func noteBlock(of credential: CredentialView) {
        guard let since = credential.blockedSince else { return }
        note(
            "\(Problem.quoted(credential.name)) is still blocked, since \(Report.time(since)): "
                + "claviger unblock \(Hint.shellWord(credential.name)) hands out tokens again")
    }

    /// Says of a token that it is of no use without a proof (RFC 9449).
    static func noteBinding(of token: CachedToken, _ name: String) {
        guard token.isBound else { return }
        note(
            "the token of \(Problem.quoted(name)) is bound to a key, and an API takes it only with a proof: "
                + "use --format dpop, claviger curl or claviger exec --proxy")
    }
}
