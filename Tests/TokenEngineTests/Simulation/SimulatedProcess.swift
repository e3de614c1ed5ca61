import Foundation
import OAuth
import Sodium

@testable import TokenEngine

/// A process of the machine: a driver, and everything that it can reach. Its tasks go on when it has died, and can change
/// nothing any more.
final class SimulatedProcess: @unchecked Sendable {
    struct Died: Error {}

    let number: Int
    let boot: Int
    let executor: SimulatedExecutor
    private(set) var driver: TokenDriver!
    var isAlive = true
    /// A refresh token that has come in an answer and is not stored yet.
    var owed: OwedToken?

    init(_ number: Int, _ world: Simulation, boot: Int) {
        (self.number, self.boot) = (number, boot)
        executor = SimulatedExecutor(world.scheduler)
        let name = world.fault == .bootKeepsItsName ? "boot" : "boot-\(boot)"
        driver = TokenDriver(
            store: SimulatedStore(world: world, process: self), transport: SimulatedTransport(world: world, process: self),
            clock: SimulatedClock(world: world, process: self), host: Host(id: "here", boot: name),
            jitter: { [unowned world] in world.scheduler.generator.unit() }, executor: executor)
    }

    func checkIsAlive() throws { if !isAlive { throw Died() } }
}

/// The scheduler's time.
struct SimulatedClock: WallClock {
    unowned let world: Simulation
    unowned let process: SimulatedProcess

    func now() -> Date { world.now }

    func sleep(seconds: Double) async throws {
        try Task.checkCancellation()
        await world.scheduler.pause(seconds)
        try process.checkIsAlive()
        try Task.checkCancellation()
    }
}

/// Brings requests to the server of the simulation.
struct SimulatedTransport: HTTPTransport {
    unowned let world: Simulation
    unowned let process: SimulatedProcess

    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        world.mayCrash(process, "before it sends")
        let fate = SimulatedFate(&world.scheduler.generator, losesAnswers: world.plan.losesAnswers)
        if case .noConnection = fate { await world.scheduler.pause(world.scheduler.generator.within(0...3)) }
        guard process.isAlive, !fate.isNoConnection else { throw aFailure }
        let parameters = Self.parameters(request)
        let access = RequestedAccess(scopes: parameters["scope"].map { [$0] } ?? [])
        let answer = await exchange(parameters["refresh_token"] ?? "", access, fate)
        world.mayCrash(process, "before it reads an answer")
        // A request of a task that is cancelled is cut.
        guard let answer, !Task.isCancelled else { throw aLostAnswer }
        return answer
    }

    /// The server works on its own time, whoever is there to read its answer.
    private func exchange(_ refreshToken: String, _ access: RequestedAccess, _ fate: SimulatedFate) async -> EndpointAnswer? {
        let (scheduler, sending) = (world.scheduler, world.begin(refreshToken, access, process))
        let (worked, answered) = delays()
        let refreshFirst = scheduler.generator.chance(0.5)
        return await withUnsafeContinuation { continuation in
            var result: SimulatedServer.Result?
            if fate.works { scheduler.after(worked) { result = world.work(sending) } }
            scheduler.after(answered) {
                sending.isOpen = false
                let answer = fate.answer(result, lifetime: world.plan.lifetime, refreshFirst: refreshFirst)
                world.arrive(fate, result, answer, sending)
                continuation.resume(returning: answer)
            }
            if world.fault == .transportSendsAgain, answered > 20 {
                scheduler.after(20) { if process.isAlive { _ = world.begin(refreshToken, access, process) } }
            }
            world.mayCrash(process, "after it has sent")
            world.mayCrashWithin(answered, process)
        }
    }

    /// When the server does its work, and when its answer arrives. A server has 180 s in all.
    private func delays() -> (worked: Double, answered: Double) {
        let scheduler = world.scheduler
        let total: Double =
            switch scheduler.generator.below(20) {
            case 0: scheduler.generator.within(30...180)
            case 1, 2, 3: scheduler.generator.within(2...30)
            default: scheduler.generator.within(0.01...1)
            }
        return (total * scheduler.generator.unit(), total)
    }

    private static func parameters(_ request: EndpointRequest) -> [String: String] {
        var parameters: [String: String] = [:]
        for pair in String(decoding: request.body, as: UTF8.self).split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { parameters[String(parts[0])] = String(parts[1]) }
        }
        return parameters
    }
}

extension SimulatedFate {
    fileprivate var isNoConnection: Bool { if case .noConnection = self { true } else { false } }
}
