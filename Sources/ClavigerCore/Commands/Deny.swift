import Access
import AgentProtocol
import ArgumentParser
import Credentials
import FoundationEssentials

struct Deny: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "deny", abstract: "Take back what claviger allow has given.")

    @Argument(help: "The credential.")
    var name: String

    @OptionGroup var subject: SubjectOptions
    @OptionGroup var vaultOptions: VaultOptions

    func run() throws {
        let subject = try subject.subject()
        try Session(vaultOptions).withPolicy(.deny, name) { policy in
            guard try policy.update({ $0.deny(name, subject) }) else {
                throw Problem("no rule allows that", hint: "claviger policy list shows the rules", .noSuchFile)
            }
        }
        Terminal.note("denied from now on; tokens that were handed out live on until they end or are revoked")
    }
}
