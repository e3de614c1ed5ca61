import Foundation
import HTTP
import Linux
import TestSupport
import Testing
import TokenEngine

/// Each system call of a command fails in turn: what the command says is what is stored, the vault opens afterwards, the next
/// command works, and nothing is left lying about.
@Suite(
    .enabled(if: Strace.isThere, "make test installs strace, and root may use it"), .timeLimit(.minutes(120)))
struct FaultTests {
    /// So many calls of a kind a thread of a command makes at most.
    private static let most = 60

    @Test(arguments: Scenario.allCases)
    func `what a command says is what is stored`(_ scenario: Scenario) async throws {
        let server = try await PracticeServer()
        try await server.request("POST", "/admin/grace/600000")
        var random = SeededGenerator(seed: UInt64(scenario.rawValue.utf8.reduce(0) { $0 &* 31 &+ Int($1) }))
        var (runs, wrong) = (0, 0)
        for call in Fault.Call.all {
            // A passphrase costs more than all the rest of a command.
            for error in chosen(call.errors, oneOf: scenario == .passwd ? 4 : 2, &random) {
                var step = Torture.isLong ? 1 : Int.random(in: 1...3, using: &random)
                while step <= Self.most {
                    let fault = Fault(call: call, error: error, step: step)
                    guard let outcome = try await run(fault, scenario, server) else { break }
                    runs += outcome.isJudged ? 1 : 0
                    if let flaw = outcome.flaw {
                        wrong += 1
                        Issue.record("\(scenario), \(fault.testDescription): \(flaw)")
                    }
                    if !Torture.isLong { break }
                    step += 1
                }
            }
        }
        #expect(try await server.reuses() == 0)
        Torture.record("call that fails", scenario.rawValue, rounds: runs, lost: wrong)
    }

    /// All errors of a call; in the short form one, for one of so many calls.
    private func chosen(_ errors: [String], oneOf count: Int, _ random: inout SeededGenerator) -> [String] {
        if Torture.isLong { return errors }
        return Int.random(in: 0..<count, using: &random) != 0 ? [] : [errors.randomElement(using: &random)!]
    }

    /// So many more pages or files as a disk has room for when a command begins: none, one, two, ...
    @Test(arguments: Scenario.allCases.filter { Torture.isLong || $0 != .passwd })
    func `a full disk is no trap`(_ scenario: Scenario) async throws {
        let server = try await PracticeServer()
        try await server.request("POST", "/admin/grace/600000")
        var (runs, wrong) = (0, 0)
        for room in Torture.isLong ? Array(0...16) : [0, 2] {
            for isOfFiles in [false, true] {
                let home = try await Home(scenario, server, grace: 600, hasDisk: true)
                let before = scenario == .create ? nil : try Inspection(home.folder.path).stored().settled
                let arguments = try await home.arguments()
                let disk = try #require(home.disk, "root may mount a file system")
                try #require(disk.leave(pages: isOfFiles ? nil : room, files: isOfFiles ? room : nil))
                let result = await Program.run(Program.core, arguments, environment: home.environment)
                try #require(disk.leave(pages: nil, files: nil))
                runs += 1
                do {
                    guard result.status < 126 else { throw Flaw("it ended with \(result.status)") }
                    try await judge(result, before, home)
                } catch {
                    wrong += 1
                    let what = isOfFiles ? "files" : "pages"
                    Issue.record("\(scenario), room for \(room) \(what): \(error); it said \(result.errors)")
                }
            }
        }
        #expect(try await server.reuses() == 0)
        Torture.record("full disk", scenario.rawValue, rounds: runs, lost: wrong)
    }

    private struct Outcome {
        var isJudged = true
        var flaw: String?
    }

    /// - Returns: nil if the command makes fewer calls of this kind.
    private func run(_ fault: Fault, _ scenario: Scenario, _ server: PracticeServer) async throws -> Outcome? {
        let home = try await Home(scenario, server, grace: 600)
        let before = scenario == .create ? nil : try Inspection(home.folder.path).stored().settled
        let paths = fault.name == "openat" ? home.paths : []
        func isOurs(_ call: Call) -> Bool { call.isAbout(home.folder.path) || call.isOutput }
        let run = try await Strace.run(
            try await home.arguments(), failing: fault, paths: paths, environment: home.environment, isOurs: isOurs)
        if run.injected.isEmpty { return nil }
        guard run.injected.allSatisfy(isOurs) else { return Outcome(isJudged: false) }
        do {
            if run.hangs { throw Flaw("it hangs") }
            guard run.killed.isEmpty, run.result.status < 126 else {
                throw Flaw("it ended with \(run.result.status): \(run.killed)")
            }
            if scenario != .create, !run.injected.contains(where: { $0.isAboutLog }) {
                try Inspection(home.folder.path).logsOutcomes()
            }
            if fault.isHarmless, run.result.status != 0 { throw Flaw("it could have gone on") }
            try await judge(run.result, before, home, isSilenced: run.injected.contains { $0.isOutput })
            return Outcome()
        } catch {
            return Outcome(flaw: "\(error); it said \(run.result.errors)")
        }
    }

