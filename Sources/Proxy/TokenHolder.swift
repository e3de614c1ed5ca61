import Agent
import FoundationEssentials
import Sodium
import TokenEngine

/// The token that a credential's requests carry at the moment.
actor TokenHolder {
    struct Held: Equatable {
        /// What stands in `Authorization` (RFC 6750 section 2.1).
        let authorization: String
        fileprivate let until: Date
    }

    /// What was locked, denied or revoked since is noticed after so many seconds at the latest.
    private static let longest = 60.0

    private let name: String
    private let minimumLifetime: Int?
    private let agent: any TokenAgent
    private var held: Held?
    private var flight: Task<Held, any Error>?

    init(_ name: String, minimumLifetime: Int?, agent: any TokenAgent) {
        self.name = name
        self.minimumLifetime = minimumLifetime
        self.agent = agent
    }

    /// - Throws: what the agent throws.
    func current() async throws -> Held {
        if let held, Date() < held.until { return held }
        return try await fetch(.cached)
    }

    /// What to send after a server has refused a token, however many requests it was refused to.
    func replacement(for rejected: Held) async throws -> Held {
        if let held, held.authorization != rejected.authorization { return held }
        return try await fetch(.rejected)
    }

    /// One question at a time; who comes meanwhile gets the same answer.
    private func fetch(_ mode: TokenAsk.Mode) async throws -> Held {
        if let flight { return try await flight.value }
        let (agent, name) = (agent, name)
        let ask = TokenAsk(mode: mode, minimumLifetime: minimumLifetime)
        let task = Task {
            let token = try await agent.token(name, ask)
            let now = Date()
            // Half of what is left, so that no token is sent at the end of its life.
            let left = token.expires.map { max(0, $0.timeIntervalSince(now)) / 2 } ?? Self.longest
            return Held(
                authorization: "Bearer " + token.token.revealed(), until: now.addingTimeInterval(min(left, Self.longest)))
        }
        flight = task
        defer { flight = nil }
        let held = try await task.value
        self.held = held
        return held
    }
}
