import AgentProtocol
import ArgumentParser
import Glibc
import HTTPTypes
import OAuth
import Sodium

struct ProviderCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "providers", abstract: "List the known providers, or check a file that describes one.",
        subcommands: [Providers.self, TestProviders.self], defaultSubcommand: Providers.self)
}

struct Providers: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the known providers, and where each key is made.",
        discussion: """
            A provider of your own is a JSON file in ~/.config/claviger/providers ($XDG_CONFIG_HOME); see \
            claviger-providers(5). Any other OAuth 2.0 server works with plain options of claviger add.
            """)

    @Argument(help: "A provider, to show everything that a token request of its would say.")
    var name: String?

    @Flag(help: "Print JSON, in the form of a provider file.")
    var json = false

    func run() throws {
        if let name {
            let provider = try ProviderFiles.named(name)
            return try Terminal.output(json ? Report.json(provider) : Self.description(of: provider))
        }
        let providers = try ProviderFiles.catalogue().providers
        if json { return try Terminal.output(Report.json(providers)) }
        let rows = providers.map { provider in
            [
                provider.name, provider.title, provider.grants.map(\.option).joined(separator: ", "),
                provider.keysPage ?? "",
            ].map(Terminal.plain)
        }
        try Terminal.output(Report.table([["NAME", "SERVICE", "GRANTS", "KEYS ARE MADE IN"]] + rows))
        Terminal.note("claviger providers NAME shows all of one, and what to know of it")
    }

    /// What would be sent, with made-up words where secrets go.
    static func description(of provider: Provider) throws -> String {
        let settings = try provider.settings(
            Dictionary(provider.variables.map { ($0.name, $0.fallback ?? $0.name.uppercased()) }) { $1 })
        let client = ClientCredentials(
            id: "CLIENT-ID", secret: try Secret(utf8: "CLIENT-SECRET"), username: "USER", password: try Secret(utf8: "PASSWORD"))
        let grant: AuthorizationGrant =
            switch settings.grant {
            case .clientCredentials: .clientCredentials
            case .password: .password
            case .jwtBearer: .jwtBearer(try Secret(utf8: "ASSERTION"))
            case .tokenExchange: .tokenExchange(subject: try Secret(utf8: "SUBJECT-TOKEN"), actor: nil)
            case .authorizationCode, .refreshToken, .deviceCode: .refreshToken(try Secret(utf8: "REFRESH-TOKEN"))
            }
        let request = settings.tokenRequest(
            client, grant: grant, access: RequestedAccess(), clientAssertion: try Secret(utf8: "ASSERTION"))
        var lines = ["\(provider.title): \(provider.grants.map(\.option).joined(separator: ", "))"]
        for variable in provider.variables {
            let fallback = variable.fallback.map { " (usually \($0))" } ?? ""
            lines.append("--set \(variable.name)=...: \(variable.title)\(fallback)")
        }
        if let page = provider.documentation { lines.append("described at \(page)") }
        if let page = provider.keysPage { lines.append("keys are made in \(page)") }
        if let login = try settings.authorizationRequest(
            clientID: "CLIENT-ID", redirectURI: settings.redirectURI ?? "http://127.0.0.1:PORT/callback")
        {
            lines += ["", "the browser is sent to", "  " + login.url]
        }
        lines += ["", "\(request.head.method) https://\(request.head.authority ?? "")\(request.head.path ?? "")"]
        for field in request.head.headerFields {
            let isSecret = field.name == .authorization
            let proof =
                settings.clientAuthentication == .bearerJWT
                ? "Bearer (a JWT signed with the key)" : "Basic (CLIENT-ID and CLIENT-SECRET)"
            lines.append("\(field.name): \(isSecret ? proof : field.value)")
        }
        if !request.body.isEmpty { lines += ["", String(decoding: request.body, as: UTF8.self)] }
        if !provider.notes.isEmpty { lines += [""] + provider.notes }
        if !provider.sources.isEmpty { lines += ["", "compared with"] + provider.sources.map { "  " + $0 } }
        return lines.map(Terminal.plain).joined(separator: "\n")
    }
}
