import Foundation
import Synchronization
import TestSupport
import Testing

/// What spends a refresh token, or the code of a login.
enum SpendingCommand: String, CaseIterable, CustomTestStringConvertible {
    case token, rotate, check, edit, login

    var testDescription: String { rawValue }

    func arguments(_ rotating: RotatingServer) async throws -> [String] {
        switch self {
        case .token: ["token", "a", "--fresh"]
        case .rotate: ["rotate", "a", "--secret-file", try await rotating.newSecret()]
        case .check: ["check", "a"]
        case .edit: ["edit", "a", "--header", "X-Round: \(UUID().uuidString)"]
        case .login: ["login", "a", "--no-browser"]
        }
    }
}

/// How a caller can come to its end while a server takes its time.
enum Interruption: CaseIterable, CustomTestStringConvertible {
    case interrupt, terminate, hangUp, quit, kill
    case groupInterrupt, groupTerminate, groupHangUp, groupQuit, groupKill
    case closedTerminal, sshHangUp

    var testDescription: String {
        switch self {
        case .interrupt: "INT"
        case .terminate: "TERM"
        case .hangUp: "HUP"
        case .quit: "QUIT"
        case .kill: "KILL"
        case .groupInterrupt: "INT to its group"
        case .groupTerminate: "TERM to its group"
        case .groupHangUp: "HUP to its group"
        case .groupQuit: "QUIT to its group"
        case .groupKill: "KILL to its group"
        case .closedTerminal: "a closed terminal"
        case .sshHangUp: "a hang-up as ssh does it"
        }
    }

    /// The signal, and whether it goes to the whole process group; nil where a terminal is closed.
    var signal: (number: Int32, goesToGroup: Bool)? {
        switch self {
        case .interrupt: (SIGINT, false)
        case .terminate: (SIGTERM, false)
        case .hangUp: (SIGHUP, false)
        case .quit: (SIGQUIT, false)
        case .kill: (SIGKILL, false)
        case .groupInterrupt: (SIGINT, true)
        case .groupTerminate: (SIGTERM, true)
        case .groupHangUp: (SIGHUP, true)
        case .groupQuit: (SIGQUIT, true)
        case .groupKill: (SIGKILL, true)
        case .closedTerminal, .sshHangUp: nil
        }
    }
}

/// A caller that can be interrupted.
private struct Caller {
    private let processID: pid_t
    private var terminal: PseudoTerminal?
    private let errors: String

    init(_ arguments: [String], _ rotating: RotatingServer, for interruption: Interruption) {
        errors = rotating.home.file("errors-\(UUID().uuidString)")
        switch interruption {
        case .closedTerminal:
            let terminal = PseudoTerminal(
                Program.core, arguments, environment: rotating.environment, output: rotating.home.file("out"), columns: 4000)
            (self.terminal, processID) = (terminal, terminal.processID)
        case .sshHangUp:
            // sshd closes the terminal of the shell, in whose session the caller runs as a job.
            let terminal = PseudoTerminal(
                "/bin/bash", ["--norc", "--noediting", "-i"], environment: rotating.environment,
                output: rotating.home.file("out"), columns: 4000)
            let words = ([Program.claviger] + arguments).map { "'\($0)'" }.joined(separator: " ")
            terminal.type(words + "\n")
            (self.terminal, processID) = (terminal, terminal.processID)
        default:
            // It leads a session, and a process group, of its own.
            processID = Program.spawn(
                Program.core, arguments, environment: rotating.environment, input: "/dev/null", output: "/dev/null",
                errors: errors)
        }
    }

    /// Where a login sends the browser.
    func address() async throws -> String {
        var found: String?
        var screen = ""
        _ = try await eventually {
            if let terminal {
                screen += try await terminal.expect("\n")
            } else {
                screen = String(decoding: bytes(ofFile: errors), as: UTF8.self)
            }
            found = RotatingServer.address(in: screen.replacing("\r\n", with: "\n"))
            return found != nil
        }
        return try #require(found, "\(screen)")
    }

    mutating func interrupt(by interruption: Interruption) {
        if let signal = interruption.signal {
            kill(signal.goesToGroup ? -processID : processID, signal.number)
        } else {
            terminal = nil
        }
    }

