import Foundation
import HTTPTypes
import OAuth
import Sodium
import Synchronization
import Testing

@testable import TokenEngine

/// A server that binds tokens, and wants the nonces that it is told to want.
private final class BindingServer: HTTPTransport {
    struct Proof: Sendable {
        var header: [String: JSONValue]
        var claims: [String: JSONValue]
    }

    private let state: Mutex<(nonce: String?, error: String?, date: Date?, proofs: [Proof])>

    init(nonce: String? = nil) { state = Mutex((nonce, nil, nil, [])) }

    var proofs: [Proof] { state.withLock { $0.proofs } }
    func want(_ nonce: String?) { state.withLock { $0.nonce = nonce } }
    /// From now on.
    func refuse(with error: String?, at date: Date? = nil) { state.withLock { ($0.error, $0.date) = (error, date) } }

    func send(_ request: EndpointRequest) async throws(TransportFailure) -> EndpointAnswer {
        let proof = Self.proof(request.head.headerFields[.dpop] ?? "")
        let (nonce, error, date) = state.withLock { state in
            state.proofs.append(proof)
            return (state.nonce, state.error, state.date)
        }
        var fields = HTTPFields()
        fields[.dpopNonce] = nonce
        if let date {
            let formatter = DateFormatter()
            (formatter.locale, formatter.timeZone) = (Locale(identifier: "en_US_POSIX"), TimeZone(identifier: "GMT"))
            formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
            fields[.date] = formatter.string(from: date)
        }
        if let error = error ?? (nonce.map { .string($0) } == proof.claims["nonce"] ? nil : "use_dpop_nonce") {
            return EndpointAnswer(status: 400, headerFields: fields, body: Array(#"{"error":"\#(error)"}"#.utf8))
        }
        let body = #"{"access_token":"bound","token_type":"DPoP","expires_in":60,"refresh_token":"made-up-\#(proofs.count)"}"#
        return EndpointAnswer(status: 200, headerFields: fields, body: Array(body.utf8))
    }

    private static func proof(_ text: String) -> Proof {
        let parts = text.split(separator: ".").map { part -> [String: JSONValue] in
            var base64 = String(part).replacing("-", with: "+").replacing("_", with: "/")
            base64 += String(repeating: "=", count: (4 - base64.count % 4) % 4)
            return Data(base64Encoded: base64).flatMap { JSONValue(parsing: Array($0))?.object } ?? [:]
        }
        return Proof(header: parts.first ?? [:], claims: parts.dropFirst().first ?? [:])
    }
}

@Suite struct DPoPTests {
    private static func store(login: Bool = false) throws -> MemoryStore {
        MemoryStore([
            "a": try someCredential { credential in
                credential.configuration.settings.dpop = true
                credential.configuration.dpopKey = try? DPoPKey.make()
                guard login else { return }
                credential.configuration.settings.grant = .refreshToken
                let date = Date(timeIntervalSince1970: 0)
                credential.state.login = (try? Secret(utf8: "made-up-refresh")).map {
                    Login(refreshToken: $0, since: date, renewed: date, owner: "here")
                }
            }
        ])
    }

    private static func driver(_ store: MemoryStore, _ server: BindingServer, _ clock: ManualClock = ManualClock()) -> TokenDriver
    {
        TokenDriver(store: store, transport: server, clock: clock, host: Host(id: "here"), jitter: { 1 })
    }

    @Test func `a token request proves the possession of the credential's key`() async throws {
        let (store, server) = (try Self.store(), BindingServer())
        let token = try await Self.driver(store, server).token("a", TokenQuery())
        #expect(token.isBound && token.presentation == .dpop)
        let proof = try #require(server.proofs.first)
        #expect(server.proofs.count == 1 && proof.header["typ"] == .string("dpop+jwt") && proof.header["alg"] == .string("ES256"))
        // The public key, and nothing of the private one.
        #expect(proof.header["jwk"]?.object?.keys.sorted() == ["crv", "kty", "x", "y"])
        #expect(proof.claims["htm"] == .string("POST") && proof.claims["htu"] == .string("https://example.com/token"))
        #expect(proof.claims["iat"] == .integer(1_000_000) && proof.claims["ath"] == nil)
    }

    @Test func `a nonce is given at once, remembered, and counts as no refusal`() async throws {
        let (store, server) = (try Self.store(login: true), BindingServer(nonce: "first"))
        let driver = Self.driver(store, server)
        _ = try await driver.token("a", TokenQuery())
        #expect(server.proofs.map { $0.claims["nonce"] } == [nil, .string("first")])
        _ = try await driver.token("a", TokenQuery(mode: .fresh))
        server.want("second")
        _ = try await driver.token("a", TokenQuery(mode: .fresh))
        #expect(server.proofs.map { $0.claims["nonce"] }.suffix(3) == [.string("first"), .string("first"), .string("second")])
        #expect(Set(server.proofs.map { $0.claims["jti"] }).count == 5)
        #expect(Set(server.proofs.map { $0.header["jwk"] }).count == 1)
        #expect(store.peek("a").state.refusal == nil && store.peek("a").state.login?.sending == nil)
    }

    @Test func `a server that is not pleased by its own nonce is asked twice, and the login goes on`() async throws {
        let (store, server) = (try Self.store(login: true), BindingServer(nonce: "first"))
        server.refuse(with: "use_dpop_nonce")
        await #expect(throws: TokenError.refused(.useDPoPNonce)) {
            try await Self.driver(store, server).token("a", TokenQuery())
        }
        #expect(server.proofs.count == 2)
        let state = store.peek("a").state
        #expect(state.login?.ended == nil && state.login?.sending == nil && state.refusal == nil)
    }

    @Test func `a proof is dated by the server's clock once ours was refused`() async throws {
        let (store, server) = (try Self.store(), BindingServer())
        server.refuse(with: "invalid_dpop_proof", at: Date(timeIntervalSince1970: 1_005_000))
        await #expect(throws: TokenError.self) { try await Self.driver(store, server).token("a", TokenQuery()) }
        #expect(server.proofs.map { $0.claims["iat"] } == [.integer(1_000_000), .integer(1_005_000)])
    }

    @Test func `a proof for the API holds the token's hash`() async throws {
        let store = try Self.store()
        let driver = Self.driver(store, BindingServer())
        let token = try await driver.token("a", TokenQuery())
        let request = ProofRequest(method: "GET", url: try EndpointURL("https://api.example/x"), nonce: "n")
        let proven = try await driver.prove(request, with: token, of: store.peek("a").configuration)
        #expect(proven.proof?.revealed().split(separator: ".").count == 3 && proven.token.equals(token.token))
        let unbound = try someToken()
        await #expect(throws: TokenError.notBound) {
            try await driver.prove(request, with: unbound, of: store.peek("a").configuration)
        }
    }
}
