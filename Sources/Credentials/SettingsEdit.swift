public import OAuth
import TokenEngine

/// A change of the settings, from what was seen to what shall be, and of the values of secret parameters and headers. It is made
/// only if the settings that were seen are still stored, so that a change which another process has made meanwhile is not undone
/// by this one.
public struct SettingsEdit: Sendable {
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
    /// New values of the secret parameters and headers. What is not among them keeps its value for as long as the settings
    /// have its name.
    public var secretFields: SecretFields

    public init(before: Values, after: Values, secretFields: SecretFields = SecretFields()) {
        self.before = before
        self.after = after
        self.secretFields = secretFields
    }

    func isBased(on configuration: CredentialConfiguration) -> Bool {
        before == Values(clientID: configuration.keyPair.client.id, settings: configuration.settings)
    }

    /// - Throws: `CredentialError.noValue` if the settings would name a secret that has no value.
    func apply(to configuration: inout CredentialConfiguration) throws {
        configuration.secretFields = try secretFields.values(for: after.settings, else: configuration.secretFields)
        configuration.keyPair.client.id = after.clientID
        configuration.settings = after.settings
    }

    /// Whether a token would be acquired in another way, so that the stored ones are not those of the new settings.
    var changesTokenRequests: Bool {
        before.clientID != after.clientID || !secretFields.isEmpty
            || before.settings.forTokenRequests != after.settings.forTokenRequests
    }
}

extension ClientSettings {
    /// The settings without those that no request with a stored login depends on: what people do with tokens, where they log
    /// in, and what is known of the server.
    fileprivate var forTokenRequests: ClientSettings {
        var settings = self
        (settings.revocationURL, settings.introspectionURL, settings.apiURL) = (nil, nil, nil)
        (settings.authorizationURL, settings.authorizationParameters, settings.redirectURI) = (nil, nil, nil)
        settings.pushedAuthorizationURL = nil
        (settings.loginIdle, settings.loginLifetime) = (nil, nil)
        (settings.deviceAuthorizationURL, settings.issuer, settings.pkce, settings.nonce) = (nil, nil, nil, nil)
        (settings.refreshTokenRotates, settings.refreshTokenGrace) = (nil, nil)
        (settings.olderTokensLive, settings.resend, settings.noRefreshToken, settings.presentation) = (nil, nil, nil, nil)
        return settings
    }
}