    /// - Parameter isSilenced: whether the command could not say everything.
    private func judge(
        _ result: ProgramResult, _ before: Stored?, _ home: Home, isSilenced: Bool = false
    ) async throws {
        let inspection = Inspection(home.folder.path)
        if home.scenario == .create, !inspection.hasVault {
            if result.status == 0 { throw Flaw("there is no vault") }
            if Path.exists(home.folder.file("keys/key")) { throw Flaw("a key file is left that opens nothing") }
            let again = await Program.run(Program.core, ["init"], environment: home.environment)
            if again.status != 0 { throw Flaw("init is refused: \(again.errors)") }
            return try await inspection.goesOn()
        }
        let stored = try inspection.stored()
        let saysDone =
            result.status == 0 || result.errors.contains("the change is made") || result.errors.contains("it is done")
        // A refresh token that was replaced is stored, whatever becomes of the token that was asked for.
        let mayDiffer = isSilenced || (home.scenario == .token && !saysDone)
        let isDone = home.scenario == .token ? stored.settled != before : !stored.isAsGood(as: before)
        if saysDone != isDone, !mayDiffer { throw Flaw(isDone ? "it is done all the same" : "it is not done") }
        if home.scenario.refreshes {
            for name in ["a", "b"] where stored.refreshTokens[name] != nil { try await refreshes(home, name) }
        }
        try await inspection.goesOn()
    }

    /// The login lives.
    private func refreshes(_ home: Home, _ name: String) async throws {
        let transport = HTTPClientTransport(proxies: ProxySettings(environment: [:]))
        let result = await Result { try await Inspection(home.folder.path).token(name, transport) }
        await transport.close()
        do { try result.get() } catch { throw Flaw("the login of \(name) is lost: \(error)") }
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}

extension Call {
    /// Whether it is about a file below a folder.
    fileprivate func isAbout(_ home: String) -> Bool {
        arguments.contains { (Call.path($0) ?? "").hasPrefix(home + "/") || Call.text($0).hasPrefix(home + "/") }
    }

    fileprivate var isAboutLog: Bool {
        arguments.contains { (Call.path($0) ?? Call.text($0)).hasSuffix(".log") }
    }

    fileprivate var isOutput: Bool {
        ["1<", "2<"].contains { arguments[0].hasPrefix($0) } && Call.path(arguments[0]) != "/dev/null"
    }
}

/// Calls that do a part of what they should, which is no failure.
@Suite(.timeLimit(.minutes(2))) struct ShortCallTests {
    private static let library: String? = {
        let path = Program.folder + "/short-calls-\(getpid()).so"
        let source = Program.root + "/Tests/CrashTests/short_calls.c"
        let child = Program.spawn(
            "/usr/bin/env", ["cc", "-shared", "-fPIC", "-o", path, source, "-ldl"],
            environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""], input: "/dev/null", output: "/dev/null",
            errors: "/dev/null")
        var status: Int32 = 0
        waitpid(child, &status, 0)
        return status == 0 ? path : nil
    }()
    private static let isThere = library != nil

    /// Those that start no refresher, which gets none of the command's variables.
    @Test(
        .enabled(if: isThere, "a C compiler is there wherever Swift is"),
        arguments: [Scenario.create, .rename, .remove, .addKey, .passwd])
    func `whoever reads or writes half of it goes on with the rest`(_ scenario: Scenario) async throws {
        let home = try await Home(scenario, try await PracticeServer())
        let before = scenario == .create ? nil : try Inspection(home.folder.path).stored()
        let environment = try home.environment.merging(["LD_PRELOAD": #require(Self.library)]) { $1 }
        let result = await Program.run(Program.core, try await home.arguments(), environment: environment)
        #expect(result.status == 0, "\(result.errors)")
        #expect(try Inspection(home.folder.path).stored() != before)
        try await Inspection(home.folder.path).goesOn()
    }
}
