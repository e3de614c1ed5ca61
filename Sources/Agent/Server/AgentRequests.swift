import FoundationEssentials
import LocalServer
import NIOHTTP1
import OAuth
import Sodium
import TokenEngine
import Vault

/// What an agent answers. There is no request that returns a client secret, a refresh token or a password, and none that
/// changes a credential: whoever has the vault's key changes the vault itself.
struct AgentRequests: Sendable {
    let vault: AgentVault
    let clock: any WallClock
    let describe: @Sendable (any Error) -> AgentProblem
    private let rates = CallerRates()

    init(vault: AgentVault, clock: any WallClock, describe: @escaping @Sendable (any Error) -> AgentProblem) {
        self.vault = vault
        self.clock = clock
        self.describe = describe
    }

    /// No request is longer.
    static let bodyLimit = 64 << 10

    struct Answer {
        var status: Int
        var type = "application/json"
        var body: [UInt8] = []
        /// Whether the agent ends when this has been said.
        var isLast = false
    }

    func answer(_ request: ShortRequest, from caller: Caller) async -> Answer {
        do {
            if !caller.isOwner { try await limit(caller) }
            return try await route(request, from: caller)
        } catch {
            return problem(error, request)
        }
    }

    private func limit(_ caller: Caller) async throws {
        switch rates.ask(caller.uid, at: clock.now()) {
        case .allowed: return
        case .firstRefusal: try? await vault.opened(isUse: false).writer.write(event(.token, nil, "too often", caller))
        case .refused: break
        }
        throw AgentProblem.tooOften
    }

    private func problem(_ error: any Error, _ request: ShortRequest) -> Answer {
        let problem = error as? AgentProblem ?? describe(error)
        if request.headers.first(name: "Accept") == "text/plain" {
            // For a client that reads no JSON: exit code, what went wrong, and what to do, in a line each.
            let text = "\(problem.exit)\n\(problem.title)\n\(problem.hint ?? "")"
            return Answer(status: problem.status, type: "text/plain", body: Array(text.utf8))
        }
        let body = (try? AgentJSON.encoder().encode(problem)).map { Array($0) } ?? []
        return Answer(status: problem.status, type: "application/problem+json", body: body)
    }

    // MARK: Routes

    private func route(_ request: ShortRequest, from caller: Caller) async throws -> Answer {
        if let wanted = request.headers.first(name: "Claviger-Vault").map({ $0[...] }).flatMap(Self.decoded), wanted != vault.path
        {
            throw AgentProblem.otherVault
        }
        let path = request.path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        switch (request.method, path.first, path.dropFirst().first, path.count) {
        case (.GET, "v1", "tokens", 3):
            return try await token(try Self.name(path.last), request, caller)
        case (.GET, "v1", "credentials", 2):
            let open = try vault.opened()
            let all = try open.agent.list()
            let policy = caller.isOwner ? Policy() : try open.policy()
            return try json(caller.isOwner ? all : all.filter { !policy.rules(for: $0.name, caller).isEmpty })
        case (.GET, "v1", "credentials", 3):
            let (open, name) = (try vault.opened(), try Self.name(path.last))
            // Whether there is such a credential is not told, either.
            guard try caller.isOwner || !open.policy().rules(for: name, caller).isEmpty else { throw AgentProblem.denied }
            return try json(try open.agent.show(name))
        case (.GET, "v1", "status", 2):
            var status = vault.status
            if caller.isOwner { status.failures = (try? vault.opened(isUse: false))?.refresher.failures }
            return try json(status)
        case (.POST, "v1", "lock", 2):
            try owner(caller)
            vault.lock(caller)
            return Answer(status: 204)
        case (.POST, "v1", "unlock", 2):
            try owner(caller)
            try await unlock(request)
            try await vault.opened().writer.write(event(.unlock, nil, "done", caller))
            return Answer(status: 204)
        case (.POST, "v1", "shutdown", 2):
            try owner(caller)
            vault.lock(caller)
            return Answer(status: 204, isLast: true)
        default:
            throw AgentProblem.noSuchRequest
        }
    }

    private func owner(_ caller: Caller) throws {
        guard caller.isOwner else { throw AgentProblem.notYours }
    }

