public import ArgumentParser
import AgentProtocol
import FoundationEssentials
public import OAuth

extension GrantType: ExpressibleByArgument {
    public init?(argument: String) { self.init(rawValue: argument.replacing("-", with: "_")) }
    public var defaultValueDescription: String { option }
    public static var allValueStrings: [String] { allCases.map(\.option) }
    /// As it is written on the command line.
    var option: String { rawValue.replacing("_", with: "-") }
}

extension ClientAuthentication: ExpressibleByArgument {
    public init?(argument: String) { self.init(rawValue: argument.replacing("-", with: "_")) }
    public var defaultValueDescription: String { option }
    public static var allValueStrings: [String] { allCases.map(\.option) }
    /// As it is written on the command line.
    var option: String { rawValue.replacing("_", with: "-") }
}

extension ParameterPlacement: ExpressibleByArgument {}

/// What describes a credential and is no secret: for `add` and `edit`.
struct SettingsOptions: ParsableArguments {
    @Option(help: "How tokens are granted.")
    var grant: GrantType?

    @Option(help: ArgumentHelp("The client id.", valueName: "id"))
    var clientID: String?

    @Option(help: "How the client proves who it is.")
    var clientAuth: ClientAuthentication?

    @Option(help: ArgumentHelp("The token endpoint.", valueName: "url"))
    var tokenURL: String?

    @Option(help: ArgumentHelp("The revocation endpoint (RFC 7009).", valueName: "url"))
    var revocationURL: String?

    @Option(help: ArgumentHelp("The introspection endpoint (RFC 7662).", valueName: "url"))
    var introspectionURL: String?

    @Option(help: ArgumentHelp("The address below which the service's API lies, for exec --proxy.", valueName: "url"))
    var apiURL: String?

    @Option(help: ArgumentHelp("A scope to ask for; may be repeated.", valueName: "scope"))
    var scope: [String] = []

    @Option(help: ArgumentHelp("An audience to ask for; may be repeated.", valueName: "audience"))
    var audience: [String] = []

    @Option(help: ArgumentHelp("A resource to ask for (RFC 8707); may be repeated.", valueName: "uri"))
    var resource: [String] = []

    @Option(help: ArgumentHelp("A further parameter of the token request; may be repeated.", valueName: "key=value"))
    var param: [String] = []

    @Option(help: ArgumentHelp("A further header of the token request; may be repeated.", valueName: "'name: value'"))
    var header: [String] = []

    @Option(name: .customLong("params-in"), help: "Where the parameters of a token request go.")
    var placement: ParameterPlacement?

    @Option(
        help: ArgumentHelp("Trust the certificates in this PEM file instead of the system's.", valueName: "file"),
        completion: .file())
    var caFile: String?

    @Option(help: ArgumentHelp("Where a person logs in.", valueName: "url"))
    var authorizationURL: String?

    @Option(help: ArgumentHelp("A further parameter of the login's address; may be repeated.", valueName: "key=value"))
    var authorizationParam: [String] = []

    @Option(help: ArgumentHelp("Where a device asks for a code (RFC 8628).", valueName: "url"))
    var deviceURL: String?

    @Option(help: ArgumentHelp("The id (kid) of the private key that assertions are signed with.", valueName: "id"))
    var keyID: String?

    @Option(help: ArgumentHelp("What stands between two scopes, where it is no space.", valueName: "text"))
    var scopeSeparator: String?

    @Flag(help: "The server gives no refresh token: a login ends with its token.")
    var noRefreshToken = false

    @Option(help: ArgumentHelp("The redirect address that is registered with the client.", valueName: "uri"))
    var redirectURI: String?

    @Option(help: ArgumentHelp("For token-exchange: the credential whose token is exchanged.", valueName: "name"))
    var subject: String?

    @Option(
        help: ArgumentHelp("For token-exchange: a file that always holds the token to exchange.", valueName: "file"),
        completion: .file())
    var subjectFile: String?

    @Option(help: ArgumentHelp("What the subject's token is: access_token, jwt, id_token, ... or a URI.", valueName: "type"))
    var subjectType: String?

    @Option(help: ArgumentHelp("For token-exchange: the credential that acts for the subject.", valueName: "name"))
    var actor: String?

    @Option(
        help: ArgumentHelp("For token-exchange: a file with the token of who acts for the subject.", valueName: "file"),
        completion: .file())
    var actorFile: String?

    @Option(help: ArgumentHelp("What the actor's token is.", valueName: "type"))
    var actorType: String?

    /// Whether any option was given.
    var isEmpty: Bool {
        grant == nil && clientID == nil && clientAuth == nil && tokenURL == nil && revocationURL == nil
            && introspectionURL == nil && apiURL == nil && placement == nil && caFile == nil
            && authorizationURL == nil && deviceURL == nil && keyID == nil && redirectURI == nil
            && scopeSeparator == nil && !noRefreshToken
            && [subject, subjectFile, subjectType, actor, actorFile, actorType].allSatisfy { $0 == nil }
            && [scope, audience, resource, param, header, authorizationParam].allSatisfy(\.isEmpty)
    }

