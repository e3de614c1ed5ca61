import Foundation
import Synchronization
import TestSupport
import Testing

/// The driver as it is shipped, in a world that a seed decides.
///
/// `CLAVIGER_SIMULATION_SEED=n` replays one seed and prints what happens in it, `CLAVIGER_SIMULATION_FAULT=name` with one of
/// the seeded faults; `CLAVIGER_SIMULATION_SEEDS` says how many seeds are tried.
@Suite struct SimulationTests {
    private static let seeds = number("CLAVIGER_SIMULATION_SEEDS") ?? 3000

    private static func number(_ variable: String) -> Int? {
        ProcessInfo.processInfo.environment[variable].flatMap(Int.init)
    }

    @Test func `no seed breaks a rule`() async {
        if let seed = Self.number("CLAVIGER_SIMULATION_SEED") { return Self.replay(UInt64(seed)) }
        let broken = await Self.search(1...UInt64(Self.seeds), most: 20)
        Torture.record("simulation", "every seed", rounds: Self.seeds, lost: broken.count)
        for violation in broken {
            Issue.record("CLAVIGER_SIMULATION_SEED=\(violation.seed) breaks: \(violation.rule.rawValue): \(violation.details)")
        }
        if let first = broken.first { print(Self.trace(first.seed).joined(separator: "\n")) }
    }

    @Test(arguments: SeededFault.allCases)
    func `every seeded fault is found`(_ fault: SeededFault) async {
        let found = await Self.search(1...3000, fault: fault, most: 1)
        #expect(!found.isEmpty, "no seed finds it")
        for violation in found { #expect(fault.rules.contains(violation.rule), "seed \(violation.seed): \(violation.details)") }
    }

    @Test func `the same seed does the same`() {
        for seed in 1...20 as ClosedRange<UInt64> {
            let trace = Self.trace(seed)
            #expect(trace.count > 5)
            #expect(trace == Self.trace(seed))
        }
    }

    private static func trace(_ seed: UInt64) -> [String] {
        let simulation = Simulation(seed: seed, isTraced: true)
        simulation.run()
        return simulation.trace
    }

    private static func replay(_ seed: UInt64) {
        let fault = ProcessInfo.processInfo.environment["CLAVIGER_SIMULATION_FAULT"].flatMap(SeededFault.init)
        let simulation = Simulation(seed: seed, fault: fault, isTraced: true)
        simulation.run()
        print(simulation.trace.joined(separator: "\n"))
        #expect(simulation.violation == nil)
    }

    /// Tries seeds, each in one of two threads, until enough of them break a rule.
    private static func search(
        _ seeds: ClosedRange<UInt64>, fault: SeededFault? = nil, most: Int
    ) async -> [Simulation.Violation] {
        let search = SeedSearch(seeds, fault: fault, most: most)
        return await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                DispatchQueue.concurrentPerform(iterations: 2) { _ in search.work() }
                continuation.resume(returning: search.found)
            }
        }
    }
}

/// Seeds that are still to be tried, and what was found.
private final class SeedSearch: Sendable {
    private let state: Mutex<(next: UInt64, found: [Simulation.Violation])>
    private let last: UInt64
    private let fault: SeededFault?
    private let most: Int

    init(_ seeds: ClosedRange<UInt64>, fault: SeededFault?, most: Int) {
        state = Mutex((seeds.lowerBound, []))
        (last, self.fault, self.most) = (seeds.upperBound, fault, most)
    }

    var found: [Simulation.Violation] { state.withLock { $0.found.sorted { $0.seed < $1.seed } } }

    func work() {
        while let seed = next() {
            let simulation = Simulation(seed: seed, fault: fault)
            simulation.run()
            if let violation = simulation.violation { state.withLock { $0.found.append(violation) } }
        }
    }

    private func next() -> UInt64? {
        state.withLock { state in
            guard state.next <= last, state.found.count < most else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }
}
