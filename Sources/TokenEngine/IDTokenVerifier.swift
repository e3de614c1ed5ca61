import FoundationEssentials
import JWTKit
import OAuth
import Sodium
import Synchronization

/// Checks an ID token before it is shown to anybody (OpenID Connect Core 1.0 section 3.1.3.7): issuer, audience, signature and
/// end. Its nonce was checked when somebody logged in.
public final class IDTokenVerifier: Sendable {
    private struct Claims: JWTPayload {
        var iss: String
        var aud: AudienceClaim
        var azp: String?
        var exp: Double
        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }

    /// The keys of an issuer, as they were fetched.
    private struct KeySet: Sendable {
        var keys: [JWK]
        var fetched: Date
    }

    /// Seconds for which a set of keys is not asked for again because of a key that is not in it.
    private static let patience = 60.0

    private let endpoints: EndpointClient
    private let clock: any WallClock
    private let sets = Mutex<[String: KeySet]>([:])
    private let flights = SingleFlight<String, [JWK]>()

    public init(endpoints: EndpointClient, clock: any WallClock = SystemClock()) {
        self.endpoints = endpoints
        self.clock = clock
    }

    /// - Throws: `TokenError.notShown`.
    public func verify(_ idToken: String, of configuration: CredentialConfiguration) async throws {
        do throws(FieldRefusal) {
            try await check(idToken, configuration)
        } catch {
            throw TokenError.notShown(error)
        }
    }

    private func check(_ idToken: String, _ configuration: CredentialConfiguration) async throws(FieldRefusal) {
        guard let claims = try? await JWTKeyCollection().unverified(idToken, as: Claims.self) else { throw .unreadable }
        guard let issuer = configuration.settings.issuer else { throw .noIssuer }
        guard claims.iss == issuer else { throw .wrongIssuer }
        let id = configuration.keyPair.client.id
        guard claims.aud.value.contains(id), claims.azp ?? id == id else { throw .wrongAudience }
        guard claims.exp > clock.now().timeIntervalSince1970 else { throw .ended }
        if let known = sets.withLock({ $0[issuer] }) {
            if await isSigned(idToken, by: known.keys) { return }
            // The issuer may have another key by now.
            guard clock.now().timeIntervalSince(known.fetched) >= Self.patience else { throw .wrongSignature }
        }
        guard await isSigned(idToken, by: try await newKeys(issuer, configuration)) else { throw .wrongSignature }
    }

    /// Asks the issuer for its keys, once for all that want them at the same time.
    private func newKeys(_ issuer: String, _ configuration: CredentialConfiguration) async throws(FieldRefusal) -> [JWK] {
        do {
            return try await flights.run(issuer) {
                let keys = try await self.fetch(issuer, configuration)
                self.sets.withLock { $0[issuer] = KeySet(keys: keys, fetched: self.clock.now()) }
                return keys
            }
        } catch {
            throw error as? FieldRefusal ?? .noKeys("the wait for them was given up")
        }
    }

    private func fetch(_ issuer: String, _ configuration: CredentialConfiguration) async throws(FieldRefusal) -> [JWK] {
        do {
            let url = try EndpointURL(issuer)
            let authority = configuration.settings.certificateAuthority
            let metadata = try await endpoints.metadata(of: url, certificateAuthority: authority)
            guard let keysURL = metadata.keysURL else { throw FieldRefusal.noKeys("its metadata names no address of them") }
            let keys = try await endpoints.keySet(at: keysURL, certificateAuthority: authority)
            // One that this program can't use does not spoil the others.
            return keys.compactMap { try? JSONDecoder().decode(JWK.self, from: Data($0.encoded().utf8)) }
        } catch let refusal as FieldRefusal {
            throw refusal
        } catch let refusal as ServerMetadata.Refusal {
            throw .noKeys("its metadata cannot be used: \(refusal.reason)")
        } catch {
            throw .noKeys("it can't be reached, or does not answer with keys")
        }
    }

    private func isSigned(_ idToken: String, by keys: [JWK]) async -> Bool {
        let keyID = IDToken.keyID(of: idToken)
        for var key in keys where keyID == nil || key.keyIdentifier?.string == keyID {
            // The library wants a name for each.
            if key.keyIdentifier == nil { key.keyIdentifier = JWKIdentifier(string: keyID ?? "-") }
            guard let collection = try? await JWTKeyCollection().add(jwk: key, isDefault: true) else { continue }
            if (try? await collection.verify(idToken, as: Claims.self)) != nil { return true }
        }
        return false
    }
}

extension IDToken {
    private struct Head: Decodable { var kid: String? }
    private struct Life: Decodable { var exp: Double }

    /// The key that signed it, as it says itself.
    static func keyID(of idToken: String) -> String? { part(0, of: idToken, as: Head.self)?.kid }

    /// When it ends, as it says itself.
    static func end(of idToken: String) -> Date? {
        part(1, of: idToken, as: Life.self).map { Date(timeIntervalSince1970: $0.exp) }
    }

    private static func part<Part: Decodable>(_ index: Int, of idToken: String, as type: Part.Type) -> Part? {
        let parts = idToken.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        var base64 = String(parts[index]).replacing("-", with: "+").replacing("_", with: "/")
        while base64.utf8.count % 4 != 0 { base64 += "=" }
        return Data(base64Encoded: base64).flatMap { try? JSONDecoder().decode(type, from: $0) }
    }
}
