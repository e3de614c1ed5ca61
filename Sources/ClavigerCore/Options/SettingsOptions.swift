import ArgumentParser
import FoundationEssentials
import OAuth

/// What describes a credential, without its key pair: for `add` and `edit`.
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

    @Option(
        help: ArgumentHelp(
            "A further parameter whose value is a secret and stands in a file; - for standard input. May be repeated.",
            valueName: "key=file|-"))
    var paramFile: [String] = []

    @Option(
        help: ArgumentHelp(
            "A further header whose value is a secret and stands in a file; - for standard input. May be repeated.",
            valueName: "'name: file|-'"))
    var headerFile: [String] = []

    @Option(name: .customLong("params-in"), help: "Where the parameters of a token request go.")
    var placement: ParameterPlacement?

    @Option(help: "How token requests are sent.")
    var method: RequestMethod?

    @Option(
        help: ArgumentHelp(
            "The server's own name of a parameter; without a name, it is left out. May be repeated.",
            valueName: "parameter=name"))
    var paramName: [String] = []

    @Option(help: ArgumentHelp("Where a refresh token is sent, if not to the token endpoint.", valueName: "url"))
    var refreshURL: String?

    @Option(
        help: ArgumentHelp(
            "What is different in a refresh, as in claviger-providers(5): method=GET; may be repeated.",
            valueName: "member=value"))
    var refresh: [String] = []

    @Option(
        help: ArgumentHelp(
            "Where something stands in the answer, as in claviger-providers(5): access_token=/data/token; may be repeated.",
            valueName: "member=value"))
    var answer: [String] = []

    @Option(
        help: ArgumentHelp(
            "How the token goes to the API: 'X-Auth-Token: {token}' or '?access_token={token}'.", valueName: "text"))
    var presentation: TokenPresentation?

    @Option(help: ArgumentHelp("How long tokens live where the server doesn't say.", valueName: "duration"))
    var tokenLifetime: DurationArgument?

    @Option(help: ArgumentHelp("How long a refresh token may go unused where the server doesn't say.", valueName: "duration"))
    var loginIdle: DurationArgument?

    @Option(help: ArgumentHelp("How long a login lives where the server doesn't say.", valueName: "duration"))
    var loginLifetime: DurationArgument?

    @Option(
        help: ArgumentHelp("Trust the certificates in this PEM file instead of the system's.", valueName: "file"),
        completion: .file())
    var caFile: String?

    @Option(help: ArgumentHelp("Where a person logs in.", valueName: "url"))
    var authorizationURL: String?

    @Option(help: ArgumentHelp("A further parameter of the login's address; may be repeated.", valueName: "key=value"))
    var authorizationParam: [String] = []

    @Option(help: ArgumentHelp("Whether a login is bound to a code verifier (RFC 7636), as usual.", valueName: "true|false"))
    var pkce: Bool?

    @Option(
        help: ArgumentHelp("Whether an ID token must have the nonce of its login, as usual.", valueName: "true|false"))
    var nonce: Bool?

    @Option(help: ArgumentHelp("Where a login's request is handed in first (RFC 9126).", valueName: "url"))
    var pushedAuthorizationURL: String?

    @Option(help: ArgumentHelp("Where a device asks for a code (RFC 8628).", valueName: "url"))
    var deviceURL: String?

    @Option(
        name: .customLong("kid"),
        help: ArgumentHelp("The id (kid) of the private key that assertions are signed with.", valueName: "id"))
    var keyID: String?

    @Flag(name: .customLong("dpop"), help: "Bind tokens to a key that is made for the credential (RFC 9449).")
    var dpop = false

    @OptionGroup(title: "What a signed assertion says") var assertion: AssertionOptions

    @Option(help: ArgumentHelp("What stands between two scopes, where it is no space.", valueName: "text"))
    var scopeSeparator: String?

    @Flag(help: "The server gives no refresh token: a login ends with its token.")
    var noRefreshToken = false

    @Option(
        help: ArgumentHelp(
            "Whether the server replaces a refresh token when it is used; else that is found out.", valueName: "true|false"))
    var refreshTokenRotates: Bool?

    @Option(
        help: ArgumentHelp(
            "How long a replaced refresh token is still accepted: until-used is until its successor is used.",
            valueName: "seconds|until-used"))
    var refreshTokenGrace: RefreshTokenGrace?

    @Option(
        help: ArgumentHelp(
            "Whether access tokens of a login stay valid when another is acquired with its refresh token.",
            valueName: "true|false"))
    var olderTokensLive: Bool?

    @Option(help: "How often a refresh token whose answer was lost is sent again without a person.")
    var resend: ResendPolicy?

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
            && method == nil && paramName.isEmpty && refreshURL == nil && refresh.isEmpty && answer.isEmpty
            && presentation == nil && tokenLifetime == nil && pkce == nil && nonce == nil
            && assertion.isEmpty && !dpop && pushedAuthorizationURL == nil
            && loginIdle == nil && loginLifetime == nil && scopeSeparator == nil && !noRefreshToken
            && refreshTokenRotates == nil && refreshTokenGrace == nil && olderTokensLive == nil && resend == nil
            && [subject, subjectFile, subjectType, actor, actorFile, actorType].allSatisfy { $0 == nil }
            && [scope, audience, resource, param, header, paramFile, headerFile, authorizationParam].allSatisfy(\.isEmpty)
    }
}
