import FoundationEssentials
import OAuth
import TokenEngine

/// Which token is meant: of a credential, for these scopes and audiences.
struct TokenKey: Hashable, Sendable {
    let name: String
    var access = RequestedAccess()
}

/// When each token is renewed, and which of those that are due comes first. Pure: it reads no clock and sends nothing.
///
/// Everything that is due is renewed, over so many connections to each server at once; the tokens that end first come first. A
/// server that is slow holds up its own tokens and no others.
struct RenewalPlans {
    /// To one server, at once: enough for 160 tokens a second where each takes 0.1 s, and few enough not to be taken for an
    /// attack.
    static let connections = 16

    private struct Plan {
        var sent: Date?
        var expires: Date?
        var renewAt: Date
        var lastAsked: Date
        /// The host of the token endpoint.
        var server: String
        /// Whether it waits for a connection, or is being renewed.
        var isTaken = false
    }

    /// A token that is to be renewed now. Whoever gets one renews it, and then takes `next(after:)`.
    struct Due: Sendable {
        let key: TokenKey
        let server: String
        let sent: Date?
        let expires: Date?

        /// A token that is still valid is kept valid before one is acquired for a credential that has none.
        fileprivate var end: Date { expires ?? .distantFuture }
    }

    private struct Server {
        var busy = 0
        /// The last one is the next.
        var waiting: [Due] = []
    }

    private var plans: [TokenKey: Plan] = [:]
    private var servers: [String: Server] = [:]

    // MARK: Planning

    /// When a token is renewed: in the last quarter of its life, at a moment of its own, so that a thousand that were acquired
    /// together do not come back together. A token is handed out until a tenth of its life is left, and of a short life two
    /// seconds before that are kept for the renewal itself.
    /// - Parameter share: from 0 to 1, at random.
    static func renewal(sent: Date, expires: Date?, share: Double) -> Date {
        guard let expires else { return .distantFuture }
        let lifetime = expires.timeIntervalSince(sent)
        let latest = max(lifetime / 2, min(0.85 * lifetime, 0.9 * lifetime - 2))
        return sent.addingTimeInterval(latest - lifetime / 10 * share)
    }

    /// Plans the renewal of a token that was acquired.
    /// - Parameters:
    ///   - asked: when somebody asked for it; nil where nobody did.
    ///   - share: see `renewal`.
    mutating func plan(_ key: TokenKey, at server: String, sent: Date, expires: Date?, asked: Date?, share: Double) {
        plans[key] = Plan(
            sent: sent, expires: expires, renewAt: Self.renewal(sent: sent, expires: expires, share: share),
            lastAsked: asked ?? plans[key]?.lastAsked ?? .distantPast, server: server)
    }

    /// Plans a token for a credential that nobody has asked for, unless there is a plan.
    mutating func plan(_ key: TokenKey, at server: String, now: Date) {
        if plans[key] == nil { plans[key] = Plan(renewAt: now, lastAsked: .distantPast, server: server) }
    }

    mutating func asked(_ key: TokenKey, at now: Date) { plans[key]?.lastAsked = now }
    mutating func forget(_ key: TokenKey) { plans[key] = nil }

    // MARK: Renewing

    /// Takes what is due.
    /// - Parameter interest: seconds after which a token that nobody has asked for is not renewed any more.
    /// - Returns: what is to be renewed at once. The rest waits for a connection to its server.
    mutating func begin(at now: Date, interest: Double) -> [Due] {
        var touched: Set<String> = []
        for key in plans.filter({ !$0.value.isTaken && $0.value.renewAt <= now }).keys {
            guard let plan = plans[key], now.timeIntervalSince(plan.lastAsked) <= interest else {
                plans[key] = nil
                continue
            }
            plans[key]?.isTaken = true
            touched.insert(plan.server)
            let due = Due(key: key, server: plan.server, sent: plan.sent, expires: plan.expires)
            servers[plan.server, default: Server()].waiting.append(due)
        }
        return touched.flatMap { fillConnections(to: $0) }
    }

    private mutating func fillConnections(to name: String) -> [Due] {
        servers[name]?.waiting.sort { $0.end > $1.end }
        var begun: [Due] = []
        while let server = servers[name], server.busy < Self.connections, let due = nextWaiting(name) {
            servers[name]?.busy += 1
            begun.append(due)
        }
        return begun
    }

    /// The renewal of a token has ended, well or not; its connection is free for the next.
    /// - Returns: nil if nothing waits for this server.
    mutating func next(after due: Due) -> Due? {
        if plans[due.key]?.sent == due.sent { plans[due.key]?.isTaken = false }
        guard servers[due.server] != nil else { return nil }
        if let next = nextWaiting(due.server) { return next }
        servers[due.server]?.busy -= 1
        if servers[due.server]?.busy == 0 { servers[due.server] = nil }
        return nil
    }

    /// One whose token was acquired meanwhile because somebody asked for it, or is not wanted any more, is passed over.
    private mutating func nextWaiting(_ server: String) -> Due? {
        while let due = servers[server]?.waiting.popLast() {
            if let plan = plans[due.key], plan.isTaken, plan.sent == due.sent { return due }
        }
        return nil
    }

    /// The token was not renewed: another try comes then.
    mutating func postpone(_ due: Due, until then: Date) {
        if plans[due.key]?.sent == due.sent { plans[due.key]?.renewAt = then }
    }

    /// When the next token is due that is not taken yet.
    var nextDue: Date? { plans.values.lazy.filter { !$0.isTaken }.map(\.renewAt).min() }
}
