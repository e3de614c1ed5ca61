import ArgumentParser

@main
enum Main {
    static func main() async {
        ProcessState.harden()
        do {
            var command = try Claviger.parseAsRoot(hoistGlobalOptions(Array(CommandLine.arguments.dropFirst())))
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            Failure(error).exit()
        }
    }

    /// `claviger --vault PATH COMMAND` is `claviger COMMAND --vault PATH`: every command declares these options itself.
    private static func hoistGlobalOptions(_ arguments: [String]) -> [String] {
        var leading: [String] = []
        var rest = arguments[...]
        while let first = rest.first, first.hasPrefix("--") {
            if GlobalOptions.flags.contains(first) || GlobalOptions.names.contains(where: { first.hasPrefix($0 + "=") }) {
                leading.append(rest.removeFirst())
            } else if GlobalOptions.names.contains(first), rest.count > 1 {
                leading += [rest.removeFirst(), rest.removeFirst()]
            } else {
                break
            }
        }
        guard !leading.isEmpty, let command = rest.first, !command.hasPrefix("-") else { return arguments }
        return [command] + leading + rest.dropFirst()
    }
}

struct Claviger: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "claviger",
        abstract: "Keeps OAuth 2.0 API keys in an encrypted vault and hands out access tokens, never the keys.",
        discussion: """
            The vault is --vault, $CLAVIGER_VAULT, or ~/.local/share/claviger/vault. It is opened with --key-file, \
            $CLAVIGER_KEY_FILE, $CLAVIGER_PASSPHRASE_FILE, $CLAVIGER_PASSPHRASE_COMMAND, or a prompt on the terminal. \
            See claviger(1).
            """,
        version: "claviger 0.1.0",
        subcommands: [
            Init.self, Add.self, List.self, Show.self, Status.self, Login.self, Token.self, Check.self, Rotate.self, Revoke.self,
            Edit.self,
            Rename.self,
            Remove.self, Providers.self, AgentCommand.self, Unlock.self, Lock.self, Exec.self, Curl.self, Allow.self, Deny.self,
            PolicyCommand.self, Log.self, KeyCommand.self, Passwd.self,
        ])
}
