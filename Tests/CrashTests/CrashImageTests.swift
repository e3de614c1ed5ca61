import Foundation
import TestSupport
import Testing

/// A power cut at any moment of a command, with any part of what was not synchronised missing.
///
/// A command's system calls are recorded, its folder is made anew as a disk could hold it after each of them, and each such
/// folder is looked into: the vault opens and is no older than this machine remembers, it holds what was there before or
/// what the command has stored, never a refresh token that was sent without saying so, the log is whole, the next command
/// does its work, and nothing is left lying about. What a command has said is there.
@Suite(
    .enabled(if: Strace.isThere, "make test installs strace, and root may use it"), .timeLimit(.minutes(60)))
struct CrashImageTests {
    @Test(arguments: Scenario.allCases)
    func `after a power cut there is the state before or the one after`(_ scenario: Scenario) async throws {
        let home = try await Home(scenario, try await PracticeServer())
        var disk = Disk(reading: home.folder.path)
        let before = scenario == .create ? nil : try Inspection(home.folder.path).stored()
        let (result, steps) = try await Strace.record(
            try await home.arguments(), in: home.folder.path, environment: home.environment)
        try #require(result.status == 0, "\(result.errors)")
        let after = try Inspection(home.folder.path).stored()
        try #require(before?.settled != after.settled)

        var duties = Duties(scenario, before: before, after: after)
        var seen: Set<Int> = []
        var sample = Sample()
        var lost = 0
        for (number, step) in steps.enumerated() {
            disk.perform(step)
            duties.note(step)
            for loss in sample.choose(disk.losses) {
                let image = disk.image(after: loss)
                guard seen.insert(image.fingerprint &* 31 &+ duties.stage).inserted else { continue }
                do {
                    try await check(image, duties, home)
                } catch {
                    lost += 1
                    if lost <= 3 {
                        Issue.record("\(scenario), step \(number) of \(steps.count): \(step.summary), \(loss): \(error)")
                    }
                }
            }
        }
        #expect(duties.isComplete, "what the command says and sends is in the recording")
        Torture.record("power cut", scenario.rawValue, rounds: seen.count, lost: lost)
    }

    private func check(_ image: Disk.Image, _ duties: Duties, _ home: Home) async throws {
        let folder = TemporaryFolder(isInMemory: true)
        image.write(to: folder.path)
        let inspection = Inspection(folder.path)
        if home.scenario == .create, !duties.hasSucceeded, !inspection.hasVault {
            // Opening it is for nobody yet; making it must work.
            var environment = home.environment
            for (name, value) in environment { environment[name] = value.replacing(home.folder.path, with: folder.path) }
            let result = await Program.run(Program.core, ["init"], environment: environment)
            guard result.status == 0 else { throw Flaw("init is refused: \(result.errors)") }
            return try await inspection.goesOn()
        }
        try duties.check(inspection.stored())
        try await inspection.goesOn()
    }
}

/// What a home must hold at a moment of a command.
private struct Duties {
    let before: Stored?
    let after: Stored
    private(set) var hasSucceeded = false
    private var sent: Set<String> = []

    private let scenario: Scenario

    init(_ scenario: Scenario, before: Stored?, after: Stored) {
        (self.scenario, self.before, self.after) = (scenario, before, after)
    }

    /// Changes when there are more of them.
    var stage: Int { sent.count * 2 + (hasSucceeded ? 1 : 0) }

    var isComplete: Bool { hasSucceeded && sent.isEmpty != scenario.refreshes }

    mutating func note(_ step: Step) {
        switch step {
        case .say(let bytes):
            let text = String(decoding: bytes, as: UTF8.self)
            if scenario.success.map(text.contains) ?? true { hasSucceeded = true }
        case .send(let bytes):
            let text = String(decoding: bytes, as: UTF8.self)
            if let start = text.range(of: "refresh_token=") {
                sent.insert(String(text[start.upperBound...].prefix { $0 != "&" }))
            }
        default: break
        }
    }

    func check(_ stored: Stored) throws {
        if hasSucceeded, stored.settled != after.settled { throw Flaw("it was said to be done, and is not there: \(stored)") }
        // A login that is added, a key that is proven: there are states between the two, but they have something of both.
        for (name, client) in stored.clients where before?.clients[name] != client && after.clients[name] != client {
            throw Flaw("\(name) is of a client that nobody has named")
        }
        if let before, stored.refreshTokens.count < min(before.refreshTokens.count, after.refreshTokens.count) {
            throw Flaw("a login is gone: \(stored)")
        }
        for token in stored.refreshTokens.values where sent.contains(token) && !stored.sending.contains(token) {
            throw Flaw("a refresh token was sent, and the vault does not say so")
        }
    }
}

/// Which of a step's images are looked into: all where there are not too many, in the long form, and else some.
private struct Sample {
    private var random = SeededGenerator(seed: 1)
    private let count = Torture.isLong ? 200 : 1

    /// Always the one in which everything is there, and the one in which nothing is that need not be.
    mutating func choose(_ losses: [Disk.Loss]) -> [Disk.Loss] {
        if losses.count <= count + 2 { return losses }
        let ends = [losses.first { $0.data == .missing } ?? losses[0], losses.last { $0.data == .written } ?? losses[0]]
        return ends
            + (0..<count).map { _ in
                var loss = losses.randomElement(using: &random)!
                loss.torn = Int.random(in: 0..<256, using: &random)
                return loss
            }
    }
}

extension Step {
    /// Without the bytes.
    var summary: String {
        switch self {
        case .write(let path, let bytes): "write \(bytes.count) to \(path)"
        case .send(let bytes): "send \(bytes.count)"
        case .say(let bytes): "say \(bytes.count)"
        default: "\(self)"
        }
    }
}
