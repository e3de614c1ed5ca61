import Credentials
import FoundationEssentials
import HTTP
import HTTPTypes
import OAuth
import Sodium
import TokenEngine

/// The token that a credential's requests carry at the moment.
actor TokenHolder {
    struct Held: Equatable {
        private let token: String
        private let presentation: TokenPresentation
        private let proof: String?
        /// Whether each request needs a proof of its own (RFC 9449).
        fileprivate let isBound: Bool
        fileprivate let hash: TokenHash
        fileprivate let until: Date

        fileprivate init(_ token: CachedToken, until: Date) {
            self.token = token.token.revealed()
            presentation = token.presentation
            (proof, isBound) = (token.proof?.revealed(), token.isBound)
            hash = TokenHash(of: token.token)
            self.until = until
        }

        /// Writes the token into a request, and the proof that was made for it.
        func present(in fields: inout HTTPFields, _ url: inout EndpointURL) {
            if isBound { fields[.dpop] = proof }
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
    /// A credential that was blocked since, after so many. That is asked for apart: it writes no line of the log, as each token does.
    private static let blockInterval = 1.0

    private let name: String
    private let minimumLifetime: Int?
    private let agent: any TokenSource
    private var held: Held?
    /// When the credential was last looked at, and what the agent says of a blocked one: a client that goes on asking must not
    /// fill the log with refusals.
    private var looked = Date.distantPast
    private var blocked: (any Error)?
    /// The word for the moment that the API's server has given last (RFC 9449 section 9).
    private var nonce: String?
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
        try await refuseIfBlocked()
        if let held, Date() < held.until { return held }
        return try await fetch(nil)
    }

    private func refuseIfBlocked() async throws {
        if abs(Date().timeIntervalSince(looked)) >= Self.blockInterval {
            looked = Date()
            // Whatever else is wrong shows when a token is asked for.
            let isBlocked = (try? await agent.credential(name))?.isBlocked ?? false
            if isBlocked { held = nil }
            if !isBlocked || blocked == nil { blocked = isBlocked ? await refusal() : nil }
        }
        if let blocked { throw blocked }
    }

    /// What the agent says to whoever asks for a token of a blocked credential; nil if it gives one after all.
    private func refusal() async -> (any Error)? {
        do {
            _ = try await fetch(nil)
            return nil
        } catch {
            return error
        }
    }

    /// The token for one request: with a proof for just that, where it is bound to a key.
    /// - Throws: what the agent throws.
    func current(for method: String, _ url: EndpointURL) async throws -> Held {
        try await proven(try await current(), method, url)
    }

    /// The agent makes the proof, and gives the token that it is for: another one, where the token was renewed meanwhile.
    func proven(_ held: Held, _ method: String, _ url: EndpointURL) async throws -> Held {
        guard held.isBound else { return held }
        var ask = TokenQuery(minimumLifetime: minimumLifetime)
        ask.proof = ProofRequest(method: method, url: url, nonce: nonce)
        return Held(try await agent.token(name, ask), until: .distantPast)
    }

    /// Keeps the nonce of an answer, for the next proof.
    /// - Returns: whether the server has done nothing but ask for it, so that the same request with it may go through.
    func learnNonce(from answer: StreamedAnswer) -> Bool {
        guard let new = answer.headerFields[.dpopNonce], ProofRequest.isNonce(new) else { return false }
        let isNew = new != nonce
        nonce = new
        return isNew && answer.status == 401
            && answer.headerFields[values: .wwwAuthenticate].contains { $0.contains("use_dpop_nonce") }
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

extension HTTPField.Name {
    /// RFC 9449 section 4.1.
    static let dpop = HTTPField.Name("DPoP")!
    /// Section 8.2.
    static let dpopNonce = HTTPField.Name("DPoP-Nonce")!
}
