import Agent
import ArgumentParser

struct Rename: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Give a credential another name.")

    @Argument(help: "The credential.")
    var name: String

    @Argument(help: "Its new name.")
    var newName: String

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        try await naming(name) { try await global.withAgent { try await $0.rename(name, to: newName) } }
        Terminal.note("renamed \(Failure.quoted(name)) to \(Failure.quoted(newName))")
    }
}
