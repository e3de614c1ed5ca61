import FoundationEssentials
import HTTPTypes
import OAuth
import Sodium

/// Writes token requests, sends them and reads their answers. It is the only code that sends one, and `TokenDriver` its only
/// user.
struct TokenRequests: Sendable {
    let transport: any HTTPTransport
    let clock: any WallClock
    let clocks: ServerClocks
    let nonces: DPoPNonces
    /// A valid token of another credential, for an exchange; it is not the token with this hash.
    let subject: @Sendable (_ name: String, _ rejected: TokenHash?) async throws -> CachedToken
    let store: any TokenStateStore

    /// Sends one request for a token, for the grants that need no person, or with the refresh token of a permit. Assertions
    /// are signed anew for each.
    func send(
        _ configuration: CredentialConfiguration, _ access: RequestedAccess, _ permit: SendPermit?, now: Date
    ) async -> Acquisition.Reply {
        do throws(TokenError) {
            switch configuration.settings.grant {
            case .clientCredentials: return try await send(configuration, .clientCredentials, access, now: now)
            case .password: return try await send(configuration, .password, access, now: now)
            case .jwtBearer:
                let dated = now.addingTimeInterval(clocks.offset(configuration.settings.tokenURL.host))
                let assertion = try await Assertion.asGrant(configuration, access: access, now: dated)
                return try await send(configuration, .jwtBearer(assertion), access, now: now)
            case .tokenExchange:
                return try await exchange(configuration, access, now: now)
            case .authorizationCode, .refreshToken, .deviceCode:
                guard let token = permit?.refreshToken else { throw .loginNeeded(.never) }
                return try await send(configuration, .refreshToken(token), access, now: now)
            }
        } catch {
            return .unsendable(error)
        }
    }

    /// Sends one request for what a person's login has brought.
    func send(
        _ configuration: CredentialConfiguration, login grant: AuthorizationGrant, now: Date
    ) async -> Acquisition.Reply {
        do throws(TokenError) {
            return try await send(configuration, grant, RequestedAccess(), now: now)
        } catch {
            return .unsendable(error)
        }
    }

    /// Exchanges another credential's token (RFC 8693). A server that does not take it says `invalid_request` (section
    /// 2.2.2): a cached one may have been ended by others, so a new one is tried once, where one can be had.
    private func exchange(
        _ configuration: CredentialConfiguration, _ access: RequestedAccess, now: Date
    ) async throws(TokenError) -> Acquisition.Reply {
        let settings = configuration.settings
        let cached = TokenSubject(store: store) { try await subject($0, nil) }
        guard let token = try await cached.fetch(settings.subject) else { throw .noSuchEndpoint }
        let actor = try await cached.fetch(settings.actor)
        let reply = try await send(configuration, .tokenExchange(subject: token, actor: actor), access, now: now)
        guard settings.exchangesCachedToken, case .answer(let answer, _, _) = reply,
            case .failure(.oauth(.registered(let code))) = answer.result, ["invalid_request", "invalid_grant"].contains(code)
        else { return reply }
        return await exchangeAnew(configuration, access, token, actor, now: now) ?? reply
    }

    private func exchangeAnew(
        _ configuration: CredentialConfiguration, _ access: RequestedAccess, _ token: Secret, _ actor: Secret?, now: Date
    ) async -> Acquisition.Reply? {
        let settings = configuration.settings
        do throws(TokenError) {
            let newSubject = TokenSubject(store: store) { try await subject($0, TokenHash(of: token)) }
            guard let another = try await newSubject.fetch(settings.subject) else { return nil }
            let newActor = TokenSubject(store: store) { try await subject($0, actor.map(TokenHash.init)) }
            let grant = AuthorizationGrant.tokenExchange(subject: another, actor: try await newActor.fetch(settings.actor))
            return try await send(configuration, grant, access, now: now)
        } catch {
            return nil
        }
    }

