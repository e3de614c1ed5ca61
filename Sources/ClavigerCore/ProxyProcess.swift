import Agent
import ArgumentParser
import CLinux
import Dispatch
import FoundationEssentials
import Glibc
import HTTP
import Proxy
import TokenEngine

/// `exec --proxy` is two processes: this program becomes the command, so that signals, terminal and exit status are the
/// command's own, and starts another one before, which has the tokens, serves the proxy, and ends with the command.
struct ProxyProcess {
    /// What the proxy's process is told on its command line: where to report, and whose end to wait for.
    struct Descriptors: ExpressibleByArgument {
        let report: Int32
        let command: Int32

        init?(argument: String) {
            let numbers = argument.split(separator: ",").compactMap { Int32($0) }
            guard numbers.count == 2 else { return nil }
            (report, command) = (numbers[0], numbers[1])
        }
    }

    // MARK: The command's side

    /// Starts the proxy.
    /// - Returns: the base address of each credential, by the variable that is to hold it.
    ///   Where the proxy's process has said what went wrong, this one ends with its exit code.
    /// - Throws: a failure.
    static func start() throws -> [String: String] {
        let command = claviger_pidfd_open(getpid())
        guard command >= 0 else { throw Failure.system("watch this process", errno) }
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Failure.system("start the proxy", errno) }
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        _ = fcntl(command, F_SETFD, 0)
        defer { close(ends[0]) }
        try spawn(report: ends[1], command: command)
        close(command)
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(ends[0], &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            answer += buffer[..<count]
        }
        return try parse(String(decoding: answer, as: UTF8.self))
    }

    private static func spawn(report: Int32, command: Int32) throws {
        let words = CommandLine.arguments
        let terminator = words.firstIndex(of: "--") ?? words.endIndex
        let arguments = words[..<terminator] + ["--proxy-for", "\(report),\(command)"] + words[terminator...]
        let argv = arguments.map { strdup($0) } + [nil]
        let environment = GlobalOptions.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (argv + environment).forEach { free($0) } }
        let code = claviger_spawn_orphan("/proc/self/exe", argv, environment) == 0 ? 0 : errno
        close(report)
        guard code == 0 else { throw Failure.system("start the proxy", code) }
    }

    /// A line for each variable and `+`, or `!` and the exit code.
    private static func parse(_ answer: String) throws -> [String: String] {
        let lines = answer.split(separator: "\n").map(String.init)
        if let last = lines.last, last.hasPrefix("!") { Glibc.exit(Int32(last.dropFirst()) ?? ExitStatus.software.rawValue) }
        guard lines.last == "+" else { throw Failure("the proxy ended before it could start", .software) }
        return Dictionary(
            lines.dropLast().compactMap { line in
                line.firstIndex(of: "=").map { (String(line[..<$0]), String(line[line.index(after: $0)...])) }
            }
        ) { $1 }
    }

    // MARK: The proxy's side

    let descriptors: Descriptors

    /// Serves until the command has ended.
    /// - Parameter variables: the credential behind each variable.
    func serve(_ variables: [String: String], minimumLifetime: Int?, reason: String?, global: GlobalOptions) async throws {
        for descriptor in [descriptors.report, descriptors.command] { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        do {
            try await global.withTokenAgent(reason: reason) { agent in
                let credentials = try await credentials(Set(variables.values), agent)
                try await serve(credentials, variables, minimumLifetime, agent)
            }
        } catch {
            try? Terminal.write(Array("!\(Failure(error).status.rawValue)\n".utf8), to: descriptors.report)
            throw error
        }
    }

    private func credentials(_ names: Set<String>, _ agent: any TokenAgent) async throws -> [CredentialSummary] {
        var all: [CredentialSummary] = []
        for name in names.sorted() {
            let credential = try await naming(name) { try await agent.show(name) }
            guard credential.settings.apiURL != nil else { throw Failure.noAPIAddress(name) }
            all.append(credential)
        }
        return all
    }

    private func serve(
        _ credentials: [CredentialSummary], _ variables: [String: String], _ minimumLifetime: Int?, _ agent: any TokenAgent
    ) async throws {
        let upstream = StreamingClient(proxies: ProxySettings(environment: GlobalOptions.environment))
        let proxy = try CredentialProxy(
            credentials, minimumLifetime: minimumLifetime, agent: agent, upstream: upstream,
            describe: { Failure($0).message })
        let end = commandsEnd()
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await proxy.run { try ready($0, variables) } }
                group.addTask { for await _ in end {} }
                defer { group.cancelAll() }
                try await group.next()
            }
            await upstream.close()
        } catch {
            await upstream.close()
            throw error
        }
    }

    private func ready(_ addresses: [String: String], _ variables: [String: String]) throws {
        let lines = variables.map { variable, name in "\(variable)=\(addresses[name] ?? "")\n" }.joined()
        try Terminal.write(Array((lines + "+\n").utf8), to: descriptors.report)
        close(descriptors.report)
        // What is typed from now on is the command's, and so are its interrupts.
        setsid()
        ProcessState.letGoOfStreams()
    }

    /// Ends when the command does.
    private func commandsEnd() -> AsyncStream<Void> {
        // Its methods may be called from any thread (dispatch(3)).
        nonisolated(unsafe) let source = DispatchSource.makeReadSource(fileDescriptor: descriptors.command, queue: .global())
        return AsyncStream { continuation in
            source.setEventHandler { continuation.finish() }
            continuation.onTermination = { _ in source.cancel() }
            source.resume()
        }
    }
}
