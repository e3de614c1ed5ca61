import AgentProtocol
import ArgumentParser
import Glibc
import OAuth

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

    @OptionGroup var common: CommonOptions

    func run() throws {
        if let name {
            let provider = try ProviderFiles.named(name)
            return try Terminal.output(json ? Report.json(provider) : ProviderReport.text(provider))
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
}