    /// Writes what was given over what is there; a list that was given replaces the list.
    func apply(to settings: inout ClientSettings) throws {
        if let grant { settings.grant = grant }
        if let clientAuth { settings.clientAuthentication = clientAuth }
        if let placement { settings.placement = placement }
        if let tokenURL { settings.tokenURL = try Self.address("--token-url", tokenURL) }
        if let revocationURL { settings.revocationURL = try Self.address("--revocation-url", revocationURL) }
        if let introspectionURL { settings.introspectionURL = try Self.address("--introspection-url", introspectionURL) }
        if let apiURL { settings.apiURL = try Self.apiAddress(apiURL) }
        if !scope.isEmpty { settings.scopes = try scope.flatMap(Self.scopes) }
        if !audience.isEmpty { settings.audiences = audience }
        if !resource.isEmpty { settings.resources = resource }
        if !param.isEmpty { settings.parameters = try param.map(Self.parameter) }
        if !header.isEmpty { settings.headers = try header.map(Self.headerField) }
        if let authorizationURL {
            settings.authorizationURL = try Self.address("--authorization-url", authorizationURL)
        }
        if let deviceURL { settings.deviceAuthorizationURL = try Self.address("--device-url", deviceURL) }
        if !authorizationParam.isEmpty { settings.authorizationParameters = try authorizationParam.map(Self.parameter) }
        if let scopeSeparator { settings.scopeSeparator = scopeSeparator == " " ? nil : scopeSeparator }
        if noRefreshToken { settings.noRefreshToken = true }
        if let keyID { settings.keyID = keyID }
        if let redirectURI { settings.redirectURI = try Self.redirect(redirectURI) }
        if let caFile { settings.certificateAuthority = try Self.certificates(caFile) }
        settings.subject = try Self.exchanged("subject", subject, subjectFile, type: subjectType, else: settings.subject)
        settings.actor = try Self.exchanged("actor", actor, actorFile, type: actorType, else: settings.actor)
        if settings.grant == .tokenExchange, settings.subject == nil {
            throw Problem(
                "token-exchange needs a token to exchange", hint: "name it with --subject NAME or --subject-file FILE", .usage)
        }
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

    static func address(_ option: String, _ text: String) throws -> EndpointURL {
        do throws(EndpointURL.Refusal) {
            return try EndpointURL(text)
        } catch {
            throw Problem.address(option, error)
        }
    }

    private static func apiAddress(_ text: String) throws -> EndpointURL {
        let url = try address("--api-url", text)
        guard url.query == nil else { throw Problem("the address of --api-url can't have a query", .usage) }
        return url
    }

    /// A redirect address may be of any scheme (RFC 8252 section 7.1); it only has to be one.
    private static func redirect(_ text: String) throws -> String {
        guard text.contains(":"), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), !text.contains("#") else {
            throw Problem("the address of --redirect-uri is not an address", .usage)
        }
        return text
    }

    /// `--scope "a b"` is `--scope a --scope b`. What a scope may hold is in RFC 6749 section 3.3.
    static func scopes(_ text: String) throws -> [String] {
        let scopes = text.split(separator: " ").map(String.init)
        let allowed = scopes.allSatisfy { $0.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C } }
        guard !scopes.isEmpty, allowed else { throw Problem("a scope is empty or has characters that none may have", .usage) }
        return scopes
    }

    private static func parameter(_ text: String) throws -> Parameter {
        guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
            throw Problem("a parameter is given as key=value", .usage)
        }
        return Parameter(String(text[..<equals]), String(text[text.index(after: equals)...]))
    }

    private static func headerField(_ text: String) throws -> Parameter {
        guard let colon = text.firstIndex(of: ":") else { throw Problem("--header takes 'name: value'", .usage) }
        let name = String(text[..<colon])
        let value = String(text[text.index(after: colon)...].drop { $0 == " " })
        guard HeaderRules.isName(name), HeaderRules.isValue(value) else {
            throw Problem("--header has characters that no header may have", .usage)
        }
        return Parameter(name, value)
    }

    private static func certificates(_ path: String) throws -> String {
        let bytes = try SecretInput.contents(path, limit: 1 << 20, what: "certificates")
        guard let text = String(validating: bytes, as: UTF8.self), text.contains("-----BEGIN CERTIFICATE-----") else {
            throw Problem("\(path) holds no certificate in PEM", .usage)
        }
        return text
    }
}

/// What HTTP allows in a header (RFC 9110 sections 5.1 and 5.5).
enum HeaderRules {
    static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !Array("\"(),/:;<=>?@[\\]{}".utf8).contains($0) }
    }

    static func isValue(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}