    private func unlock(_ request: ShortRequest) async throws {
        var bytes = Array(request.body.readableBytesView)
        defer { bytes.wipe() }
        guard let wanted = try? AgentJSON.decoder().decode(UnlockRequest.self, from: Data(bytes)) else {
            throw AgentProblem(title: "this is no request to unlock", status: 400, exit: 64)
        }
        try vault.unlock(wanted)
    }

    // MARK: Tokens

    private func event(_ kind: AuditEvent.Kind, _ name: String?, _ outcome: String, _ caller: Caller) -> AuditEvent {
        AuditEvent(
            time: clock.now(), event: kind, credential: name, outcome: outcome, uid: caller.uid, pid: caller.pid, exe: caller.exe)
    }

    /// A token is handed out after the line that says so is written; so is every refusal.
    private func token(_ name: String, _ request: ShortRequest, _ caller: Caller) async throws -> Answer {
        let open = try vault.opened()
        var event = event(.token, name, "done", caller)
        event.reason = request.headers.first(name: "Claviger-Reason").map { $0[...] }.flatMap(Self.decoded).map {
            String($0.prefix(200))
        }
        do {
            let handout = try await handout(name, request, caller, open)
            event.token = open.log.fingerprint(handout.token)
            try await open.writer.write(event)
            return try answer(handout, request)
        } catch let error as VaultError where error.isOfLog(open.log.path) {
            throw error
        } catch {
            var problem = error as? AgentProblem ?? describe(error)
            problem.hint = problem.hint?.replacing("NAME", with: name)
            event.outcome = problem.status == 403 && error is AgentProblem ? "denied" : "failed"
            try await open.writer.write(event)
            throw problem
        }
    }

    private func handout(_ name: String, _ request: ShortRequest, _ caller: Caller, _ open: AgentVault.Open) async throws
        -> Handout
    {
        var ask = try Self.ask(request.query)
        var longestLife: Int?
        if !caller.isOwner {
            guard let permitted = try open.policy().permitted(ask, of: name, to: caller) else { throw AgentProblem.denied }
            (ask, longestLife) = permitted
        }
        let handout: Handout
        if let cached = try open.cache.handout(name, ask, at: clock.now()) {
            handout = cached
        } else {
            handout = try await open.acquire(name, ask, at: clock.now())
        }
        if let longestLife {
            let life = handout.expires.map { $0.timeIntervalSince(handout.sent) } ?? .infinity
            guard life <= Double(longestLife) else { throw AgentProblem.livesTooLong(longest: longestLife) }
        }
        return handout
    }

    private func answer(_ handout: Handout, _ request: ShortRequest) throws -> Answer {
        guard request.headers.first(name: "Accept") != "text/plain" else {
            return Answer(status: 200, type: "text/plain", body: handout.token)
        }
        return try json(
            TokenDocument(
                accessToken: String(decoding: handout.token, as: UTF8.self), tokenType: handout.type,
                expiresIn: handout.expires.map { max(0, Int($0.timeIntervalSince(clock.now()))) }, expiresAt: handout.expires,
                obtainedAt: handout.sent, scope: handout.scopes?.joined(separator: " ")))
    }

    /// - Throws: `AgentProblem` for a parameter that is unknown or no number.
    static func ask(_ query: String) throws -> TokenAsk {
        var ask = TokenAsk()
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
            case ("take_over", "1"): ask.takesOver = true
            default: throw badParameter("there is no such parameter")
            }
        }
        return ask
    }

    private static func badParameter(_ reason: String) -> AgentProblem {
        AgentProblem(title: reason, status: 400, exit: 64)
    }

    // MARK: Small parts

    private func json(_ value: some Encodable) throws -> Answer {
        Answer(status: 200, body: Array(try AgentJSON.encoder().encode(value)))
    }

    private static func name(_ segment: Substring?) throws -> String {
        // No name is longer; and none may swell the log.
        guard let name = segment.flatMap(decoded), (1...512).contains(name.utf8.count) else { throw AgentProblem.badName }
        return name
    }

    /// Percent-decoding that refuses what is not UTF-8, or not encoded as it should be.
    static func decoded(_ segment: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(segment.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension ShortRequest {
    fileprivate var path: Substring { target.prefix { $0 != "?" } }
    /// What stands behind the question mark.
    fileprivate var query: String { String(target.dropFirst(path.count + 1)) }
}
