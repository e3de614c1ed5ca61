import ArgumentParser
import Testing

@testable import ClavigerCore

@Suite struct CommandNameTests {
    private func unnamed(below command: any ParsableCommand.Type) -> [String] {
        command.configuration.subcommands.flatMap { each in
            (each.configuration.commandName == nil ? ["\(each)"] : []) + unnamed(below: each)
        }
    }

    /// A name that the argument parser has to derive costs every start of the program.
    @Test func `every command says its name`() {
        #expect(Claviger.configuration.subcommands.count > 20)
        #expect(unnamed(below: Claviger.self) == [])
    }
}
