import Credentials
import AgentProtocol
import ArgumentParser
import Glibc
import Linux

@main
enum Main {
    static func main() async {
        ProcessState.harden()
        do {
            // Nothing that needs it, as everything does that runs after the first `await`, is in use before.
            guard ProcessRoom.has(files: 14) else { throw Problem.tooFewFiles }
            guard ProcessRoom.has(threads: ProcessRoom.cores + 4) else { throw Problem.tooFewThreads }
            guard ProcessRoom.has(bytes: 64 << 20) else { throw Problem.tooFewAddresses }
            // The runtime looks for them in /proc; where that can't be read, no command may pass for another.
            guard !CommandLine.arguments.isEmpty else { throw Problem.noArguments }
            // What stands in the place of bytes that are no UTF-8 would name other files.
            if let name = Locations.unreadableVariable { throw Problem.unreadableVariable(name) }
            guard ProcessState.argumentsAreText else { throw Problem.unreadableArgument }
            let given = Array(CommandLine.arguments.dropFirst())
            try CommonWords(given).obey()
            let words = OldSpellings.today(given) { Terminal.note($0) }
            if words.elementsEqual([RefresherProcess.argument]) { try await RefresherProcess.serve() }
            var command = try Claviger.parseAsRoot(hoistVaultOptions(words))
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            fail(error)
        }
    }

    /// Prints the error and ends the process.
    private static func fail(_ error: any Error) -> Never {
        let problem = usageProblem(error) ?? Problem(describing: error)
        let lines = Problem.lines(title: Terminal.plain(problem.title), hint: problem.hint.map { Terminal.plain($0.text) })
        try? Terminal.write(Array(lines.utf8), to: STDERR_FILENO)
        exit(problem.code.exit)
    }

    /// The argument parser's errors, and its ways to say "print this and stop".
    private static func usageProblem(_ error: any Error) -> Problem? {
        let code = Claviger.exitCode(for: error)
        if code.isSuccess {
            do {
                try Terminal.output(Claviger.fullMessage(for: error))
                exit(0)
            } catch {
                return Problem(describing: error)
            }
        }
        guard code == .validationFailure else { return nil }
        let text = Claviger.message(for: error)
        return UsageWords(words: Array(CommandLine.arguments.dropFirst()))
            .problem(text.hasPrefix("Error: ") ? String(text.dropFirst(7)) : text)
    }

    /// `claviger --vault PATH COMMAND` is `claviger COMMAND --vault PATH`: every command declares these options itself.
    private static func hoistVaultOptions(_ arguments: [String]) -> [String] {
        var leading: [String] = []
        var rest = arguments[...]
        while let first = rest.first, first.hasPrefix("-") {
            if VaultOptions.flags.contains(first) || VaultOptions.names.contains(where: { first.hasPrefix($0 + "=") }) {
                leading.append(rest.removeFirst())
            } else if VaultOptions.names.contains(first), rest.count > 1 {
                leading += [rest.removeFirst(), rest.removeFirst()]
            } else {
                break
            }
        }
        guard !leading.isEmpty, let first = rest.first, !first.hasPrefix("-") else { return arguments }
        let command = commandWords(rest)
        return command + leading + rest.dropFirst(command.count)
    }

    /// The words that name a command: `key list` are two.
    private static func commandWords(_ arguments: ArraySlice<String>) -> [String] {
        var words = Array(arguments.prefix(1))
        var command = Claviger.configuration.subcommands.first { $0.isNamed(words.first ?? "") }
        for word in arguments.dropFirst() {
            command = command?.configuration.subcommands.first { $0.isNamed(word) }
            if command == nil { break }
            words.append(word)
        }
        return words
    }
}

/// Every command says its name: to derive one from a type, the runtime searches all conformances of the program, which took
/// three milliseconds of each start.
struct Claviger: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "claviger",
        abstract: "Keeps OAuth 2.0 API keys in an encrypted vault and hands out access tokens, never the keys.",
        discussion: """
            The vault is --vault, $CLAVIGER_VAULT, or ~/.local/share/claviger/vault. It is opened with --key-file, \
            $CLAVIGER_KEY_FILE, $CLAVIGER_PASSPHRASE_FILE, $CLAVIGER_PASSPHRASE_COMMAND, or a prompt on the terminal. \
            See claviger(1).
            """,
        version: Version.text,
        subcommands: [
            Init.self, Add.self, List.self, Show.self, StatusCommand.self, Login.self, Logout.self, TokenCommand.self, Exec.self,
            Curl.self, Render.self, Check.self, Rotate.self, Revoke.self, Block.self, Unblock.self, Edit.self, Rename.self,
            Remove.self, ProviderCommands.self, AgentCommand.self, Unlock.self, Lock.self, Allow.self, Deny.self,
            PolicyCommand.self, Log.self, KeyCommand.self, Passwd.self, Completion.self, Version.self,
        ])
}
