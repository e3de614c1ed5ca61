import AgentProtocol
import Credentials
import ArgumentParser
import Dispatch
import FoundationEssentials
import Glibc
import HTTP
import Linux
import OAuth
import Proxy
import TokenEngine

/// `exec --proxy` is two processes: this program becomes the command, so that signals, terminal and exit status are the
/// command's own, and starts another one before, which has the tokens, serves the proxy, and ends with the command.
struct ProxyLauncher {
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

    /// Starts the proxy, and becomes the command.
    /// - Parameter argv: the command's name and arguments, and a null.
    /// - Throws: a problem. Where the proxy's process has said what went wrong, this one ends with its exit code.
    static func run(_ argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) throws -> Never {
        do {
            if FirstProcess.isThis { try unsafe runAsFirstProcess(argv) }
            // A file that becomes readable when this process has ended, whatever it is then.
            let reading = try spawn(until: File.process(getpid())) { (proxy) throws(FileError) in try proxy.startDetached() }
                .reading
            try unsafe ProcessState.replaceProcess(argv, variables: addresses(reading))
        } catch let error as FileError {
            throw Problem.system("start the proxy", error.code)
        }
    }

    /// There, nobody's child is the command's child, and a command that waits for all of its children would wait for the proxy,
    /// which waits for the command.
    private static func runAsFirstProcess(_ argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) throws -> Never {
        let (end, ours) = try File.socketPair()
        let (reading, proxy) = try spawn(until: end) { (proxy) throws(FileError) in try proxy.start() }
        try unsafe ProcessState.runChild(argv, variables: addresses(reading), end: ours, companion: proxy)
    }

    /// - Parameter end: becomes readable when the command has ended.
    /// - Returns: what the proxy reports.
    private static func spawn<R>(
        until end: File, _ start: (ChildProcess) throws(FileError) -> R
    ) throws(FileError) -> (reading: File, proxy: R) {
        let (reading, report) = try File.pipe()
        for file in [end, report] { try file.keepAcrossExec() }
        let words = CommandLine.arguments
        let terminator = words.firstIndex(of: "--") ?? words.endIndex
        let descriptors = ["--proxy-for", "\(report.descriptor),\(end.descriptor)"]
        var proxy = ChildProcess(
            "/proc/self/exe", words[1..<terminator] + descriptors + words[terminator...], environment: Session.environment)
        proxy.name = words[0]
        // Besides the two: a key file may be a descriptor that the caller has opened.
        proxy.inheritsFurtherFiles = true
        let started = try start(proxy)
        withExtendedLifetime((end, report)) {}
        return (reading, started)
    }

    /// The base address of each credential, by the variable that is to hold it.
    private static func addresses(_ report: File) throws -> [String: String] {
        try parse(String(decoding: report.readToEnd(limit: 1 << 20), as: UTF8.self))
    }

    /// A line for each variable and `+`, or `!` and the exit code.
    private static func parse(_ answer: String) throws -> [String: String] {
        let lines = answer.split(separator: "\n").map(String.init)
        if let last = lines.last, last.hasPrefix("!") { Glibc.exit(Int32(last.dropFirst()) ?? ProblemCode.internalError.exit) }
        guard lines.last == "+" else { throw Problem("the proxy ended before it could start", .internalError) }
        return Dictionary(
            lines.dropLast().compactMap { line in
                line.firstIndex(of: "=").map { (String(line[..<$0]), String(line[line.index(after: $0)...])) }
            }
        ) { $1 }
    }

    // MARK: The proxy's side

    let descriptors: Descriptors
    /// Whom the proxy serves besides the user that runs it.
    let users: Set<UInt32>

    /// Serves until the command has ended.
    /// - Parameter variables: the credential behind each variable.
    func serve(_ variables: [String: String], minimumLifetime: Int?, reason: String?, session: Session) async throws {
        for descriptor in [descriptors.report, descriptors.command] {
            try? File.borrowing(descriptor, path: "a descriptor").closeAtExec()
        }
        do {
            try await session.withTokenAgent(reason: reason) { agent in
                let credentials = try await credentials(Set(variables.values), agent)
                try await serve(credentials, variables, minimumLifetime, agent)
            }
        } catch {
            try? Terminal.write(Array("!\(Problem(describing: error).code.exit)\n".utf8), to: descriptors.report)
            throw error
        }
    }

    private func credentials(_ names: Set<String>, _ agent: any TokenSource) async throws -> [ListedCredential] {
        var all: [ListedCredential] = []
        for name in names.sorted() {
            let credential = try await naming(name) { try await agent.credential(name) }
            guard credential.apiURL != nil else { throw Problem.noAPIAddress(name, isKept: credential.view != nil) }
            all.append(credential)
        }
        return all
    }

    private func serve(
        _ credentials: [ListedCredential], _ variables: [String: String], _ minimumLifetime: Int?, _ agent: any TokenSource
    ) async throws {
        let notes = RefusalNotes()
        let admission = try admission(notes)
        let upstream = StreamingClient(proxies: ProxySettings(environment: Session.environment))
        let proxy = try CredentialProxy(
            credentials, minimumLifetime: minimumLifetime, agent: agent, admission: admission, upstream: upstream,
            describe: CredentialProxy.answer)
        let end = commandsEnd()
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await proxy.run { try ready($0, variables) } }
                group.addTask { for await _ in end {} }
                defer { group.cancelAll() }
                try await group.next()
                notes.close()
            }
            await upstream.close()
        } catch {
            await upstream.close()
            throw error
        }
    }

    /// The user that runs the command, and those that were named. Root is like any other user: a program of root's may be
    /// talked into asking an address for somebody else.
    private func admission(_ notes: RefusalNotes) throws -> Admission {
        do {
            return try Admission(users: users.union([geteuid()])) { notes.add($0) }
        } catch {
            throw Problem(
                "cannot see whose connections come to the proxy: \(PlainText.reason(errno: error.code))",
                hint:
                    "the kernel needs CONFIG_INET_DIAG, and a sandbox must allow netlink's sock_diag; exec without --proxy works",
                .configuration)
        }
    }

    private func ready(_ addresses: [String: String], _ variables: [String: String]) throws {
        let lines = variables.map { variable, name in "\(variable)=\(addresses[name] ?? "")\n" }.joined()
        try Terminal.write(Array((lines + "+\n").utf8), to: descriptors.report)
        close(descriptors.report)
        // What is typed from now on is the command's, and so are its interrupts.
        setsid()
        ProcessState.detachStreams()
    }

    /// Ends when the command does.
    private func commandsEnd() -> AsyncStream<Void> {
        // Its methods may be called from any thread (dispatch(3)).
        nonisolated(unsafe) let source = DispatchSource.makeReadSource(fileDescriptor: descriptors.command, queue: .global())
        return AsyncStream { continuation in
            unsafe source.setEventHandler { continuation.finish() }
            continuation.onTermination = { _ in unsafe source.cancel() }
            unsafe source.resume()
        }
    }
}

extension CredentialProxy {
    /// How a proxy answers an error. What is wrong otherwise than by a block is wrong behind the proxy, where a caller looks for
    /// the token server.
    static func answer(to error: any Error) -> (status: Int, title: String) {
        let problem = Problem(describing: error)
        return (problem.code == .blocked ? problem.code.status : 502, problem.title)
    }
}
