import AgentProtocol
import Credentials
import ArgumentParser
import FoundationEssentials
import OAuth
import Sodium
import TokenEngine
import Vault

struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Store a credential, proven by acquiring a token first.",
        discussion: """
            The client secret comes from --secret-file, --from or a prompt, never from the command line. If no token \
            can be acquired with it, nothing is stored.
            """)

    @Argument(help: "The name of the new credential.")
    var name: String

    @Option(
        help: ArgumentHelp("A provider of claviger providers.", valueName: "provider"),
        completion: .custom { _, _, _ in providerNames() })
    var provider: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp(
            "What the provider's addresses leave open, such as tenant=ID; asked for if not given.", valueName: "name=value"))
    var values: [String] = []

    @Option(help: ArgumentHelp("A server that says itself where its endpoints are (RFC 8414).", valueName: "url"))
    var issuer: String?

    @Option(
        help: ArgumentHelp("An API that says itself which server gives tokens for it (RFC 9728).", valueName: "url"))
    var resourceURL: String?

    @Flag(help: "Print the stored credential, without its secrets, as JSON.")
    var json = false

    @Flag(
        name: .customLong("try"),
        help: "Store nothing: show what is sent and the shape of the answer, without secrets, and which settings would fit it.")
    var tries = false

    @Option(
        help: ArgumentHelp("A file that holds a refresh token; - for standard input.", valueName: "file|-"),
        completion: .file())
    var refreshTokenFile: String?

    @OptionGroup var registration: RegistrationOptions
    @OptionGroup var settings: SettingsOptions
    @OptionGroup var keyPair: SecretOptions
    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        try CredentialName.validate(name)
        let provider = try provider.map(ProviderFiles.named)
        if provider == nil, !values.isEmpty { throw Problem("--set belongs to --provider", .usage) }
        try SecretInput.refuseSharedInput(
            keyPair.files + [refreshTokenFile, registration.initialAccessTokenFile] + settings.secretFiles)
        try refuseMixture()
        let document = try keyPair.fromJSON.map(KeyDocument.init)
        let secretFields = try self.settings.secretFields()
        let found = try await newSettings(provider, document)
        let settings = found.settings
        if tries {
            let fields = try secretFields.askingForOthers(of: settings, for: name)
            return try await runTrial(settings, fields, provider, document)
        }
        try await storingNothing {
            try await Session(vaultOptions).withAgent { agent in
                // A taken name is better known before the secret is typed.
                if (try? await agent.show(name)) != nil { throw VaultError.nameTaken(name) }
                let secretFields = try secretFields.askingForOthers(of: settings, for: name)
                if registration.register { return try await register(found, secretFields, provider, agent) }
                let client = try keyPair.client(
                    .init(
                        name: name, settings: settings, clientID: self.settings.clientID, page: provider?.keysPage,
                        document: document))
                let new = NewCredential(
                    provider: provider?.name, settings: settings, secretFields: secretFields, client: client,
                    refreshToken: try refreshToken(settings, document))
                try report(try await add(new, to: agent, found.methods))
            }
        }
    }

    /// Of what is not stored, nothing can be shown, edited or rotated: an error says that, and what to look at.
    private func storingNothing(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            // Without a name, no hint proposes a command on it.
            var problem = Problem(describing: error)
            switch problem.code {
            case .clientRefused where problem.hint == nil:
                problem.hint = .text(
                    "nothing was stored; look at the id and the secret: are they whole, and of this service? "
                        + (settings.clientAuth == nil ? "--client-auth chooses how they are sent" : "was --client-auth right?"))
            case .requestRefused where problem.hint == nil:
                problem.hint = .text(
                    "nothing was stored; compare --grant, --scope and --token-url with the server's documentation; --try shows the "
                        + "request and the answer")
            case .requestRefused: problem.hint = problem.hint.map { .text("\($0.text); nothing was stored") }
            case .serverUnreachable, .serverFailing, .unusableAnswer, .rateLimited:
                problem.hint = .text(
                    (problem.hint.map { "\($0.text); " } ?? "") + "nothing was stored (--no-verify stores it unproven)")
            default: break
            }
            throw problem
        }
    }

    private func refuseMixture() throws {
        guard registration.register else { return }
        let hasPair = !keyPair.isEmpty || settings.clientID != nil || refreshTokenFile != nil
        if hasPair { throw Problem("--register makes a client of its own: give no key pair and no refresh token", .usage) }
        if tries { throw Problem("--try stores nothing, and --register can't be tried", .usage) }
        if let grant = settings.grant, [.password, .refreshToken, .jwtBearer].contains(grant) {
            throw Problem("a client for --grant \(grant.option) can't register itself", .usage)
        }
    }

    /// `--register`: a client that can't be stored is taken back.
    private func register(
        _ found: ServerDiscovery.Found, _ fields: SecretFields, _ provider: Provider?, _ agent: any CredentialManager
    ) async throws {
        let registration = SelfRegistration(name: name, options: registration, found: found.registrationURL)
        var new = try await registration.register(found.settings, provider: provider?.name)
        new.secretFields = fields
        let stored: CredentialView
        do {
            stored = try await add(new, to: agent, [])
        } catch {
            await registration.takeBack(new)
            throw error
        }
        try report(stored)
    }

    /// `--try`: no vault is opened.
    private func runTrial(
        _ settings: ClientSettings, _ fields: SecretFields, _ provider: Provider?, _ document: KeyDocument?
    ) async throws {
        let client = try keyPair.client(
            .init(
                name: name, settings: settings, clientID: self.settings.clientID, page: provider?.keysPage, document: document))
        try await Trial(settings: settings, client: client, fields: fields).run()
    }

    /// Stores it. Where the server's metadata alone says how a client proves itself, and this one is refused, it is tried in
    /// the other ways that the metadata names: each costs nothing but a request to the same endpoint.
    private func add(
        _ new: NewCredential, to agent: any CredentialManager, _ methods: [ClientAuthentication]
    ) async throws -> CredentialView {
        do {
            let stored = try await agent.add(name, new, verify: !keyPair.noVerify)
            Terminal.noteBasicForm(new.settings.clientAuthentication, stored.settings.clientAuthentication)
            return stored
        } catch {
            guard Self.mayBeMethod(error), new.settings.grant == .clientCredentials else { throw error }
            for method in methods where method != new.settings.clientAuthentication {
                var other = new
                other.settings.clientAuthentication = method
                guard let stored = try? await agent.add(name, other, verify: true) else { continue }
                let refused = new.settings.clientAuthentication.option
                Terminal.note("the server refuses this client with \(refused), and takes it with \(method.option)")
                return stored
            }
            if methods.contains(.basic), !new.client.needsNoEncoding {
                Terminal.note("if id and secret are right, the server may not decode them: try --client-auth basic-raw")
            }
            throw error
        }
    }

    /// Whether a refusal can be about the way in which the client has proven itself: some servers have no better word for that.
    private static func mayBeMethod(_ error: any Error) -> Bool {
        switch error {
        case TokenError.keyPairRefused: true
        case TokenError.refused(.registered(let word)): ["invalid_request", "unauthorized_client"].contains(word)
        default: false
        }
    }

    /// A refresh token where one was given, or is what the grant is about.
    private func refreshToken(_ settings: ClientSettings, _ document: KeyDocument?) throws -> Secret? {
        guard settings.grant.needsLogin else { return nil }
        if let refreshTokenFile { return try SecretInput.file(refreshTokenFile, what: "refresh token") }
        if let token = document?.refreshToken { return token }
        guard settings.grant == .refreshToken else { return nil }
        let question = "refresh token of \(Terminal.plain(name)), not shown: "
        return try Terminal.promptSecret(
            question, madeElsewhere: "refresh token", otherwise: .noTerminalForSecret("refresh token"))
    }

    private func newSettings(
        _ provider: Provider?, _ document: KeyDocument?
    ) async throws -> ServerDiscovery.Found {
        var found: ServerDiscovery.Found
        if let document, document.isServiceAccount, let url = document.tokenURL {
            // A Google service account's key says itself how it is used.
            found = .init(
                settings: ClientSettings(
                    grant: .jwtBearer, clientAuthentication: .none, tokenURL: try SettingInput.address("token_uri", url)))
            found.settings.keyID = document.keyID
        } else if let resourceURL {
            found = try await ServerDiscovery(options: settings).resource(resourceURL, issuer: issuer)
        } else if let issuer {
            found = try await ServerDiscovery(options: settings).issuer(issuer)
        } else if let provider {
            found = .init(settings: try filled(provider))
        } else if let url = self.settings.tokenURL {
            found = .init(settings: ClientSettings(tokenURL: try SettingInput.address("--token-url", url)))
        } else {
            throw Problem(
                "neither a provider nor a token endpoint was given",
                hint: "use --provider (claviger providers lists them), --issuer, --resource-url or --token-url", .usage)
        }
        if self.settings.clientAuth != nil { found.methods = [] }
        try self.settings.apply(to: &found.settings)
        if self.settings.redirectURI == nil, found.settings.grant == .authorizationCode,
            let uri = try document?.loopbackRedirectURI()
        {
            found.settings.redirectURI = uri
            Terminal.note("logins come back to \(Terminal.plain(uri)), which is registered for the client")
        }
        chooseAudience(of: &found.settings)
        return found
    }

    /// A client assertion is for the issuer alone where its name is known (draft-ietf-oauth-rfc7523bis section 4): one for a
    /// token endpoint could be brought to the true server by another that named this endpoint as its own (CVE-2025-27370).
    private func chooseAudience(of settings: inout ClientSettings) {
        let authentication = settings.clientAuthentication
        guard authentication.signs, authentication != .bearerJWT, settings.assertion?.audience == nil else { return }
        if let issuer = settings.issuer {
            settings.assertion = settings.assertion ?? AssertionSettings()
            settings.assertion?.audience = issuer
        }
        let audience = settings.assertion?.audience ?? settings.tokenURL.description
        let kind = settings.issuer == nil ? "the token endpoint" : "the issuer"
        Terminal.note("the client's assertions are for \(kind), \(Terminal.plain(audience)); --assertion-audience names another")
    }

    /// The provider's settings, with what they leave open from the options, or asked for.
    private func filled(_ provider: Provider) throws -> ClientSettings {
        var given: [String: String] = [:]
        for text in values {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[0].isEmpty else { throw Problem("--set takes name=value", .usage) }
            given[parts[0]] = parts[1]
        }
        for variable in provider.variables where given[variable.name] == nil {
            if variable.fallback != nil, !Terminal.isThere { continue }
            let fallback = variable.fallback.map { " [\($0)]" } ?? ""
            let answer = try Terminal.promptLine(
                Terminal.plain("\(variable.title)\(fallback): "),
                otherwise: Problem(
                    "the provider needs to know \(Terminal.plain(variable.title))",
                    hint: "use --set \(Terminal.plain(variable.name))=VALUE", .usage))
            if !answer.isEmpty { given[variable.name] = answer }
        }
        do throws(CatalogueError) {
            return try provider.settings(given)
        } catch {
            throw Problem(
                "the provider \(Problem.quoted(provider.name)) can't be used: \(Terminal.plain(error.reason))",
                hint: "use --set NAME=VALUE", .usage)
        }
    }

    private func report(_ stored: CredentialView) throws {
        let now = Date()
        let proof =
            stored.settings.grant.needsLogin && stored.loggedInSince == nil
            ? "log in with claviger login \(Terminal.plain(name))"
            : keyPair.noVerify
                ? "not proven, as asked" : "proven: a token was acquired (\(CredentialReport(stored, now: now).tokenWords))"
        Terminal.note("stored \(Problem.quoted(name)); \(proof)")
        if json { try Terminal.output(Report.json(CredentialReport(stored, now: now))) }
    }
}

/// For shell completion.
private func providerNames() -> [String] {
    ((try? ProviderFiles.catalogue()) ?? .builtIn).providers.map(\.name)
}
