public import OAuth

/// Why there is no token. None of these carries a word of the server's beyond a registered error code.
public enum TokenFailure: Error, Equatable, Sendable {
    /// `invalid_client`: the key pair is wrong, or was regenerated elsewhere.
    case keyPairRefused
    case refused(OAuthErrorCode)
    case unreachable(TransportFailure)
    /// The server failed with this status, after every try.
    case serverFailing(status: Int)
    /// The server asks to be left alone for longer than we wait.
    case busy(retryAfter: Int?)
    case redirected(status: Int)
    case unusableAnswer(reason: String)
    /// Another process kept the credential's lock for longer than we wait.
    case lockTimeout
    /// Only a person can help.
    case loginNeeded(LoginNeed)
    /// A rotating refresh token that belongs to another machine.
    case ownedElsewhere
    /// The server has answered, and what it gave could not be stored.
    case notStored
    /// The server gave a token, but nothing to renew it with.
    case noRefreshToken
    /// What should be a private key is none that can sign (RSA, P-256 or Ed25519 in PEM).
    case badKey
    /// What was to be exchanged could not be had.
    indirect case noSubject(SubjectFailure)
    /// The settings name no address for this.
    case noSuchEndpoint
    /// The server's tokens never live as long as was asked.
    case lifetimeTooShort(lifetime: Int, asked: Int)
    case memory
}

/// Why no answer came.
public enum TransportFailure: Error, Equatable, Sendable {
    /// No connection: nothing was sent.
    case noConnection(host: String, reason: String)
    /// The request went out, or may have, and no whole answer came back.
    case answerLost(host: String, reason: String)
    /// The other side could not prove that it is the host.
    case certificate(host: String, reason: String)
    /// The answer is larger than any token's.
    case answerTooLarge(host: String)
    /// The certificates to trust, or a proxy variable, can't be used.
    case configuration(reason: String)
}

/// Why there is no token to exchange (RFC 8693 section 2.1).
public enum SubjectFailure: Error, Equatable, Sendable {
    /// There is no such credential.
    case missing(name: String)
    /// It is an exchange itself: two that name each other would wait for ever.
    case exchange(name: String)
    /// No token could be had for it.
    case failed(name: String, TokenFailure)
    /// The file can't be read, or holds no token.
    case file(path: String)
}
