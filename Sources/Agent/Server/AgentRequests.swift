import Access
import AgentProtocol
import Credentials
import FoundationEssentials
import Glibc
import HTTP
import Linux
import OAuth
import Sodium
import TokenEngine

/// What an agent answers. There is no request that returns a client secret, a refresh token or a password, and none that
/// changes a credential: whoever has the vault's key changes the vault itself.
struct AgentRequests: Sendable {
    let vault: AgentVault
    let clock: any WallClock
    /// Ends the agent.
    let shutDown: @Sendable () -> Void
    private let rates = RateLimit()
    private let rotations = Rotations()
    /// Whom others ask: the agent's own user.
    private let keeper = Account.name(of: geteuid())

    init(
        vault: AgentVault, clock: any WallClock, shutDown: @escaping @Sendable () -> Void
    ) {
        self.vault = vault
        self.clock = clock
        self.shutDown = shutDown
    }

    /// No request is longer.
    static let bodyLimit = 64 << 10

    /// What these cost others than the owner, as if they were so many bytes of the log.
    private static let (listCost, showCost) = (2048, 256)

    /// A request, and who makes it.
    private struct Request {
        let caller: Caller
        let http: ServerRequest

        private var questionMark: String.Index { http.target.utf8.firstIndex(of: UInt8(ascii: "?")) ?? http.target.endIndex }
        var path: Substring { http.target[..<questionMark] }
        /// What stands behind the question mark.
        var query: String { String(http.target[questionMark...].dropFirst()) }

        /// Whether the client reads no JSON.
        var isPlainText: Bool { http.header("Accept") == "text/plain" }

        /// The value of a header field that is percent-encoded.
        func decoded(_ header: String) -> String? { http.header(header).map { $0[...] }.flatMap(PercentEncoding.text) }
    }

    /// What a request comes to.
    private enum Outcome {
        case now(ServerResponse)
        /// As soon as a line of the log is written, and never without it.
        case logged(AuditEvent, AuditLog, @Sendable () throws -> ServerResponse)
        case later(@Sendable () async throws -> Outcome)
    }

    /// Answers requests that have come together; their lines of the log are written in one piece. Blocks for nothing but
    /// the disk: other callers wait on the same thread.
    func replies(to requests: [ServerRequest]) -> [ServerReply] {
        let outcomes = requests.map { request in Result { try outcome(of: request) } }
        let isWritten = Result { try write(outcomes) }
        return zip(requests, outcomes).map { request, outcome in
            do {
                switch try outcome.get() {
                case .now(let answer): return .now(answer)
                case .logged(_, _, let answer) where try isWritten.get(): return .now(try answer())
                case .logged, .later:
                    return .later(reports: request.header("Claviger-Interim") == "102") { await settled(outcome, request) }
                }
            } catch {
                return .now(problem(error, request))
            }
        }
    }

    private func outcome(of request: ServerRequest) throws -> Outcome {
        guard let caller = Authenticator.caller(of: request.peer) else { throw Problem.ownerOnly }
        let request = Request(caller: caller, http: request)
        return try limited(request) ?? route(request)
    }

    /// - Returns: false if another process is writing at this moment; then none of the lines is written.
    private func write(_ outcomes: [Result<Outcome, any Error>]) throws -> Bool {
        var events: [AuditEvent] = []
        var log: AuditLog?
        for case .success(.logged(let event, let its, _)) in outcomes {
            // The vault was opened anew between two of them.
            if let log, log !== its { return false }
            log = its
            events.append(event)
        }
        return try log?.tryAppend(events) ?? true
    }

    private func settled(_ outcome: Result<Outcome, any Error>, _ request: ServerRequest) async -> ServerResponse {
        do {
            var outcome = try outcome.get()
            while true {
                switch outcome {
                case .now(let answer): return answer
                case .logged(let event, let log, let answer):
                    try await log.appendInTurn(event)
                    return try answer()
                case .later(let work): outcome = try await work()
                }
            }
        } catch {
            return problem(error, request)
        }
    }

    private func limited(_ request: Request) throws -> Outcome? {
        // Of a locked vault nobody learns anything, and nothing is written.
        guard !request.caller.isOwner, let open = try? vault.opened() else { return nil }
        switch rates.admit(request.caller, isNamed: try open.policy().names(request.caller), at: clock.now()) {
        case .allowed: return nil
        case .firstRefusal:
            let event = AuditEvent(.token, by: request.caller, outcome: AuditEvent.tooOften, at: clock.now())
            return try logged(event, request, open) { throw Problem.tooManyRequests }
        case .refused: throw Problem.tooManyRequests
        }
    }

