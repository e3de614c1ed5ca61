import AgentProtocol
import Agent
import ArgumentParser
import FoundationEssentials
import OAuth

struct Edit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Change what is not secret.",
        discussion: """
            Only what is given changes; a list (--scope, --param, ...) is replaced as a whole, and --clear empties one. A \
            change of what is sent for a token is proven by acquiring one first.
            """)

    enum Clearable: String, ExpressibleByArgument, CaseIterable {
        case scope, audience, resource, param, header
        case caFile = "ca-file"
        case revocationURL = "revocation-url"
        case introspectionURL = "introspection-url"
        case apiURL = "api-url"
        case authorizationParam = "authorization-param"
        case redirectURI = "redirect-uri"
        case actor
        case noRefreshToken = "no-refresh-token"
    }

    @Argument(help: "The credential.")
    var name: String

    @Option(help: "What to empty; may be repeated.")
    var clear: [Clearable] = []

    @Flag(name: .customLong("no-verify"), help: "Change it without acquiring a token to prove it.")
    var noVerify = false

    @Flag(help: "Print the credential, without its secrets, as JSON.")
    var json = false

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var vaultOptions: VaultOptions

    func validate() throws {
        if settings.isEmpty, clear.isEmpty { throw ValidationError("nothing was given to change") }
    }

    func run() async throws {
        let result = try await naming(name) {
            try await Session(vaultOptions).withAgent { agent in
                let current = try await agent.show(name)
                var edited = current.settings
                for field in clear { field.clear(&edited) }
                try settings.apply(to: &edited)
                let edit = SettingsEdit(
                    before: .init(clientID: current.clientID, settings: current.settings),
                    after: .init(clientID: settings.clientID ?? current.clientID, settings: edited))
                return try await agent.edit(name, edit, verify: !noVerify)
            }
        }
        Terminal.note("changed \(Problem.quoted(name))")
        if json { try Terminal.output(Report.json(Report.Credential(result, now: .now))) }
    }
}

extension Edit.Clearable {
    fileprivate func clear(_ settings: inout ClientSettings) {
        switch self {
        case .scope: settings.scopes = []
        case .audience: settings.audiences = []
        case .resource: settings.resources = []
        case .param: settings.parameters = []
        case .header: settings.headers = []
        case .caFile: settings.certificateAuthority = nil
        case .revocationURL: settings.revocationURL = nil
        case .introspectionURL: settings.introspectionURL = nil
        case .apiURL: settings.apiURL = nil
        case .authorizationParam: settings.authorizationParameters = nil
        case .redirectURI: settings.redirectURI = nil
        case .actor: settings.actor = nil
        case .noRefreshToken: settings.noRefreshToken = nil
        }
    }
}
