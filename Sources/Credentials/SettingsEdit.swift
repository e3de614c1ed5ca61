public import OAuth
import TokenEngine

/// A change of what is not secret: from what was seen to what shall be. It is made only if what was seen is still stored, so
/// that a change which another process has made meanwhile is not undone by this one.
public struct SettingsEdit: Codable, Sendable {
    public struct Values: Codable, Equatable, Sendable {
        public var clientID: String
        public var settings: ClientSettings

        public init(clientID: String, settings: ClientSettings) {
            self.clientID = clientID
            self.settings = settings
        }
    }

    public var before: Values
    public var after: Values

    public init(before: Values, after: Values) {
        self.before = before
        self.after = after
    }

    func isBased(on configuration: CredentialConfiguration) -> Bool {
        before == Values(clientID: configuration.keyPair.client.id, settings: configuration.settings)
    }

    func apply(to configuration: inout CredentialConfiguration) {
        configuration.keyPair.client.id = after.clientID
        configuration.settings = after.settings
    }

    /// Whether a token would be acquired in another way, so that the stored ones are not those of the new settings.
    var changesTokenRequests: Bool {
        before.clientID != after.clientID || before.settings.forTokenRequests != after.settings.forTokenRequests
    }
}

extension ClientSettings {
    /// The settings without those that no request with a stored login depends on: what people do with tokens, where they log
    /// in, and what is known of the server.
    fileprivate var forTokenRequests: ClientSettings {
        var settings = self
        (settings.revocationURL, settings.introspectionURL, settings.apiURL) = (nil, nil, nil)
        (settings.authorizationURL, settings.authorizationParameters, settings.redirectURI) = (nil, nil, nil)
        (settings.deviceAuthorizationURL, settings.issuer) = (nil, nil)
        (settings.refreshTokenRotates, settings.refreshTokenGrace) = (nil, nil)
        (settings.olderTokensLive, settings.resend, settings.noRefreshToken) = (nil, nil, nil)
        return settings
    }
}
