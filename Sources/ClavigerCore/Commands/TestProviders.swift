import AgentProtocol
import ArgumentParser
import OAuth

struct TestProviders: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Check provider files, and show what would be sent.",
        discussion: """
            Says the line and the column of what is wrong. Nothing is sent: made-up words stand where secrets go.
            """)

    @Argument(help: "A provider file, or a folder with such files.", completion: .file(extensions: ["json"]))
    var path: String

    @OptionGroup var common: CommonOptions

    func run() throws {
        guard let names = ProviderFiles.files(in: path) else {
            return try Terminal.output(ProviderReport.text(checked(path)))
        }
        var files: [String: String] = [:]
        var failures = 0
        for name in names {
            do {
                let provider = try checked(path + "/" + name)
                // In a folder, the last of two would silently take the place of the first.
                if let first = files.updateValue(name, forKey: provider.name) {
                    let place = Terminal.plain("\(path)/\(name):1:1: \(first)")
                    throw Problem("\(place) has the name \(Problem.quoted(provider.name)), too", .configuration)
                }
                try Terminal.output(Terminal.plain("\(name): \(provider.title)"))
            } catch let problem as Problem {
                failures += 1
                Terminal.note(problem.title)
            }
        }
        guard failures == 0 else {
            throw Problem("\(failures) of \(names.count) provider files cannot be used", .configuration)
        }
        if names.isEmpty { Terminal.note("there is no provider file (*.json) in \(Terminal.plain(path))") }
    }

    private func checked(_ path: String) throws -> Provider {
        let bytes = try SecretInput.contents(path, limit: 1 << 20, what: "provider", isSecret: false)
        do throws(ProviderFileError) {
            return try Provider.check(file: bytes)
        } catch {
            let place = "\(error.position.line):\(error.position.column)"
            throw Problem("\(Terminal.plain(path)):\(place): \(Terminal.plain(error.reason))", .configuration)
        }
    }
}