    /// An answer that comes with a line of the log, which the caller is charged for.
    private func logged(
        _ event: AuditEvent, _ request: Request, _ open: AgentVault.Open,
        _ answer: @escaping @Sendable () throws -> ServerResponse
    ) throws -> Outcome {
        if !request.caller.isOwner { try charge(request.caller, event.lineLength, open) }
        return .logged(event, open.log, answer)
    }

    private func charge(_ caller: Caller, _ bytes: Int, _ open: AgentVault.Open) throws {
        if caller.isOwner { return }
        rates.charge(caller, isNamed: try open.policy().names(caller), bytes: bytes, at: clock.now())
    }

    /// For what takes a while, or waits for another process.
    private static func offTheLoop<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
        try await Task.detached(operation: body).value
    }

    private func problem(_ error: any Error, _ request: ServerRequest) -> ServerResponse {
        let problem = Problem(describing: error)
        if request.header("Accept") == "text/plain" {
            return ServerResponse(status: problem.code.status, type: "text/plain", body: Array(problem.plainText.utf8))
        }
        let body = (try? AgentJSON.encoder().encode(ProblemDocument(problem))).map { Array($0) } ?? []
        return ServerResponse(status: problem.code.status, type: "application/problem+json", body: body)
    }

    // MARK: Routes

    private func route(_ request: Request) throws -> Outcome {
        let caller = request.caller
        guard let resource = AgentResource(request.path) else { throw Problem.noSuchRequest }
        guard request.http.method == resource.method else { return .now(notAllowed(resource, request.http)) }
        if let wanted = request.http.header("Claviger-Vault") {
            guard let path = PercentEncoding.bytes(wanted[...]), !path.isEmpty else {
                throw Self.badParameter("Claviger-Vault is no path that is percent-encoded")
            }
            guard path.elementsEqual(vault.path.utf8) else { throw Problem.otherVault }
        }
        switch resource {
        case .token(let name):
            return try token(try Self.name(name), request)
        case .list:
            let open = try vault.opened()
            // It is not in the log, and costs more than what is.
            try charge(caller, Self.listCost, open)
            return .later { .now(try await Self.offTheLoop { try list(open, caller) }) }
        case .credential(let name):
            let (open, name) = (try vault.opened(), try Self.name(name))
            try charge(caller, Self.showCost, open)
            // Whether there is such a credential is not told, either.
            guard try Authorizer(caller, under: open.policy()).mayShow(name) else { throw Problem.denied(name) }
            vault.isUsed()
            return .now(try json(shown(.readable(try open.agent.show(name)), to: caller, open.policy())))
        case .rotation(let name):
            try owner(caller)
            let name = try Self.name(name)
            do throws(FileError) {
                try rotations.begin(name, by: caller, at: clock.now())
            } catch {
                throw Problem.unwatchable
            }
            return .now(ServerResponse(status: 204))
        case .status:
            var status = vault.status
            if Authorizer.mayManage(caller) { status.failures = (try? vault.opened())?.renewals.failures }
            return .now(try json(status))
        case .lock:
            return try lock(caller) {}
        case .unlock:
            try owner(caller)
            return .later {
                try await unlock(request)
                try await vault.opened().log.appendInTurn(AuditEvent(.unlock, by: caller, at: clock.now()))
                return .now(ServerResponse(status: 204))
            }
        case .shutDown:
            return try lock(caller, then: shutDown)
        }
    }

    /// RFC 9110 section 15.5.6.
    private func notAllowed(_ resource: AgentResource, _ request: ServerRequest) -> ServerResponse {
        var answer = problem(Problem.methodNotAllowed(resource.method), request)
        answer.headers.append(("Allow", resource.method))
        return answer
    }

    /// Those of which the caller may have tokens. Nobody else's records are read for it.
    private func list(_ open: AgentVault.Open, _ caller: Caller) throws -> ServerResponse {
        let policy = try open.policy()
        let shown = try open.agent.list(where: Authorizer(caller, under: policy).mayShow)
        if caller.isOwner || !shown.isEmpty { vault.isUsed() }
        return try json(shown.map { self.shown($0, to: caller, policy) })
    }

    /// As much of a credential as the caller may see.
    private func shown(_ credential: ListedCredential, to caller: Caller, _ policy: Policy) -> ListedCredential {
        guard var view = credential.view else { return credential }
        view.rotatingSince = rotations.since(view.name)
        guard !caller.isOwner else { return .readable(view) }
        return .offered(
            OfferedCredential(
                view, scopes: Authorizer(caller, under: policy).scopes(of: view.name), keeper: keeper, at: clock.now()))
    }

    private func lock(_ caller: Caller, then next: @escaping @Sendable () -> Void) throws -> Outcome {
        try owner(caller)
        return .later {
            try await Self.offTheLoop { vault.lock(caller) }
            next()
            return .now(ServerResponse(status: 204))
        }
    }

    private func owner(_ caller: Caller) throws {
        guard Authorizer.mayManage(caller) else { throw Problem.ownerOnly }
    }

    private func unlock(_ request: Request) async throws {
        var bytes = request.http.body
        defer { bytes.wipe() }
        guard let wanted = try? AgentJSON.decoder().decode(UnlockRequest.self, from: Data(bytes)) else {
            throw Problem("this is no request to unlock", .usage)
        }
        try await vault.unlock(wanted)
    }

    // MARK: Tokens

    /// A request for a token, and the vault that was open when it came.
    private struct RequestContext {
        let name: String
        let request: Request
        let open: AgentVault.Open
    }

    private func token(_ name: String, _ request: Request) throws -> Outcome {
        let context = RequestContext(name: name, request: request, open: try vault.opened())
        do {
            let (ask, grant) = try permitted(context)
            // What is denied must not keep an idle vault open.
            vault.isUsed()
            if let cached = try context.open.cache.handout(name, ask, at: clock.now()) {
                return try handOut(cached, context, grant)
            }
            return .later {
                do {
                    // Nothing is acquired for a client that would be refused.
                    if request.isPlainText, ask.field == nil, (try? context.open.agent.show(name))?.settings.dpop == true {
                        return .now(problem(Problem.boundToken, request.http))
                    }
                    let token = try await acquire(name, ask, context)
                    // Meanwhile the vault may have been locked, or a rule have changed.
                    try context.open.refuseIfClosed()
                    let now = try permitted(context)
                    guard now.ask == ask else { throw Problem.denied(name) }
                    return try handOut(token, context, now.grant)
                } catch {
                    return try refuse(error, context)
                }
            }
        } catch {
            return try refuse(error, context)
        }
    }

    /// A token that is not in the cache. One that is refused because the key pair is being replaced at this moment is asked for once
    /// more with the new one.
    private func acquire(_ name: String, _ ask: TokenQuery, _ context: RequestContext) async throws -> ServedToken {
        do {
            return try await context.open.acquire(name, ask, at: clock.now())
        } catch let error as TokenError {
            let refused: Double
            switch error {
            case .keyPairRefused: refused = 0
            case .stillRefused(let refusal) where refusal.cause == .client: refused = clock.now().timeIntervalSince(refusal.since)
            default: throw error
            }
            guard await rotations.pass(name, refused: refused) else { throw error }
            try context.open.refuseIfClosed()
            return try await context.open.acquire(name, ask, at: clock.now())
        }
    }

    /// What is asked, with the scopes that are allowed.
    private func permitted(_ context: RequestContext) throws -> (ask: TokenQuery, grant: Grant) {
        var ask = try Self.ask(context.request.query)
        let authorizer = try Authorizer(context.request.caller, under: context.open.policy())
        guard case .allowed(let grant) = authorizer.decision(on: ask, for: context.name) else {
            let wanted = ask.access.scopes
            guard authorizer.mayShow(context.name), authorizer.rule(for: context.name, scopes: wanted) == nil else {
                throw Problem.denied(context.name)
            }
            throw Problem.deniedScopes(context.name, wanted, allowed: authorizer.scopes(of: context.name))
        }
        ask.access.scopes = grant.scopes
        if !context.request.caller.isOwner { ask.forcedRenewalsPerMinute = TokenQuery.othersForcedRenewals }
        return (ask, grant)
    }

    /// A token is handed out after the line that says so is written; so is every refusal.
    private func handOut(_ handout: ServedToken, _ context: RequestContext, _ grant: Grant) throws -> Outcome {
        guard grant.covers(lifetime: handout.expires.map { $0.timeIntervalSince(handout.sent) }) else {
            throw Problem.livesTooLong(longest: grant.maxTTL ?? 0)
        }
        let excess = grant.excess(of: handout.scopes)
        guard excess.isEmpty else { throw Problem.grantedTooMuch(excess) }
        // No client of plain text would know that a token alone is of no use. Nothing leaves, and nothing is in the log.
        if handout.isBound, context.request.isPlainText, handout.fields == nil {
            return .now(problem(Problem.boundToken, context.request.http))
        }
        var event = event(context)
        event.token = context.open.log.fingerprint(handout.token)
        return try logged(event, context.request, context.open) { try answer(handout, context) }
    }

    private func refuse(_ error: any Error, _ context: RequestContext) throws -> Outcome {
        if error is AuditError { throw error }
        let name = context.name
        let why =
            context.request.caller.isOwner
            ? Problem(describing: error, of: name) : Problem(toOthers: error, of: name, keeper: keeper)
        // The old key pair is dead, and somebody types the new one: that passes.
        let since = why.code == .clientRefused ? rotations.since(name) : nil
        let problem = since.map { Problem.beingRotated(name, $0) } ?? why
        var event = event(context)
        event.fail(problem)
        return try logged(event, context.request, context.open) { throw problem }
    }

    private func event(_ context: RequestContext) -> AuditEvent {
        var event = AuditEvent(.token, of: context.name, by: context.request.caller, at: clock.now())
        event.reason = context.request.decoded("Claviger-Reason")
        return event
    }

    private func answer(_ handout: ServedToken, _ context: RequestContext) throws -> ServerResponse {
        guard !context.request.isPlainText else {
            if let fields = handout.fields, let field = try Self.ask(context.request.query).field {
                let text = try field.text(in: Secret(utf8: String(decoding: fields, as: UTF8.self)))
                return ServerResponse(status: 200, type: "text/plain", body: Array(text.utf8))
            }
            let format = context.request.query.isEmpty ? .raw : Self.format(context.request.query)
            let body = try handout.body(format, of: context.name, at: clock.now())
            return ServerResponse(status: 200, type: "text/plain", body: body)
        }
        return try json(
            TokenDocument(
                accessToken: String(decoding: handout.token, as: UTF8.self), tokenType: handout.type,
                expiresIn: handout.expires.map { max(0, Int($0.timeIntervalSince(clock.now()))) }, expiresAt: handout.expires,
                obtainedAt: handout.sent, scope: handout.scopes?.joined(separator: " "),
                presentation: handout.presentation == .bearer ? nil : handout.presentation,
                fields: handout.fields.flatMap { JSONValue(parsing: $0) }, proof: handout.proof))
    }

    /// - Throws: `Problem` for a parameter that is unknown or no number.
    static func ask(_ query: String) throws -> TokenQuery {
        var ask = TokenQuery()
        guard !query.isEmpty else { return ask }
        for parameter in FormEncoding.decode(query) {
            switch (parameter.name, parameter.value) {
            case ("min_ttl", let value):
                guard let seconds = UInt32(value) else { throw badParameter("min_ttl takes a number of seconds") }
                ask.minimumLifetime = Int(seconds)
            case ("scope", let value):
                let scopes = value.split(separator: " ").map(String.init)
                // RFC 6749 section 3.3.
                guard scopes.allSatisfy({ $0.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C } }) else {
                    throw badParameter("a scope has characters that none may have")
                }
                ask.access.scopes += scopes
            case ("audience", let value): ask.access.audiences.append(value)
            case ("fresh", "1"): ask.mode = .fresh
            case ("rejected", "1"): ask.mode = .rejected
            case ("rejected", let value) where TokenHash(hex: value) != nil:
                (ask.mode, ask.rejectedToken) = (.rejected, TokenHash(hex: value))
            case ("resend", "1"): ask.resends = true
            case ("field", let value) where (1...256).contains(value.utf8.count): ask.field = TokenField(value)
            case ("format", let value) where TokenFormat(word: value) != nil: break
            case ("take_over", "1"): ask.takesOver = true
            case ("proof", let value):
                guard let proof = ProofRequest(text: value) else {
                    throw badParameter("a proof is for a method and an address, with a space between them")
                }
                ask.proof = proof
            default: throw badParameter("there is no such parameter")
            }
        }
        return ask
    }

    private static func format(_ query: String) -> TokenFormat {
        FormEncoding.decode(query).last { $0.name == "format" }.flatMap { TokenFormat(word: $0.value) } ?? .raw
    }

    private static func badParameter(_ reason: String) -> Problem { Problem(reason, .usage) }

    // MARK: Small parts

    private func json(_ value: some Encodable) throws -> ServerResponse {
        ServerResponse(status: 200, body: Array(try AgentJSON.encoder().encode(value)))
    }

    private static func name(_ segment: Substring?) throws -> String {
        // No name is longer; and none may swell the log.
        guard let name = segment.flatMap(PercentEncoding.text), (1...512).contains(name.utf8.count) else { throw Problem.badName }
        return name
    }
}

extension ServerResponse {
    fileprivate init(status: Int, type: String = "application/json", body: [UInt8] = []) {
        self.init(status: status, headers: [("Content-Type", type), ("Cache-Control", "no-store")], body: body)
    }
}
