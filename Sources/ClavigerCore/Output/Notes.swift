import OAuth

extension Terminal {
    /// Says in which form the server reads HTTP Basic, where that was found out.
    static func noteBasicForm(_ before: ClientAuthentication?, _ now: ClientAuthentication) {
        guard let before, before != now else { return }
        let words = now == .basicRaw ? "as they are, not form-encoded" : "form-encoded, as RFC 6749 says"
        note("the server reads id and secret \(words): kept as --client-auth \(now.option)")
    }
}
