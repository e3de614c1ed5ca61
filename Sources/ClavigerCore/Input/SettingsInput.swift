import AgentProtocol
import FoundationEssentials
import OAuth

extension SettingsOptions {
    /// Writes what was given over what is there; a list that was given replaces the list.
    func apply(to settings: inout ClientSettings) throws {
        if let grant { settings.grant = grant }
        if let clientAuth { settings.clientAuthentication = clientAuth }
        if let placement { settings.placement = placement }
        if let tokenURL { settings.tokenURL = try SettingInput.address("--token-url", tokenURL) }
        if let revocationURL { settings.revocationURL = try SettingInput.address("--revocation-url", revocationURL) }
        if let introspectionURL { settings.introspectionURL = try SettingInput.address("--introspection-url", introspectionURL) }
        if let apiURL { settings.apiURL = try SettingInput.apiAddress(apiURL) }
        if !scope.isEmpty { settings.scopes = try scope.flatMap(SettingInput.scopes) }
        if !audience.isEmpty { settings.audiences = audience }
        if !resource.isEmpty { settings.resources = resource }
        try applyFields(to: &settings)
        if let authorizationURL {
            settings.authorizationURL = try SettingInput.address("--authorization-url", authorizationURL)
        }
        if let pushedAuthorizationURL {
            settings.pushedAuthorizationURL = try SettingInput.address("--pushed-authorization-url", pushedAuthorizationURL)
        }
        if let deviceURL { settings.deviceAuthorizationURL = try SettingInput.address("--device-url", deviceURL) }
        if !authorizationParam.isEmpty {
            settings.authorizationParameters = try authorizationParam.map(SettingInput.authorizationParameter)
        }
        if let pkce { settings.pkce = pkce }
        if let nonce { settings.nonce = nonce }
        if let scopeSeparator { settings.scopeSeparator = scopeSeparator == " " ? nil : scopeSeparator }
        if noRefreshToken { settings.noRefreshToken = true }
        if let refreshTokenRotates { settings.refreshTokenRotates = refreshTokenRotates }
        if let refreshTokenGrace { settings.refreshTokenGrace = refreshTokenGrace }
        if let olderTokensLive { settings.olderTokensLive = olderTokensLive }
        if let resend { settings.resend = resend }
        if let keyID { settings.keyID = keyID }
        try assertion.apply(to: &settings)
        if dpop { settings.dpop = true }
        if let redirectURI { settings.redirectURI = try SettingInput.redirect(redirectURI) }
        try applyFormats(to: &settings)
        if let caFile { settings.certificateAuthority = try SettingInput.certificates(caFile) }
        settings.subject = try Self.exchanged("subject", subject, subjectFile, type: subjectType, else: settings.subject)
        settings.actor = try Self.exchanged("actor", actor, actorFile, type: actorType, else: settings.actor)
        if settings.grant == .tokenExchange, settings.subject == nil {
            throw Problem(
                "token-exchange needs a token to exchange", hint: "name it with --subject NAME or --subject-file FILE", .usage)
        }
    }

    private func applyFormats(to settings: inout ClientSettings) throws {
        if let method { settings.method = method }
        if !paramName.isEmpty {
            let names = try paramName.map(SettingInput.parameter)
            settings.parameterNames = Dictionary(names.map { ($0.name, $0.value) }) { $1 }
        }
        if !refresh.isEmpty { settings.refresh = try SettingInput.format("--refresh", refresh, RefreshFormat.init(members:)) }
        if let refreshURL {
            var format = settings.refresh ?? RefreshFormat()
            format.url = try SettingInput.address("--refresh-url", refreshURL)
            settings.refresh = format
        }
        if !answer.isEmpty { settings.answer = try SettingInput.format("--answer", answer, AnswerFormat.init(members:)) }
        if let presentation { settings.presentation = presentation }
        if let loginIdle { settings.loginIdle = Int(loginIdle.seconds) }
        if let loginLifetime { settings.loginLifetime = Int(loginLifetime.seconds) }
        if let tokenLifetime { settings.tokenLifetime = Int(tokenLifetime.seconds) }
    }

    /// A token to exchange (RFC 8693 section 2.1), from what was given over what is there.
    private static func exchanged(
        _ option: String, _ name: String?, _ file: String?, type: String?, else old: ExchangedToken?
    ) throws -> ExchangedToken? {
        let source: ExchangedToken.Source
        switch (name, file) {
        case (nil, nil):
            guard let old else {
                guard type == nil else { throw Problem("--\(option)-type needs --\(option) or --\(option)-file", .usage) }
                return nil
            }
            source = old.source
        case (let name?, nil): source = .credential(name: name)
        case (nil, let file?): source = .file(path: absolute(file))
        default: throw Problem("--\(option) and --\(option)-file can't both be given", .usage)
        }
        return ExchangedToken(source: source, type: try tokenType(type) ?? defaultType(source, old))
    }

    private static func defaultType(_ source: ExchangedToken.Source, _ old: ExchangedToken?) -> String {
        if let old, old.source == source { return old.type }
        if case .file = source { return ExchangedToken.registeredType("jwt") }
        return ExchangedToken.registeredType("access_token")
    }

    private static func tokenType(_ text: String?) throws -> String? {
        guard let text else { return nil }
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Problem("a token type is a word or a URI", .usage)
        }
        return text.contains(":") ? text : ExchangedToken.registeredType(text.replacing("-", with: "_"))
    }

    /// The file is read again for each exchange, from wherever that happens.
    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }
}
