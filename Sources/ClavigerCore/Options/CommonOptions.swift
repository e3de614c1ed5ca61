import ArgumentParser

/// What every command takes, before or behind its name. It is obeyed before the arguments are read: see `CommonWords`.
struct CommonOptions: ParsableArguments {
    @Flag(help: "The vault and the agent of this machine, instead of your own.")
    var system = false

    @Option(help: ArgumentHelp("Where the agent listens, instead of $CLAVIGER_SOCKET.", valueName: "path"), completion: .file())
    var socket: String?

    @Flag(name: .shortAndLong, help: "Print results and errors, and nothing else.")
    var quiet = false

    @Flag(name: .shortAndLong, help: "Say of each request to a server where it went, and how it ended.")
    var verbose = false

    func validate() throws {
        if quiet, verbose { throw ValidationError("--quiet and --verbose exclude each other") }
    }
}
