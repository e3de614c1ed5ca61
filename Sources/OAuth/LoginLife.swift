/// How long a login goes on, as far as a server or its documentation says (draft-ietf-oauth-refresh-token-expiration section 6.1).
public struct LoginLife: Equatable, Sendable {
    /// Seconds for which a refresh token may be held without being used.
    public var idle: Int?
    /// Seconds until the authorization ends, whatever is done.
    public var rest: Int?
    /// Seconds from the login to its end, where only the documentation says.
    public var total: Int?

    public init(idle: Int? = nil, rest: Int? = nil, total: Int? = nil) {
        (self.idle, self.rest, self.total) = (idle, rest, total)
    }

    /// What an answer says, in the draft's words or in those of GitHub, Entra and others, Intuit, and Keycloak. 0 says nothing, and
    /// neither does what is no number of seconds.
    init(_ body: AnswerBody) {
        func seconds(_ names: String...) -> Int? {
            names.lazy.compactMap { body[$0].flatMap(TokenLifetime.lifetime) }.first.flatMap { $0 > 0 ? $0 : nil }
        }
        idle = seconds("refresh_token_timeout", "refresh_token_expires_in", "x_refresh_token_expires_in", "refresh_expires_in")
        rest = seconds("authorization_expires_in")
    }

    /// With what the settings know, where the server does not say.
    public func completed(by settings: ClientSettings?) -> LoginLife {
        LoginLife(idle: idle ?? settings?.loginIdle, rest: rest, total: settings?.loginLifetime)
    }
}
