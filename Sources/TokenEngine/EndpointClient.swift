import FoundationEssentials
import HTTPTypes
public import OAuth
public import Sodium

/// Asks a server's other endpoints: for device codes, about a token, to revoke one, and for what it says of itself. None of
/// these spends a refresh token.
public struct EndpointClient: Sendable {
    private let transport: any HTTPTransport
    private let clock: any WallClock
    private let clocks: ServerClocks

    public init(transport: any HTTPTransport, clock: any WallClock = SystemClock(), clocks: ServerClocks = ServerClocks()) {
        self.transport = transport
        self.clock = clock
        self.clocks = clocks
    }

    // MARK: Device codes

    /// Asks for the codes of a login on another device (RFC 8628 section 3.1).
    /// - Throws: `TokenError`.
    public func deviceCodes(_ configuration: CredentialConfiguration) async throws(TokenError) -> DeviceCodes {
        let assertion = try await clocks.assertion(
            of: configuration, to: configuration.settings.deviceAuthorizationURL, now: clock.now())
        let request = configuration.settings.deviceAuthorizationRequest(
            configuration.keyPair.client, fields: configuration.secretFields, clientAssertion: assertion)
        guard let request else { throw .noSuchEndpoint }
        let answer = try await answer(to: request)
        do throws(TokenRefusal) {
            guard (200..<300).contains(answer.status), let json = JSONValue(answer: answer.body) else {
                throw refusal(answer)
            }
            return try DeviceCodes(parsing: json)
        } catch {
            throw Acquisition.failure(error)
        }
    }

    // MARK: Pushed authorization requests

    /// Hands in an authorization request where the settings name an endpoint for that (RFC 9126). A server that refuses it is not
    /// sent the browser with the whole request instead: who wants it pushed does not want it seen.
    /// - Returns: what the browser takes to the server.
    /// - Throws: `TokenError`.
    public func push(
        _ request: AuthorizationRequest, of configuration: CredentialConfiguration
    ) async throws(TokenError) -> AuthorizationRequest {
        let (settings, client) = (configuration.settings, configuration.keyPair.client)
        let assertion = try await clocks.assertion(of: configuration, to: settings.pushedAuthorizationURL, now: clock.now())
        guard
            let pushed = settings.pushedAuthorizationRequest(
                request, client, fields: configuration.secretFields, clientAssertion: assertion),
            let endpoint = settings.authorizationURL
        else { throw .noSuchEndpoint }
        let answer = try await answer(to: pushed)
        do throws(TokenRefusal) {
            guard (200..<300).contains(answer.status), let json = JSONValue(answer: answer.body) else { throw refusal(answer) }
            return try request.pushed(json, clientID: client.id, to: endpoint)
        } catch {
            throw Acquisition.failure(error)
        }
    }

    // MARK: Introspection

    /// Asks the server whether a token is active (RFC 7662 section 2.2).
    /// - Throws: `TokenError`; `noSuchEndpoint` where it can't be asked.
    public func isActive(_ token: Secret, of configuration: CredentialConfiguration) async throws(TokenError) -> Bool {
        let assertion = try await clocks.assertion(
            of: configuration, to: configuration.settings.introspectionURL, now: clock.now())
        let request = configuration.settings.introspectionRequest(
            configuration.keyPair.client, fields: configuration.secretFields, token: token, clientAssertion: assertion)
        guard let request else { throw .noSuchEndpoint }
        let answer = try await answer(to: request)
        guard (200..<300).contains(answer.status) else { throw Acquisition.failure(refusal(answer)) }
        guard case .bool(let active) = JSONValue(answer: answer.body)?.object?["active"] else {
            throw .unusableAnswer(reason: "no word on whether the token is active")
        }
        return active
    }

    // MARK: Revocation

    /// What came of revoking one token.
    public enum Revocation: Equatable, Sendable {
        /// The server has revoked it, or it was dead already.
        case done
        /// The server has no endpoint for it, or says that it can't revoke tokens of this kind.
        case unsupported
    }

