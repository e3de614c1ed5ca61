import Agent
import AgentProtocol
import ArgumentParser
import Credentials
import FoundationEssentials
import Glibc
import Linux
import OAuth
import TokenEngine

struct Curl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "curl",
        abstract: "Run curl with a credential's access token.",
        discussion: """
            The token goes to curl on a pipe, never among its arguments. Options of claviger's stand before the credential; \
            what follows the address is curl's: claviger curl torq https://api.torq.io/public/v1alpha/users --silent. \
            Where tokens are bound to a key, curl talks to a proxy in this process, which proves each request.
            """)

    @Argument(help: "The credential.")
    var name: String

    @Argument(help: ArgumentHelp("The address: https, or http to this machine.", valueName: "url"))
    var url: String

    @Argument(parsing: .captureForPassthrough, help: "Further arguments of curl's.")
    var arguments: [String] = []

    @Option(help: ArgumentHelp("The least remaining lifetime: 90, 10m, 1h.", valueName: "time"))
    var minTTL: LifetimeArgument?

    @Option(help: ArgumentHelp("What it is for: for the log.", valueName: "text"))
    var reason: String?

    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        let address = String(url.prefix { $0 != "#" })
        let target = try SettingInput.address("curl", address)
        let token = try await naming(name) {
            try await Session(vaultOptions).withTokenAgent(reason: reason) {
                try await $0.token(name, TokenQuery(minimumLifetime: minTTL?.seconds))
            }
        }
        if token.isBound {
            let status = try await naming(name) {
                try await Session(vaultOptions).withTokenAgent(reason: reason) { agent in
                    try await ProvenCurl(name: name, url: target, arguments: arguments).run(agent)
                }
            }
            Glibc.exit(status)
        }
        let reading = try File.pipe(holding: Array((try TokenFormat.curl.text(token, of: name, at: .now) + "\n").utf8))
        try reading.keepAcrossExec()
        try ProcessState.replaceProcess(["curl", "--config", "/dev/fd/\(reading.descriptor)", url] + arguments)
    }
}
