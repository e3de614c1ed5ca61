public import Credentials
import AgentProtocol
import FoundationEssentials
import OAuth
import Sodium
import TokenEngine

/// What everything that hands out tokens must do, be it in this process or behind a socket. Each check makes a source of its
/// own and throws if the source does something else.
public struct TokenSourceContract: Sendable {
    /// A source under test with two credentials, `a` and `b`.
    public struct Subject {
        public var source: any TokenSource
        /// How many requests the server has had. It answers each with another token, for the scope `read` and an hour.
        public var requests: @Sendable () -> Int
        /// Makes the server answer this from now on.
        public var answer: @Sendable (_ status: Int, _ body: String) -> Void
        /// What stands in no answer but that for a token.
        public var secrets: [String]

        public init(
            source: any TokenSource, requests: @escaping @Sendable () -> Int,
            answer: @escaping @Sendable (_ status: Int, _ body: String) -> Void, secrets: [String]
        ) {
            (self.source, self.requests, self.answer, self.secrets) = (source, requests, answer, secrets)
        }
    }

    public enum Check: String, CaseIterable, Sendable {
        case cache = "a token is acquired once, and then served from the cache"
        case fresh = "a fresh token is acquired, and is the cached one from then on"
        case rejected = "the rejected token is replaced, and news of an older one costs nothing"
        case access = "each combination of scopes and audiences has its own token"
        case lifetime = "a token that lives long enough for the caller is served"
        case absence = "an unknown name is refused, whatever it is"
        case list = "list and show say the same, in the order of the names"
        case secrets = "list and show hold no secret"
        case remedy = "an error says what to do about it"
    }

    /// Why a source breaks the contract.
    public struct Violation: Error, CustomStringConvertible {
        public let description: String
    }

    private let make: @Sendable () async throws -> Subject

    public init(_ make: @escaping @Sendable () async throws -> Subject) { self.make = make }

    /// - Throws: `Violation`, or what the source throws where it must not.
    public func run(_ check: Check) async throws {
        let subject = try await make()
        switch check {
        case .cache: try await cache(subject)
        case .fresh: try await fresh(subject)
        case .rejected: try await rejected(subject)
        case .access: try await access(subject)
        case .lifetime: try await lifetime(subject)
        case .absence: try await absence(subject)
        case .list: try await list(subject)
        case .secrets: try await secrets(subject)
        case .remedy: try await remedy(subject)
        }
    }

    // MARK: Tokens

    private func cache(_ subject: Subject) async throws {
        let first = try await subject.source.token("a", TokenQuery())
        try expect(
            first.type == "Bearer" && first.scopes == ["read"] && first.lifetime == 3600, "a token without what belongs to it")
        try expect(try await subject.source.token("a", TokenQuery()).token.equals(first.token), "a good token is not served")
        try expect(subject.requests() == 1, "a good token is acquired again")
    }

    private func fresh(_ subject: Subject) async throws {
        let first = try await subject.source.token("a", TokenQuery())
        let fresh = try await subject.source.token("a", TokenQuery(mode: .fresh))
        try expect(!fresh.token.equals(first.token) && subject.requests() == 2, "a fresh token is an old one")
        try expect(try await subject.source.token("a", TokenQuery()).token.equals(fresh.token), "a fresh token is not kept")
    }

    private func rejected(_ subject: Subject) async throws {
        let first = try await subject.source.token("a", TokenQuery())
        var ask = TokenQuery(mode: .rejected)
        ask.rejectedToken = TokenHash(of: first.token)
        let second = try await subject.source.token("a", ask)
        try expect(!second.token.equals(first.token) && subject.requests() == 2, "a rejected token is served")
        // Another worker tells of the first one.
        try expect(try await subject.source.token("a", ask).token.equals(second.token), "a good token was given up")
        try expect(subject.requests() == 2, "news of an older token costs a request")
        // Without a word which one, the stored one is meant.
        let third = try await subject.source.token("a", TokenQuery(mode: .rejected))
        try expect(!third.token.equals(second.token) && subject.requests() == 3, "a rejected token is served")
    }

    private func access(_ subject: Subject) async throws {
        let access = RequestedAccess(scopes: ["x", "y"], audiences: ["https://api.example/?a=b&c"])
        let own = try await subject.source.token("a", TokenQuery())
        let other = try await subject.source.token("a", TokenQuery(access: access))
        try expect(!other.token.equals(own.token), "one token for two requests")
        try expect(try await subject.source.token("a", TokenQuery(access: access)).token.equals(other.token), "it is not kept")
        try expect(try await subject.source.token("a", TokenQuery()).token.equals(own.token), "the other one is not kept")
    }

    private func lifetime(_ subject: Subject) async throws {
        let first = try await subject.source.token("a", TokenQuery())
        let same = try await subject.source.token("a", TokenQuery(minimumLifetime: 1800))
        try expect(same.token.equals(first.token), "a token that lives long enough was replaced")
    }

    // MARK: What is there

    private func absence(_ subject: Subject) async throws {
        for name in ["nobody", "a b/c", "ü", ".."] {
            for refused in [
                await problem { _ = try await subject.source.token(name, TokenQuery()) },
                await problem { _ = try await subject.source.credential(name) },
            ] {
                try expect(refused != nil, "the name \(name) was not refused")
                // What can't be a name may be refused as that.
                try expect(refused?.code == .noSuchCredential || refused?.code == .usage, "\(name): \(refused?.code.word ?? "")")
            }
        }
        try expect(subject.requests() == 0, "the server was asked for an unknown name")
    }

    private func list(_ subject: Subject) async throws {
        _ = try await subject.source.token("b", TokenQuery())
        let all = try await subject.source.list()
        try expect(all.map(\.name) == ["a", "b"], "the list is not all there is, in order")
        try expect(
            try await all.map(\.view) == [subject.source.credential("a").view, subject.source.credential("b").view],
            "list and show differ")
        try expect(all.map { $0.view?.tokens.count } == [0, 1], "the tokens are not shown")
    }

    private func secrets(_ subject: Subject) async throws {
        let token = try await subject.source.token("a", TokenQuery()).token.revealed()
        let shown = try await String(decoding: JSONEncoder().encode(subject.source.credential("a")), as: UTF8.self)
        let listed = try await String(decoding: JSONEncoder().encode(subject.source.list()), as: UTF8.self)
        for secret in subject.secrets + [token] {
            try expect(!shown.contains(secret) && !listed.contains(secret), "a secret is shown")
        }
    }

    private func remedy(_ subject: Subject) async throws {
        subject.answer(400, #"{"error":"invalid_client"}"#)
        let refused = await problem { _ = try await subject.source.token("a", TokenQuery()) }
        try expect(refused?.code == .clientRefused, "another problem: \(refused?.title ?? "none")")
        let hint = refused?.hint?.text ?? ""
        try expect(hint == Hint.rotate("a").text, "no remedy, or another: \(hint)")
        subject.answer(400, #"{"error":"invalid_scope"}"#)
        let other = await problem { _ = try await subject.source.token("b", TokenQuery()) }
        try expect(other != nil && other?.code != refused?.code, "one word for two problems")
    }

    private func problem(_ body: () async throws -> Void) async -> Problem? {
        do {
            try await body()
            return nil
        } catch {
            return Problem(describing: error, of: "a")
        }
    }

    private func expect(_ condition: Bool, _ violation: String) throws {
        if !condition { throw Violation(description: violation) }
    }
}
