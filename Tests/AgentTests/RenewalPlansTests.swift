import Foundation
import TestSupport
import Testing

@testable import Agent

/// Minutes of renewals within a moment: a clock that is set, and servers that take their time by it.
@Suite struct RenewalPlansTests {
    /// A server that answers each request so many seconds later.
    private struct Server {
        let name: String
        let latency: Double
        let credentials: Int
    }

    /// Renews as the agent does, on a clock of its own.
    private struct Simulation {
        var plans = RenewalPlans()
        /// When each token ends; without the tokens that there were none of yet.
        var ends: [TokenKey: Date] = [:]
        var atWork: [(due: RenewalPlans.Due, done: Date)] = []
        var mostAtOnce: [String: Int] = [:]
        var lapses: [String] = []
        private var random = SeededGenerator(seed: 1)
        let lifetime: Double
        let servers: [Server]
        let start = Date(timeIntervalSince1970: 1_700_000_000)

        init(lifetime: Double, servers: [Server]) {
            (self.lifetime, self.servers) = (lifetime, servers)
            for server in servers {
                for number in 0..<server.credentials {
                    plans.plan(TokenKey(name: "\(server.name) \(number)"), at: server.name, now: start)
                }
            }
        }

        /// - Parameter grace: seconds in which each credential gets its first token.
        mutating func run(minutes: Double, grace: Double) {
            for tick in 0..<Int(minutes * 60 * 20) {
                let now = start.addingTimeInterval(Double(tick) / 20)
                let done = atWork.filter { $0.done <= now }
                atWork.removeAll { $0.done <= now }
                for (due, _) in done { finish(due, at: now) }
                if tick % 4 == 0 { plans.begin(at: now, interest: .infinity).forEach { begin($0, at: now) } }
                guard Double(tick) / 20 > grace else { continue }
                let count = servers.reduce(0) { $0 + $1.credentials }
                if ends.count < count { lapses.append("\(count - ends.count) have none after \(tick / 20) s") }
                // Whoever asks waits for a server from a tenth of the token's life on.
                for (key, end) in ends where end.timeIntervalSince(now) < lifetime / 10 {
                    lapses.append("\(key.name) after \(tick / 20) s")
                }
            }
        }

        private mutating func begin(_ due: RenewalPlans.Due, at now: Date) {
            let latency = servers.first { $0.name == due.server }!.latency
            atWork.append((due, now.addingTimeInterval(latency)))
            let count = atWork.count { $0.due.server == due.server }
            mostAtOnce[due.server] = max(mostAtOnce[due.server] ?? 0, count)
        }

        private mutating func finish(_ due: RenewalPlans.Due, at now: Date) {
            let sent = now.addingTimeInterval(-servers.first { $0.name == due.server }!.latency)
            ends[due.key] = sent.addingTimeInterval(lifetime)
            plans.plan(
                due.key, at: due.server, sent: sent, expires: ends[due.key], asked: nil, share: .random(in: 0...1, using: &random)
            )
            if let next = plans.next(after: due) { begin(next, at: now) }
        }
    }

    @Test func `of two thousand tokens of a minute none lapses`() {
        let servers = [Server(name: "a", latency: 0.1, credentials: 1000), Server(name: "b", latency: 0.2, credentials: 1000)]
        var simulation = Simulation(lifetime: 60, servers: servers)
        simulation.run(minutes: 5, grace: 20)
        #expect(simulation.lapses.isEmpty, "\(simulation.lapses.count), the first: \(simulation.lapses.first ?? "")")
        #expect(simulation.mostAtOnce.values.allSatisfy { $0 == RenewalPlans.connections })
    }

    @Test func `of a thousand tokens of half a minute none lapses`() {
        var simulation = Simulation(lifetime: 30, servers: [Server(name: "a", latency: 0.1, credentials: 1000)])
        simulation.run(minutes: 3, grace: 10)
        #expect(simulation.lapses.isEmpty, "\(simulation.lapses.count), the first: \(simulation.lapses.first ?? "")")
    }

    @Test func `a server that never answers holds up nobody else's tokens`() {
        let servers = [
            Server(name: "hangs", latency: .infinity, credentials: 500), Server(name: "well", latency: 0.1, credentials: 500),
        ]
        var simulation = Simulation(lifetime: 60, servers: servers)
        simulation.run(minutes: 3, grace: .infinity)
        #expect(simulation.ends.count == 500)
        let end = simulation.start.addingTimeInterval(180)
        #expect(simulation.ends.values.allSatisfy { $0.timeIntervalSince(end) > 6 })
        #expect(simulation.mostAtOnce["hangs"] == RenewalPlans.connections)
    }

    private let now = Date(timeIntervalSince1970: 1_700_000_000)

    @Test(arguments: [3600.0, 60, 30, 10, 5, 1])
    func `a token is renewed while it is still handed out`(_ lifetime: Double) {
        for share in [0, 0.5, 1] {
            let renewal = RenewalPlans.renewal(sent: now, expires: now + lifetime, share: share).timeIntervalSince(now)
            #expect(renewal > lifetime * 0.39 && renewal <= lifetime * 0.85)
            if lifetime >= 5 { #expect(renewal <= lifetime * 0.9 - 2) }
        }
        #expect(RenewalPlans.renewal(sent: now, expires: nil, share: 1) == .distantFuture)
    }

    @Test func `the tokens that end first come first, and those that there are none of yet last`() {
        var plans = RenewalPlans()
        plans.plan(TokenKey(name: "none"), at: "a", now: now)
        for number in (0..<20).reversed() {
            plans.plan(
                TokenKey(name: "\(number)"), at: "a", sent: now - 100, expires: now + Double(number), asked: now, share: 0)
        }
        var names: [String] = []
        var queue = plans.begin(at: now + 2, interest: 86_400)
        #expect(queue.count == RenewalPlans.connections)
        while !queue.isEmpty {
            let due = queue.removeFirst()
            names.append(due.key.name)
            plans.postpone(due, until: .distantFuture)
            if let next = plans.next(after: due) { queue.append(next) }
        }
        #expect(names == (0..<20).map { "\($0)" })
        // Nobody has asked for that one in a day.
        #expect(plans.nextDue == .distantFuture)
        plans.plan(TokenKey(name: "none"), at: "a", now: now)
        #expect(plans.begin(at: now, interest: .infinity).map(\.key.name) == ["none"])
    }

    @Test func `a token that somebody has acquired meanwhile is not renewed once more`() {
        var plans = RenewalPlans()
        for number in 0...16 {
            plans.plan(TokenKey(name: "\(number)"), at: "a", sent: now, expires: now + 60 + Double(number), asked: now, share: 0)
        }
        let begun = plans.begin(at: now + 65, interest: 86_400)
        plans.plan(TokenKey(name: "16"), at: "a", sent: now + 65, expires: now + 125, asked: now + 65, share: 0)
        #expect(begun.count == 16 && plans.next(after: begun[0])?.key == nil)
    }

    @Test func `what is forgotten while it waits is not renewed`() {
        var plans = RenewalPlans()
        for number in 0...16 { plans.plan(TokenKey(name: "\(number)"), at: "a", now: now) }
        let begun = plans.begin(at: now, interest: .infinity)
        let waiting = Set((0...16).map { "\($0)" }).subtracting(begun.map(\.key.name)).first!
        plans.forget(TokenKey(name: waiting))
        #expect(plans.next(after: begun[0])?.key == nil)
        // Locked: all plans are gone, and a renewal that ends then begins nothing.
        plans = RenewalPlans()
        #expect(plans.next(after: begun[1])?.key == nil && plans.nextDue == nil)
    }
}