    /// Lets a shell end when the caller has.
    func leaveShell() { terminal?.type("exit\n") }

    /// Waits until it has ended, and for a second at most before `release` is called: one that finishes its work first is as good.
    func ends(orAfterASecond release: () async throws -> Void) async throws {
        let ended = Mutex(false)
        let processID = processID
        let waiting = Task {
            _ = await Program.wait(processID)
            ended.withLock { $0 = true }
        }
        for _ in 0..<100 where !ended.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(10)) }
        try await release()
        await waiting.value
    }
}

/// A refresh that was begun is finished, whatever happens to the program that began it. The server has replaced the refresh
/// token and has not answered yet when the caller is interrupted; it would end the login if the old one were sent again.
@Suite(
    .enabled(if: Python.isThere, "make test makes the virtual environment that this needs"), .timeLimit(.minutes(60)))
struct InterruptionTests {
    @Test(arguments: SpendingCommand.allCases, Interruption.allCases)
    func `no login is lost`(_ command: SpendingCommand, _ interruption: Interruption) async throws {
        let rotating = try await RotatingServer()
        try await rotating.endsTokensAtOnce()
        var lost = 0
        for _ in 0..<Torture.rounds where try await loses(command, interruption, rotating) { lost += 1 }
        #expect(lost == 0, "of \(Torture.rounds)")
        Torture.record("interrupted", "\(command): \(interruption.testDescription)", rounds: Torture.rounds, lost: lost)
    }

    /// What the test above would find where nothing is wrong: the same callers, and the same slow answer.
    @Test(arguments: SpendingCommand.allCases, [Interruption.interrupt, .closedTerminal, .sshHangUp])
    func `no login is lost where nobody is interrupted`(_ command: SpendingCommand, _ caller: Interruption) async throws {
        let rotating = try await RotatingServer()
        #expect(try await loses(command, caller, rotating, happens: false) == false)
    }

