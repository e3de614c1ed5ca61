import Access
import AgentProtocol
import ArgumentParser
import Credentials
import FoundationEssentials

struct Allow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "allow",
        abstract: "Let a user or a group have tokens of a credential from the agent.",
        discussion: """
            Root and the agent's own user may have all; everybody else has what a rule allows. The rules lie inside the \
            vault, and the agent sees a change at once. A rule for the same user or group is replaced. See claviger-policy(5).
            """)

    @Argument(help: "The credential.")
    var name: String

    @Option(
        help: ArgumentHelp("A scope that may be asked for, instead of the credential's own; may be repeated.", valueName: "scope")
    )
    var scope: [String] = []

    @Option(
        name: .customLong("max-ttl"), help: ArgumentHelp("Hand out no token that lives longer, such as 1h.", valueName: "time"))
    var longestLife: DurationArgument?

    @OptionGroup var subject: SubjectOptions
    @OptionGroup var vaultOptions: VaultOptions

    func run() throws {
        let scopes = try scope.flatMap(SettingInput.scopes)
        let rule = Rule(
            credential: name, subject: try subject.subject(), scopes: scopes.isEmpty ? nil : scopes,
            maxTTL: longestLife.map { Int($0.seconds) })
        try Session(vaultOptions).withPolicy(.allow, name, reason: rule.subject.words) {
            try $0.update(credential: name) { $0.allow(rule) }
            return [rule]
        }
        Terminal.note("allowed: \(rule.words)")
    }
}
