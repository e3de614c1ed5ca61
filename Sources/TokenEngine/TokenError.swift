public import FoundationEssentials
public import OAuth

/// Why there is no token. None of these carries a word of the server's beyond a registered error code.
public enum TokenError: Error, Codable, Equatable, Sendable {
    /// `invalid_client`: the key pair is wrong, or was regenerated elsewhere.
    case keyPairRefused
    case refused(OAuthErrorCode)
    /// The server has refused before, and is not asked again yet.
    case stillRefused(TokenState.Refusal)
    case unreachable(TransportFailure)
    /// The server failed with this status, after every try.
    case serverFailing(status: Int)
    /// The server limits the rate, for longer than we wait.
    case busy(retryAfter: Int?)
    case redirected(status: Int)
    case unusableAnswer(reason: String)
    /// The server has replaced the refresh token, and the new one is stored; but there is no token in its answer.
    case onlyRefreshToken(reason: String)
    /// A refresh token was sent at this time, and its answer is missing: whether the server has replaced it is not known.
    /// - Parameters:
    ///   - until: when it is sent again at the earliest; nil for with the next call.
    ///   - status: of the server's last answer, where there was one.
    case outcomeUnknown(sent: Date, until: Date?, status: Int?)
    /// Callers have had too many good tokens replaced within a minute.
    case tooManyRenewals(wait: Int)
    /// Another process kept the credential's claim for longer than we wait.
    case lockTimeout
    /// Only a person can help.
    case loginNeeded(LoginNeed)
    /// A rotating refresh token that belongs to another machine.
    case ownedElsewhere
    /// The server has answered, and what it gave could not be stored.
    case notStored
    /// The server gave a token, but nothing to renew it with.
    case noRefreshToken
    /// What should be a private key is none that can sign, or none for the algorithm that the settings name.
    case badKey
    /// A proof of possession is wanted for a token that is bound to no key (RFC 9449).
    case notBound
    /// What was to be exchanged could not be had.
    indirect case noSubject(SubjectFailure)
    /// The settings name no address for this.
    case noSuchEndpoint
    /// The server's tokens never live as long as was asked.
    case lifetimeTooShort(lifetime: Int, asked: Int)
    /// There is a token, and something that came with it is not shown.
    case notShown(FieldRefusal)
    /// Somebody has blocked the credential.
    case blocked(CredentialBlock)
    case memory
}

extension TokenError {
    /// What an answer that is no token means, where nothing is known besides.
    public init(_ refusal: TokenRefusal) { self = Acquisition.failure(refusal) }

    /// What can be done about a failure.
    public enum Remedy: Equatable, Sendable {
        /// The same again, later: after so many seconds where that is known.
        case retry(after: Int?)
        case logIn
        case replaceSecret
        /// The settings of the credential, or of the machine.
        case configure
        /// Ask for something else.
        case askOtherwise
        /// Nothing can be promised: what went wrong has to be looked at.
        case investigate
    }

    public var remedy: Remedy {
        switch self {
        case .keyPairRefused: .replaceSecret
        case .stillRefused(let refusal): refusal.cause == .client ? .replaceSecret : .logIn
        case .busy(let seconds): .retry(after: seconds)
        case .tooManyRenewals(let seconds): .retry(after: seconds)
        case .serverFailing, .lockTimeout, .outcomeUnknown: .retry(after: nil)
        case .unreachable(let failure): failure.isTransient ? .retry(after: nil) : .configure
        case .loginNeeded, .ownedElsewhere, .noRefreshToken: .logIn
        case .refused(.invalidGrant), .refused(.registered("access_denied")): .logIn
        case .refused, .redirected, .badKey, .notBound, .noSuchEndpoint: .configure
        case .noSubject(.failed(_, let failure)): failure.remedy
        case .noSubject, .blocked: .configure
        case .lifetimeTooShort, .notShown(.secret), .notShown(.noField): .askOtherwise
        case .notShown(.noKeys): .retry(after: nil)
        case .notShown(.noIDToken), .notShown(.noIssuer): .configure
        case .notShown, .unusableAnswer, .onlyRefreshToken, .notStored, .memory: .investigate
        }
    }

    /// Whether the server has spoken against this very client: its pair is wrong, and the same again is refused again.
    public var isRefusal: Bool {
        switch self {
        case .keyPairRefused, .refused: true
        default: false
        }
    }
}

/// Why no answer came.
public enum TransportFailure: Error, Codable, Equatable, Sendable {
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

    /// Whether the same request may go through later.
    var isTransient: Bool {
        switch self {
        case .noConnection, .answerLost: true
        case .certificate, .answerTooLarge, .configuration: false
        }
    }

    /// Whether the request may have reached the server.
    var isUncertain: Bool {
        switch self {
        case .answerLost, .answerTooLarge: true
        case .noConnection, .certificate, .configuration: false
        }
    }
}

/// Why there is no token to exchange (RFC 8693 section 2.1).
public enum SubjectFailure: Error, Codable, Equatable, Sendable {
    /// There is no such credential.
    case missing(name: String)
    /// It is an exchange itself: two that name each other would wait for ever.
    case exchange(name: String)
    /// No token could be had for it.
    case failed(name: String, TokenError)
    /// The file can't be read, or holds no token.
    case file(path: String)
}
