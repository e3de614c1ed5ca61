import AgentProtocol
import Credentials
import ArgumentParser
import FoundationEssentials
import OAuth

struct Edit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit",
        abstract: "Change the settings.",
        discussion: """
            Only what is given changes; a list (--scope, --param, ...) is replaced as a whole, and --clear empties one. A \
            change of what is sent for a token is proven by acquiring one first.
            """)

    @Argument(help: "The credential.")
    var name: String

    @Option(help: "What to empty; may be repeated.")
    var clear: [ClearableField] = []

    @Option(help: ArgumentHelp("The server's name for itself, whose keys its ID tokens are checked with.", valueName: "url"))
    var issuer: String?

    @Flag(name: .customLong("no-verify"), help: "Change it without acquiring a token to prove it.")
    var noVerify = false

    @Flag(help: "Print the credential, without its secrets, as JSON.")
    var json = false

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var vaultOptions: VaultOptions

    func validate() throws {
        if settings.isEmpty, clear.isEmpty, issuer == nil { throw ValidationError("nothing was given to change") }
    }

    func run() async throws {
        try SecretInput.refuseSharedInput(settings.secretFiles)
        let secretFields = try settings.secretFields()
        let result = try await naming(name) {
            try await Session(vaultOptions).withAgent { agent in
                let current = try await agent.show(name)
                var edited = current.settings
                for clearable in clear { clearable.field.clear?(&edited) }
                try settings.apply(to: &edited)
                if let issuer { edited.issuer = try SettingInput.address("--issuer", issuer).description }
                let edit = SettingsEdit(
                    before: .init(clientID: current.clientID, settings: current.settings),
                    after: .init(clientID: settings.clientID ?? current.clientID, settings: edited),
                    secretFields: secretFields)
                return try await agent.edit(name, edit, verify: !noVerify)
            }
        }
        Terminal.note("changed \(Problem.quoted(name))")
        if json { try Terminal.output(Report.json(CredentialReport(result, now: .now))) }
    }
}
