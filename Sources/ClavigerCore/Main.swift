import ArgumentParser
import CLinux
import Glibc

@main
enum Main {
    static func main() async {
        harden()
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

    /// Before anything is read: no core dump and no debugger of the same user, no crash report with registers and
    /// memory in it, and no file of ours under the number of a closed stream.
    private static func harden() {
        _ = claviger_clear_dumpable()
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        for crash in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGQUIT] { signal(crash, SIG_DFL) }
        // A closed stream becomes one that can't be read (0) or written (1, 2).
        for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(stream, F_GETFD) == -1 {
            _ = open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
        umask(0o077)
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
            Init.self, Add.self, List.self, Show.self, Login.self, Token.self, Check.self, Rotate.self, Revoke.self, Edit.self,
            Rename.self,
            Remove.self, Providers.self,
        ])
}
