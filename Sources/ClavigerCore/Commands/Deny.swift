import Access
import AgentProtocol
import ArgumentParser
import Credentials
import FoundationEssentials

struct Deny: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deny", abstract: "Take back what claviger allow has given.",
        discussion: """
            Without a name, for every credential at once: for the day on which somebody leaves. The user or group may be gone by \
            now: name it as it was when the rule was made, or by its number.
            """)

    @Argument(help: "The credential; without one, all of them.")
    var name: String?

    @OptionGroup var subject: SubjectOptions
    @OptionGroup var vaultOptions: VaultOptions

    func run() throws {
        let (isMeant, words) = (subject.matcher(), subject.words)
        let removed = try Session(vaultOptions).withPolicy(.deny, name, reason: words) { store in
            let removed = try store.update { $0.deny(name, isMeant) }
            guard !removed.isEmpty else {
                throw Problem(
                    name == nil ? "there is no rule for the \(words)" : "no rule allows that",
                    hint: "claviger policy list shows the rules", .noSuchFile)
            }
            return removed
        }
        if name == nil {
            for rule in removed { Terminal.note("denied: \(rule.words)") }
        }
        Terminal.note("denied from now on; tokens that were handed out live on until they end or are revoked")
    }
}