    /// Revokes one token at the server (RFC 7009 section 2.2).
    /// - Throws: `TokenError`.
    public func revoke(
        _ token: Secret, hint: String, of configuration: CredentialConfiguration
    ) async throws(TokenError) -> Revocation {
        let assertion = try await clocks.assertion(
            of: configuration, to: configuration.settings.revocationURL, now: clock.now())
        let request = configuration.settings.revocationRequest(
            configuration.keyPair.client, fields: configuration.secretFields, token: token, hint: hint,
            clientAssertion: assertion)
        guard let request else { return .unsupported }
        let answer = try await answer(to: request)
        switch RevocationAnswer.read(
            status: answer.status, headers: answer.headerFields, body: answer.body, now: clock.now())
        {
        // One that is dead already died with another, or before.
        case .revoked, .alreadyDead: return .done
        case .unsupported: return .unsupported
        case .refused(let code): throw Acquisition.failure(.oauth(code))
        case .transient(let status, let retryAfter):
            throw Acquisition.failure(.transient(status: status, retryAfter: retryAfter))
        case .unusable: throw .unusableAnswer(reason: "no word on whether the token was revoked")
        }
    }

    // MARK: Metadata

    /// Finds what a server says of itself: asks at both well-known addresses, and takes the first answer that is metadata.
    /// - Throws: `TokenError` where nothing can be reached, `ServerMetadata.Refusal` where the answer can't be used.
    public func metadata(of issuer: EndpointURL, certificateAuthority: String?) async throws -> ServerMetadata {
        var status = 404
        var refusal: ServerMetadata.Refusal?
        for address in ServerMetadata.addresses(of: issuer) {
            guard let url = try? EndpointURL(address) else { continue }
            let answer = try await answer(to: ServerMetadata.request(url, certificateAuthority: certificateAuthority))
            status = answer.status
            guard status == 200 else { continue }
            do throws(ServerMetadata.Refusal) {
                return try ServerMetadata(parsing: answer.body, issuer: issuer)
            } catch {
                refusal = error
            }
            // A page that is shown for every address says nothing about the next one.
            if refusal?.isMetadata == true { break }
        }
        if let refusal { throw refusal }
        if status >= 500 { throw TokenError.serverFailing(status: status) }
        throw ServerMetadata.Refusal(reason: "there is none at either of the well-known addresses (status \(status))")
    }

    /// The keys that a server signs with (RFC 7517 section 5), each as it is written.
    /// - Throws: `TokenError`.
    func keySet(at url: EndpointURL, certificateAuthority: String?) async throws(TokenError) -> [JSONValue] {
        let answer = try await answer(to: ServerMetadata.request(url, certificateAuthority: certificateAuthority))
        guard answer.status == 200 else { throw .serverFailing(status: answer.status) }
        guard case .array(let keys) = JSONValue(answer: answer.body)?.object?["keys"] else {
            throw .unusableAnswer(reason: "something that is no set of keys")
        }
        return keys
    }

    // MARK: Sending

    func answer(to request: EndpointRequest) async throws(TokenError) -> EndpointAnswer {
        do throws(TransportFailure) {
            let answer = try await transport.send(request)
            guard answer.extent != .tooLarge else { throw .answerTooLarge(host: request.head.authority ?? "") }
            return answer
        } catch {
            throw .unreachable(error)
        }
    }

    /// What an answer that is no success says, by the rules of the token endpoint.
    func refusal(_ answer: EndpointAnswer) -> TokenRefusal {
        let read = TokenResponse.read(
            status: answer.status, headers: answer.headerFields, body: answer.body, isWhole: answer.isWhole, now: clock.now())
        if case .failure(let refusal) = read.result { return refusal }
        return .unusable(reason: "something that is no answer to this")
    }
}
