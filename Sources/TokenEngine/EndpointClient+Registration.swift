import HTTPTypes
public import OAuth
public import Sodium

/// Why a server does not register a client, or change one.
public enum RegistrationError: Error, Codable, Equatable, Sendable {
    /// The settings and the server's metadata name no address for it.
    case noEndpoint
    /// It wants an initial access token, or another one (RFC 7591 section 3).
    case notAllowed(status: Int)
    /// It does not take what the client is to be registered for. The word is one of RFC 7591 section 3.2.2, or nil.
    case refused(word: String?, status: Int)
    /// The token that manages the client is not accepted: the client is gone, or somebody else has renewed it.
    case tokenRefused(status: Int)
    /// The server changed nothing: it has no such operation.
    case unsupported(status: Int)
    /// The client has not registered itself, or the server let nobody manage it.
    case notManaged
    /// The secret is the same after the update.
    case secretKept
    /// It registered another client than a credential can use: one without a secret, or whose way to prove itself is unknown.
    case unusable(reason: String)
}

/// Dynamic client registration (RFC 7591) and its management (RFC 7592).
extension EndpointClient {
    /// Registers a client.
    /// - Throws: `RegistrationError`, `TokenError`.
    public func register(
        _ metadata: [String: JSONValue], at url: EndpointURL, initialToken: Secret?, certificateAuthority: String?
    ) async throws -> RegisteredClient {
        let request = ClientRegistration.request(
            metadata, to: url, initialToken: initialToken, certificateAuthority: certificateAuthority)
        let answer = try await answer(to: request)
        switch answer.status {
        case 200..<300: return try registered(answer, nil)
        case 401, 403: throw RegistrationError.notAllowed(status: answer.status)
        case 404, 405, 501: throw RegistrationError.unsupported(status: answer.status)
        default: throw registrationRefusal(answer)
        }
    }

    /// Reads what is registered of a client.
    public func registered(
        _ registration: ClientRegistration, certificateAuthority: String?
    ) async throws -> RegisteredClient {
        try await manage(registration.readRequest(certificateAuthority: certificateAuthority), registration)
    }

    /// Registers other metadata for a client. The server may give it another secret and another token to manage it.
    public func update(
        _ registration: ClientRegistration, to metadata: [String: JSONValue], certificateAuthority: String?
    ) async throws -> RegisteredClient {
        try await manage(registration.updateRequest(metadata, certificateAuthority: certificateAuthority), registration)
    }

    /// Ends a client at the server, with all that it was given.
    public func deregister(_ registration: ClientRegistration, certificateAuthority: String?) async throws {
        let answer = try await answer(to: registration.deleteRequest(certificateAuthority: certificateAuthority))
        if !(200..<300).contains(answer.status) { throw managementRefusal(answer) }
    }

    private func manage(_ request: EndpointRequest, _ registration: ClientRegistration) async throws -> RegisteredClient {
        let answer = try await answer(to: request)
        guard (200..<300).contains(answer.status) else { throw managementRefusal(answer) }
        return try registered(answer, registration)
    }

    private func registered(_ answer: EndpointAnswer, _ known: ClientRegistration?) throws(TokenError) -> RegisteredClient {
        guard answer.isWhole else { throw .unusableAnswer(reason: "an answer that is cut off") }
        do throws(TokenRefusal) {
            return try RegisteredClient(parsing: answer.body, known: known)
        } catch {
            throw Acquisition.failure(error)
        }
    }

    private func managementRefusal(_ answer: EndpointAnswer) -> any Error {
        switch answer.status {
        case 401, 403, 404: RegistrationError.tokenRefused(status: answer.status)
        case 405, 501: RegistrationError.unsupported(status: answer.status)
        default: registrationRefusal(answer)
        }
    }

    private func registrationRefusal(_ answer: EndpointAnswer) -> any Error {
        if case .transient(let status, let retryAfter) = refusal(answer) {
            return Acquisition.failure(.transient(status: status, retryAfter: retryAfter))
        }
        if (300..<400).contains(answer.status) { return TokenError.redirected(status: answer.status) }
        let words = [
            "invalid_redirect_uri", "invalid_client_metadata", "invalid_software_statement", "unapproved_software_statement",
        ]
        let word = JSONValue(answer: answer.body)?.object?["error"]?.string.flatMap { words.contains($0) ? $0 : nil }
        return RegistrationError.refused(word: word, status: answer.status)
    }

    // MARK: Protected resources

    /// What an API says of who gives tokens for it (RFC 9728): it is asked without a token, and its refusal names the place.
    /// - Returns: also what the refusal said.
    /// - Throws: `TokenError` where nothing can be reached, `ServerMetadata.Refusal` where no description can be used.
    public func protectedResource(
        _ api: EndpointURL, certificateAuthority: String?
    ) async throws -> (ProtectedResource, ProtectedResource.Challenge) {
        let challenge = try await challenge(of: api, certificateAuthority)
        var refusal: ServerMetadata.Refusal?
        for address in challenge.metadata.map({ [$0] }) ?? ProtectedResource.addresses(of: api) {
            guard let url = try? EndpointURL(address), url.scheme == "https" || api.scheme == "http" else {
                throw ServerMetadata.Refusal(reason: "its address is not one that may be asked (https)")
            }
            let answer = try await answer(to: ServerMetadata.request(url, certificateAuthority: certificateAuthority))
            guard answer.status == 200 else { continue }
            do throws(ServerMetadata.Refusal) {
                return (try ProtectedResource(parsing: answer.body, api: api), challenge)
            } catch {
                refusal = error
            }
            if refusal?.isMetadata == true { break }
        }
        throw refusal
            ?? ServerMetadata.Refusal(
                reason: "the API names none when it is asked without a token, and none is at its usual places")
    }

    /// An API may answer with anything, and at any length.
    private func challenge(
        of api: EndpointURL, _ certificateAuthority: String?
    ) async throws(TokenError) -> ProtectedResource.Challenge {
        do throws(TokenError) {
            let answer = try await answer(to: ServerMetadata.request(api, certificateAuthority: certificateAuthority))
            return ProtectedResource.Challenge(answer.headerFields[values: .wwwAuthenticate])
        } catch .unreachable(.answerTooLarge) {
            return ProtectedResource.Challenge([])
        } catch {
            throw error
        }
    }
}
