import Foundation
import TestSupport
import TokenEngine

extension SeededGenerator {
    /// An even number in 0 ..< 1.
    mutating func unit() -> Double { Double(next() >> 11) / Double(1 << 53) }
    mutating func within(_ range: ClosedRange<Double>) -> Double {
        range.lowerBound + unit() * (range.upperBound - range.lowerBound)
    }
    mutating func chance(_ probability: Double) -> Bool { unit() < probability }
    mutating func below(_ count: Int) -> Int { Int(next() % UInt64(count)) }
    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
}

/// Runs all tasks of a simulation in one thread, one step after the other, in an order that only the seed decides. Its time
/// passes when no task has anything to do.
///
/// Nothing here is locked: everything of one simulation happens in the thread that calls `run`.
final class SeededScheduler: @unchecked Sendable {
    /// Seconds.
    private(set) var now = 0.0
    var generator: SeededGenerator
    private var ready: [(executor: SimulatedExecutor, job: UnownedJob)] = []
    /// The next one stands last.
    private var timers: [(time: Double, action: () -> Void)] = []

    /// Seeds that follow each other give numbers that have nothing to do with each other.
    init(seed: UInt64) { generator = SeededGenerator(seed: seed &* 0x9E37_79B9_7F4A_7C15) }

    fileprivate func enqueue(_ job: UnownedJob, on executor: SimulatedExecutor) { ready.append((executor, job)) }

    func after(_ seconds: Double, _ action: @escaping () -> Void) {
        let time = now + max(0, seconds)
        var (low, high) = (0, timers.count)
        while low < high {
            let middle = (low + high) / 2
            if timers[middle].time <= time { high = middle } else { low = middle + 1 }
        }
        timers.insert((time, action), at: low)
    }

    /// Suspends the calling task.
    func pause(_ seconds: Double) async {
        await withUnsafeContinuation { continuation in
            after(seconds) { continuation.resume() }
        }
    }

    /// Until nothing is left to do.
    func run() {
        while true {
            if !ready.isEmpty {
                step()
            } else if let timer = timers.popLast() {
                now = timer.time
                timer.action()
            } else {
                return
            }
        }
    }

    private func step() {
        let next = ready.remove(at: ready.count == 1 ? 0 : generator.below(ready.count))
        // A process does not always get its turn at once.
        if generator.chance(0.02) {
            after(generator.within(0...0.3)) { self.ready.append(next) }
        } else {
            next.job.runSynchronously(on: next.executor.asUnownedTaskExecutor())
        }
    }
}

/// Where the tasks of one process run.
final class SimulatedExecutor: TaskExecutor {
    private let scheduler: SeededScheduler

    init(_ scheduler: SeededScheduler) { self.scheduler = scheduler }

    func enqueue(_ job: consuming ExecutorJob) { scheduler.enqueue(UnownedJob(job), on: self) }
}
