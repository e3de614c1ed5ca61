import Credentials
import FoundationEssentials
import HTTPTypes
import OAuth
import Sodium
import TokenEngine

/// The token that a credential's requests carry at the moment.
actor TokenHolder {
    struct Held: Equatable {
        private let token: String
        private let presentation: TokenPresentation
        fileprivate let hash: TokenHash
        fileprivate let until: Date

        fileprivate init(_ token: CachedToken, until: Date) {
            self.token = token.token.revealed()
            presentation = token.presentation
            hash = TokenHash(of: token.token)
            self.until = until
        }

        /// Writes the token into a request.
        func present(in fields: inout HTTPFields, _ url: inout EndpointURL) {
            switch presentation.place {
            case .header(let name, let before, let after):
                if let name = HTTPField.Name(name) { fields[name] = before + token + after }
            case .query(let name):
                let query = [url.query, name + "=" + FormEncoding.encode(token)].compactMap { $0 }.joined(separator: "&")
                url = url.with(query: query)
            }
        }

        /// Takes a token that went in the query out of an address that the server answers with.
        func withheld(from address: String) -> String {
            guard case .query(let name) = presentation.place else { return address }
            return address.replacing(name + "=" + FormEncoding.encode(token), with: name + "=").replacing(token, with: "")
        }
    }

    /// What was locked, denied or revoked since is noticed after so many seconds at the latest.
    private static let longest = 60.0

    private let name: String
    private let minimumLifetime: Int?
    private let agent: any TokenSource
    private var held: Held?
    /// A token that was refused although it had just taken the place of a refused one: another would fare no better.
    private var hopelessUntil = Date.distantPast
    private let flights = SingleFlight<TokenHash?, Held>()

    init(_ name: String, minimumLifetime: Int?, agent: any TokenSource) {
        self.name = name
        self.minimumLifetime = minimumLifetime
        self.agent = agent
    }

    /// - Throws: what the agent throws.
    func current() async throws -> Held {
        if let held, Date() < held.until { return held }
        return try await fetch(nil)
    }

    /// What to send after a server has refused a token, however many requests it was refused to.
    /// - Returns: nil where another token would be refused, too.
    func replacement(for rejected: Held) async throws -> Held? {
        if let held, held.hash != rejected.hash { return held }
        guard Date() >= hopelessUntil else { return nil }
        return try await fetch(rejected.hash)
    }

    /// Says that a replacement was refused like the token before it.
    func refusedAgain() { hopelessUntil = Date().addingTimeInterval(Self.longest) }

    /// - Parameter rejected: the token that an API has refused.
    private func fetch(_ rejected: TokenHash?) async throws -> Held {
        var ask = TokenQuery(mode: rejected == nil ? .cached : .rejected, minimumLifetime: minimumLifetime)
        ask.rejectedToken = rejected
        let (agent, name, wanted) = (agent, name, ask)
        let held = try await flights.run(rejected) {
            let token = try await agent.token(name, wanted)
            let now = Date()
            // Half of what is left, so that no token is sent at the end of its life.
            let left = token.expires.map { max(0, $0.timeIntervalSince(now)) / 2 } ?? Self.longest
            return Held(token, until: now.addingTimeInterval(min(left, Self.longest)))
        }
        self.held = held
        return held
    }
}