    /// - Parameter happens: false to let the caller come to its end undisturbed.
    /// - Returns: whether the login was lost. There is a new one afterwards.
    private func loses(
        _ command: SpendingCommand, _ interruption: Interruption, _ rotating: RotatingServer, happens: Bool = true
    ) async throws -> Bool {
        // A login that is stored would hide that the new one was lost.
        if command == .login { try #require(await rotating.run("revoke", "a").status == 0) }
        let before = try await rotating.state()
        try await rotating.fail(#"{"hold": true}"#)
        var caller = Caller(try await command.arguments(rotating), rotating, for: interruption)
        var browser: Task<String, any Error>?
        if command == .login {
            let address = try await caller.address()
            browser = Task { try await RotatingServer.browse(address) }
        }
        try #require(try await rotating.waits(untilWorked: before.worked + 1))
        if happens {
            caller.interrupt(by: interruption)
        } else {
            caller.leaveShell()
        }
        try await caller.ends { try await rotating.release() }
        _ = try? await browser?.value
        let next = await rotating.run("token", "a", "--fresh")
        let after = try await rotating.state()
        if next.status == 0, after.reuses == before.reuses { return false }
        let again = await rotating.run("login", "a", "--refresh-token-file", try await rotating.newLogin())
        try #require(again.status == 0, "\(again.errors)")
        return true
    }

    enum Moment: String, CaseIterable {
        case before, after
    }

    /// What even the refresher can't survive, the journal and the server's grace period do; for the code of a login there is
    /// no such thing (RFC 6749 section 4.1.2).
    @Test(arguments: SpendingCommand.allCases.filter { $0 != .login }, Moment.allCases)
    func `with a grace period the refresher may be killed, too`(_ command: SpendingCommand, _ moment: Moment) async throws {
        let rotating = try await RotatingServer(grace: 30)
        try await rotating.endsTokensAtOnce()
        var lost = 0
        for _ in 0..<Torture.rounds {
            let before = try await rotating.state()
            try await rotating.fail(#"{"hold": true, "when": "\#(moment)"}"#)
            let child = Program.spawn(
                Program.core, try await command.arguments(rotating), environment: rotating.environment,
                input: "/dev/null", output: "/dev/null", errors: "/dev/null")
            let arrived = try await eventually {
                let state = try await rotating.state()
                return moment == .before ? state.requests > before.requests : state.worked > before.worked
            }
            try #require(arrived)
            let refresher = Refresher.process(connectedTo: rotating.server.address)
            if let refresher { kill(refresher, SIGKILL) }
            try await rotating.release()
            _ = await Program.wait(child)
            try #require(refresher != nil, "no process of its own holds the request")
            let next = await rotating.run("token", "a", "--fresh")
            let after = try await rotating.state()
            if next.status != 0 || after.reuses > 0 { lost += 1 }
        }
        #expect(lost == 0, "of \(Torture.rounds)")
        Torture.record("refresher killed", "\(command), \(moment) the work", rounds: Torture.rounds, lost: lost)
    }

    /// However long the server takes, it is asked once: a second request while the first runs is what reuse detection is for.
    @Test(arguments: [1, 25, Torture.slowestAnswer])
    func `waits for a slow answer`(_ seconds: Int) async throws {
        let rotating = try await RotatingServer()
        let before = try await rotating.state()
        try await rotating.fail(#"{"delay": \#(seconds)}"#)
        let slow = await rotating.run("token", "a", "--fresh")
        #expect(slow.status == 0, "\(slow.errors)")
        #expect(try await rotating.state().requests == before.requests + 1)
        let next = await rotating.run("token", "a", "--fresh")
        #expect(next.status == 0, "\(next.errors)")
        let after = try await rotating.state()
        #expect(after.reuses == 0 && after.families == 1)
        Torture.record("slow answer", "\(seconds) s", rounds: 1, lost: after.reuses)
    }

    /// Somebody else who wants a token meanwhile waits for the same answer.
    @Test func `one that was interrupted and one that waits share the answer`() async throws {
        let rotating = try await RotatingServer()
        let before = try await rotating.state()
        try await rotating.fail(#"{"hold": true}"#)
        let child = Program.spawn(
            Program.core, ["token", "a", "--fresh"], environment: rotating.environment, input: "/dev/null", output: "/dev/null",
            errors: "/dev/null")
        try #require(try await rotating.waits(untilWorked: before.worked + 1))
        async let other = rotating.run("token", "a", "--fresh")
        kill(child, SIGKILL)
        _ = await Program.wait(child)
        try await rotating.release()
        #expect(await other.status == 0)
        let after = try await rotating.state()
        #expect(after.reuses == 0 && after.requests <= before.requests + 2)
    }
}

/// The process that finishes a refresh.
enum Refresher {
    /// A file of proc(5) says that it is empty, and gives a page with each read.
    private static func contents(_ path: String) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var all: [UInt8] = []
        var page = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(file, &page, page.count)
            guard count > 0 else { return all }
            all += page[..<count]
        }
    }

    /// The process whose first argument is `refresher` and that has a connection to this server, which tells it from those of
    /// other tests.
    static func process(connectedTo address: String) -> pid_t? {
        guard let port = URL(string: address)?.port else { return nil }
        let sockets = sockets(to: port)
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return all.compactMap { pid_t($0) }.first { process in
            let arguments = contents("/proc/\(process)/cmdline").split(separator: 0)
            guard arguments.count > 1, arguments[1].elementsEqual("refresher".utf8) else { return false }
            let folder = "/proc/\(process)/fd"
            let open = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            return open.contains { name in
                (try? FileManager.default.destinationOfSymbolicLink(atPath: folder + "/" + name)).map(sockets.contains) ?? false
            }
        }
    }

    /// `socket:[inode]` of each connection to this port (proc(5)).
    private static func sockets(to port: Int) -> Set<String> {
        let suffix = ":" + String(format: "%04X", port)
        let lines = String(decoding: contents("/proc/net/tcp"), as: UTF8.self).split(separator: "\n").dropFirst()
        return Set(
            lines.compactMap { line in
                let fields = line.split(separator: " ")
                return fields.count > 9 && fields[2].hasSuffix(suffix) ? "socket:[\(fields[9])]" : nil
            })
    }
}