    /// A server that wants its nonce in a proof has done nothing else (RFC 9449 section 8): the same request again, with the nonce,
    /// is no second use of what it spends.
    private func send(
        _ configuration: CredentialConfiguration, _ grant: AuthorizationGrant, _ access: RequestedAccess, now: Date
    ) async throws(TokenError) -> Acquisition.Reply {
        let (reply, wantsNonce) = try await sendOnce(configuration, grant, access, now: now)
        return wantsNonce ? try await sendOnce(configuration, grant, access, now: now).reply : reply
    }

    private func sendOnce(
        _ configuration: CredentialConfiguration, _ grant: AuthorizationGrant, _ access: RequestedAccess, now: Date
    ) async throws(TokenError) -> (reply: Acquisition.Reply, wantsNonce: Bool) {
        let settings = configuration.settings
        var request = settings.tokenRequest(
            configuration.keyPair.client, fields: configuration.secretFields, grant: grant, access: access,
            clientAssertion: try await clocks.assertion(
                of: configuration, to: grant.isRefresh ? settings.refresh?.url : nil, now: now))
        let url = try await prove(&request, configuration, now: now)
        let answer: EndpointAnswer
        do throws(TransportFailure) {
            answer = try await transport.send(request)
        } catch {
            return (.failed(error), false)
        }
        let isNewNonce = url.map { nonces.learn(from: answer.headerFields, of: $0) } ?? false
        let received = clock.now()
        let read = TokenResponse.read(
            status: answer.status, headers: answer.headerFields, body: answer.body, format: settings.answer ?? AnswerFormat(),
            isWhole: answer.isWhole, now: received,
            isPolling: grant.isPolling, isBound: settings.dpop == true)
        if answer.extent == .tooLarge, read.refreshToken == nil {
            return (.failed(.answerTooLarge(host: settings.tokenURL.host)), false)
        }
        if isNewNonce, case .failure(.oauth(.useDPoPNonce)) = read.result {
            return (.answer(read, status: answer.status, isWhole: answer.isWhole), true)
        }
        // A wrong clock makes an assertion worthless.
        if settings.isDated, case .failure(let refusal) = read.result, case .oauth = refusal,
            clocks.learn(fromRefusal: read.date, of: settings.tokenURL.host, at: received)
        {
            return (.misdated(refusal), false)
        }
        return (.answer(read, status: answer.status, isWhole: answer.isWhole), false)
    }

    /// Proves the possession of the credential's key in a request, where the settings say so.
    /// - Returns: the address that the proof is for; nil where there is none.
    private func prove(
        _ request: inout EndpointRequest, _ configuration: CredentialConfiguration, now: Date
    ) async throws(TokenError) -> EndpointURL? {
        guard configuration.settings.dpop == true else { return nil }
        let (head, settings) = (request.head, configuration.settings)
        guard let key = configuration.dpopKey,
            let url = try? EndpointURL("\(head.scheme ?? "")://\(head.authority ?? "")\(head.path ?? "")")
        else { throw .badKey }
        let proof = ProofRequest(method: head.method.rawValue, url: url, nonce: nonces.nonce(for: url))
        let dated = now.addingTimeInterval(clocks.offset(settings.tokenURL.host))
        request.head.headerFields[.dpop] = try await DPoPKey.proof(key, of: proof, token: nil, now: dated).revealed()
        return url
    }
}

extension ServerClocks {
    /// What proves the client in one request, for those that sign.
    /// - Parameter endpoint: where the request goes; nil for the token endpoint.
    func assertion(
        of configuration: CredentialConfiguration, to endpoint: EndpointURL?, now: Date
    ) async throws(TokenError) -> Secret? {
        guard configuration.settings.clientAuthentication.signs else { return nil }
        let dated = now.addingTimeInterval(offset(configuration.settings.tokenURL.host))
        return try await Assertion.ofClient(configuration, to: endpoint, now: dated)
    }
}

extension ClientSettings {
    fileprivate var exchangesCachedToken: Bool {
        [subject, actor].contains { if case .credential = $0?.source { true } else { false } }
    }

    /// Whether its token requests hold an assertion or a proof, with a time in it.
    fileprivate var isDated: Bool { clientAuthentication.signs || grant == .jwtBearer || dpop == true }
}
