import AgentProtocol
import ArgumentParser
import Credentials
import FoundationEssentials
import Sodium
import TokenEngine

struct Exec: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Run a command with access tokens in its environment, or behind a proxy.",
        discussion: """
            claviger exec torq qa -- ./job runs ./job with TORQ_ACCESS_TOKEN and QA_ACCESS_TOKEN in its environment, in the \
            place of claviger: signals, terminal and exit status are its own. Nothing else of claviger's is in its \
            environment. With --proxy the command never has a token: it gets TORQ_BASE_URL, an address on this machine \
            behind which every request is sent to the credential's API with the token added, for as long as the command \
            runs. Only processes of the user who runs it are served, and of those users that --proxy-user names.
            """)

    @Argument(help: ArgumentHelp("The credentials, then -- and the command.", valueName: "name ... -- command"))
    var words: [String] = []

    @Flag(help: "Give the command the address of a proxy that adds the token, and not the token.")
    var proxy = false

    @Option(help: ArgumentHelp("Another user whose processes the proxy serves; may be repeated.", valueName: "user"))
    var proxyUser: [String] = []

    @Option(
        name: .customLong("env"),
        help: ArgumentHelp("Another variable for a credential; may be repeated.", valueName: "variable=name"))
    var variables: [String] = []

    @Option(help: ArgumentHelp("The least remaining lifetime: 90, 10m, 1h.", valueName: "time"))
    var minTTL: LifetimeArgument?

    @Option(help: ArgumentHelp("What it is for: for the log.", valueName: "text"))
    var reason: String?

    @Option(help: .private)
    var proxyFor: ProxyLauncher.Descriptors?

    @OptionGroup var vaultOptions: VaultOptions

    /// What stands behind the terminator. The parser takes that for more of the same.
    private var command: [String] {
        Array(CommandLine.arguments.drop { $0 != "--" }.dropFirst())
    }

    /// The same as it was given: an argument need not be UTF-8.
    private var argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> {
        unsafe CommandLine.unsafeArgv + (Int(CommandLine.argc) - command.count)
    }

    private var names: [String] { words.dropLast(command.count) }

    func validate() throws {
        if !proxy, !proxyUser.isEmpty { throw ValidationError("--proxy-user is about --proxy") }
        if names.isEmpty, variables.isEmpty { throw ValidationError("no credential was named") }
        if command.isEmpty { throw ValidationError("no command was given: write it behind --") }
    }

    func run() async throws {
        let wanted = try wantedVariables()
        let users = try SubjectInput.uids(proxyUser)
        if let proxyFor {
            try await ProxyLauncher(descriptors: proxyFor, users: users).serve(
                wanted, minimumLifetime: minTTL?.seconds, reason: reason, session: Session(vaultOptions))
            return
        }
        if proxy { unsafe try ProxyLauncher.run(argv) }
        let tokens = try await Session(vaultOptions).withTokenAgent(reason: reason) { agent in
            var tokens: [String: String] = [:]
            for (variable, name) in wanted {
                let ask = TokenQuery(minimumLifetime: minTTL?.seconds)
                let token = try await naming(name) { try await agent.token(name, ask) }
                Terminal.noteBinding(of: token, name)
                tokens[variable] = token.token.revealed()
            }
            return tokens
        }
        unsafe try ProcessState.replaceProcess(argv, variables: tokens)
    }

    /// The credential behind each variable.
    private func wantedVariables() throws -> [String: String] {
        var wanted: [String: String] = [:]
        func add(_ variable: String, _ name: String) throws {
            guard wanted.updateValue(name, forKey: variable) == nil else {
                throw Problem("the variable \(variable) is wanted twice", hint: "name another with --env VARIABLE=NAME", .usage)
            }
        }
        for text in variables {
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, parts[0].allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }),
                parts[0].first?.isNumber == false
            else { throw Problem("--env takes VARIABLE=NAME", .usage) }
            try add(parts[0], parts[1])
        }
        let named = Set(wanted.values)
        for name in names where !named.contains(name) {
            try add(TokenVariable.name(name, proxy ? "BASE_URL" : "ACCESS_TOKEN"), name)
        }
        return wanted
    }
}
