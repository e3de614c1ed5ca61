import AgentSocket
import Glibc

/// The thin front: it asks a running agent for a token by itself, and for everything else becomes `claviger-core`,
/// arguments untouched. It starts as fast as a C program because there is nothing else in it.
@main
enum Front {
    static func main() {
        let arguments = CommandLine.arguments
        if let exec = HotExec(arguments) { exec.run() }
        switch HotRequest(arguments)?.answer() {
        case .token(let token):
            var line = token + [UInt8(ascii: "\n")]
            let isWritten = write(1, line, line.count) == line.count
            explicit_bzero(&line, line.count)
            exit(isWritten ? 0 : 74)
        case .refusal(let code, let text): refuse(code, text)
        case nil: break
        }
        become(core: executableFolder())
    }

    static func refuse(_ code: Int32, _ text: String) -> Never {
        _ = text.withCString { write(2, $0, strlen($0)) }
        exit(code)
    }

    private static func become(core folder: String) -> Never {
        let candidates = [folder + "/claviger-core", folder + "/../libexec/claviger/claviger-core"]
        for path in candidates where access(path, X_OK) == 0 {
            // Only an execv that fails returns.
            _ = execv(path, CommandLine.unsafeArgv)
        }
        let message =
            "claviger: error: claviger-core is neither beside claviger nor in ../libexec/claviger\n"
            + "claviger: hint: install claviger again, with make install\n"
        _ = message.withCString { write(2, $0, strlen($0)) }
        exit(78)
    }

    /// Where this very file lies, not what argv claims.
    private static func executableFolder() -> String {
        var buffer = [CChar](repeating: 0, count: 4097)
        let length = readlink("/proc/self/exe", &buffer, 4096)
        guard length > 0 else { return "." }
        let path = buffer.prefix(length).map { UInt8(bitPattern: $0) }
        let folder = path.lastIndex(of: UInt8(ascii: "/")).map { path[..<$0] } ?? []
        return String(decoding: folder, as: UTF8.self)
    }
}

/// `claviger token NAME [--min-ttl S]`, and nothing more: what fifty jobs ask for at once. Whatever else is said is the
/// core's, and so is what to do where no agent answers, or one that is locked or serves another vault.
private struct HotRequest {
    let target: String

    /// For a token of this credential, whatever it is like.
    init(credential: String) { target = Self.target(credential) }

    private static func target(_ credential: String) -> String { "/v1/tokens/" + AgentSocket.encode(credential) }

    init?(_ arguments: [String]) {
        guard arguments.count >= 3, arguments[1] == "token", !arguments[2].hasPrefix("-"), !arguments[2].isEmpty else {
            return nil
        }
        var target = Self.target(arguments[2])
        switch arguments.count {
        case 3: break
        case 5 where arguments[3] == "--min-ttl" && UInt32(arguments[4]) != nil: target += "?min_ttl=" + arguments[4]
        default: return nil
        }
        self.target = target
    }

    enum Answer {
        case token([UInt8])
        case refusal(Int32, String)
    }

    func answer() -> Answer? {
        // Which vault is meant is for the core to compare.
        guard getenv("CLAVIGER_VAULT") == nil, let socket = AgentSocket.toAsk() else { return nil }
        let answer = try? socket.exchange("GET", target, headers: ["Accept: text/plain"])
        guard let answer, !answer.body.isEmpty else { return nil }
        switch answer.status {
        case 200: return .token(answer.body)
        case 421, 423: return nil
        default: return Self.refusal(answer.body)
        }
    }

    /// Exit code, what went wrong, and what to do, in a line each.
    private static func refusal(_ body: [UInt8]) -> Answer? {
        let lines = String(decoding: body, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 3, let code = Int32(lines[0]), code > 0 else { return nil }
        let hint = lines[2].isEmpty ? "" : "claviger: hint: " + lines[2] + "\n"
        return .refusal(code, "claviger: error: " + lines[1] + "\n" + hint)
    }
}

/// `claviger exec NAME... -- COMMAND...` without options, where an agent has all the tokens.
private struct HotExec {
    let credentials: [String]
    let command: [String]

    init?(_ arguments: [String]) {
        guard arguments.count >= 2, arguments[1] == "exec", let terminator = arguments.firstIndex(of: "--") else { return nil }
        credentials = Array(arguments[2..<terminator])
        command = Array(arguments[(terminator + 1)...])
        guard !credentials.isEmpty, !command.isEmpty, credentials.allSatisfy({ !$0.isEmpty && !$0.hasPrefix("-") }) else {
            return nil
        }
    }

    /// Becomes the command; comes back, with nothing changed, if that is the core's to do.
    func run() {
        var tokens: [String: String] = [:]
        for credential in credentials {
            let variable = TokenVariable.name(credential)
            guard tokens[variable] == nil else { return }
            switch HotRequest(credential: credential).answer() {
            case .token(let token): tokens[variable] = String(decoding: token, as: UTF8.self)
            case .refusal(let code, let text): Front.refuse(code, text)
            case nil: return
            }
        }
        let ours = Self.ownVariables()
        for name in ours.keys { unsetenv(name) }
        for (name, token) in tokens { setenv(name, token, 1) }
        let argv = command.map { strdup($0) } + [nil]
        _ = execvp(command[0], argv)
        // Why it can't be run is the core's to say.
        for name in tokens.keys { unsetenv(name) }
        for (name, value) in ours { setenv(name, value, 1) }
    }

    private static func ownVariables() -> [String: String] {
        var variables: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts[0].hasPrefix("CLAVIGER_"), parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
            entry += 1
        }
        return variables
    }
}
