import Agent
import AgentProtocol
import Dispatch
import Glibc
import Linux
import TokenEngine

/// The refresher as a process: it finishes what a command has begun, whatever becomes of the command.
///
/// It is started from this very executable, as nobody's child, in a session of its own: no signal of a terminal, and no end of
/// a process group, reaches it. It has one socket, and no other descriptor, no folder and no variable of the command's that it
/// does not need.
enum RefresherProcess {
    static let argument = "refresher"
    private static let descriptor: Int32 = 3

    /// What the network and the libraries read: where proxies and trusted certificates are, how names are looked up.
    private static let variables = [
        "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
        "RES_OPTIONS", "LOCALDOMAIN", "HOSTALIASES", "TZ", "LANG", "LC_ALL", "CLAVIGER_HOST_ID", ExchangeWords.variable,
    ]

    // MARK: The command's side

    /// - Returns: this process's end of the socket pair.
    /// - Throws: `FileError`; nothing has been sent then.
    static func start() throws -> File {
        let (ours, theirs) = try File.socketPair()
        var environment = Session.environment.filter { variables.contains($0.key) }
        // Memory that is freed is overwritten; glibc reads this at the start only.
        environment["GLIBC_TUNABLES"] = AgentLauncher.scrubbing
        var refresher = ChildProcess("/proc/self/exe", [argument], environment: environment)
        refresher.name = "claviger"
        refresher.streams = [.null, .null, ExchangeWords.areWanted ? .inherited : .null, .file(theirs)]
        refresher.startsSession = true
        refresher.folder = "/"
        try refresher.startDetached()
        return ours
    }

    // MARK: Its own side

    /// Serves the command at the other end until it is gone and all work is done.
    /// - Throws: a problem if it was started by hand.
    static func serve() async throws -> Never {
        // The runtime may have opened something under this number: only the command's end is a socket.
        guard let socket = File.inheritedSocket(descriptor, path: "the command's socket") else {
            throw Problem("claviger starts this by itself, when a login is renewed", .usage)
        }
        // Who traces a process reads its memory: no key is asked for then.
        guard ProcessHardening.tracer == 0 else { exit(ProblemCode.refused.exit) }
        try? await Session.withTransport { transport in
            let server = RefresherServer(socket, transport: transport, environment: Session.environment)
            let signals = watchSignals(server)
            await server.run()
            withExtendedLifetime(signals) {}
        }
        exit(0)
    }

    /// None of them cuts what was sent.
    private static func watchSignals(_ server: RefresherServer) -> [any DispatchSourceSignal] {
        signal(SIGPIPE, SIG_IGN)
        return [SIGINT, SIGTERM, SIGHUP, SIGQUIT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { server.end() }
            source.resume()
            return source
        }
    }
}
