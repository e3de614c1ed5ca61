import AgentProtocol
import Credentials
import ArgumentParser

struct Rename: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "rename", abstract: "Give a credential another name.")

    @Argument(help: "The credential.")
    var name: String

    @Argument(help: "Its new name.")
    var newName: String

    @OptionGroup var vaultOptions: VaultOptions

    func run() async throws {
        guard name != newName else { throw Problem("the credential has that name already", hint: "give it another one", .usage) }
        try await naming(name) { try await Session(vaultOptions).withAgent { try await $0.rename(name, to: newName) } }
        Terminal.note("renamed \(Problem.quoted(name)) to \(Problem.quoted(newName))")
    }
}
