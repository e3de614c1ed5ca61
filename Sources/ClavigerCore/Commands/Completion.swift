import ArgumentParser

struct Completion: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completion",
        abstract: "Print what a shell needs to complete claviger's words.",
        discussion: """
            bash: source <(claviger completion bash); zsh: claviger completion zsh > "${fpath[1]}/_claviger"; fish: claviger \
            completion fish > ~/.config/fish/completions/claviger.fish. An installed claviger has brought them along.
            """)

    enum Shell: String, ExpressibleByArgument, CaseIterable { case bash, zsh, fish }

    @Argument(help: "bash, zsh or fish.")
    var shell: Shell

    func run() throws {
        let parserShell: CompletionShell =
            switch shell {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        try Terminal.output(Claviger.completionScript(for: parserShell))
    }
}

struct Version: ParsableCommand {
    static let text = "claviger 0.1.0"
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version, as --version does.")

    func run() throws { try Terminal.output(Self.text) }
}
