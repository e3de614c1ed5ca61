import Foundation
import HTTPTypes
import OAuth
import TestSupport
import TokenEngine

/// One request with a refresh token, from its first byte to the end of its connection.
final class SimulatedSending {
    let number: Int
    let refreshToken: String
    unowned let sender: SimulatedProcess
    let boot: Int
    let began: Double
    /// Whether an answer may still come.
    var isOpen = true
    /// Whether the server has replaced the refresh token for it.
    var hasReplaced = false
    /// Whether what replaced it has reached the sender, and was kept.
    var hasArrived = false
    /// Whether it was sent although an answer was lost, and the grace period over.
    var isLate = false
    /// Whether the sender can't know what came of it.
    var isUncertain = false

    init(_ number: Int, _ refreshToken: String, _ sender: SimulatedProcess, boot: Int, at now: Double) {
        (self.number, self.refreshToken, self.sender, self.boot, began) = (number, refreshToken, sender, boot, now)
    }
}

/// A server that replaces refresh tokens, and ends a login whose replaced refresh token comes again: RFC 9700 section 4.14.2.
final class SimulatedServer {
    enum Result {
        case granted(access: String, refresh: String?)
        case invalidGrant
    }

    private struct RefreshToken {
        let family: Int
        var replaced: Double?
        var isSuccessorUsed = false
        var predecessor: String?
    }

    private struct AccessToken {
        let family: Int
        let predecessor: String?
    }

    private let rotation: SimulationPlan.Rotation
    private var refreshTokens: [String: RefreshToken] = [:]
    private var accessTokens: [String: AccessToken] = [:]
    private var ended: Set<Int> = []
    private var issued = 0
    private var sendings: [SimulatedSending] = []

    init(_ rotation: SimulationPlan.Rotation) { self.rotation = rotation }

    private func next(_ kind: String) -> String {
        issued += 1
        return "\(kind)-\(issued)"
    }

    /// What a person's login brings.
    func logIn() -> (access: String, refresh: String) {
        let (access, refresh, family) = (next("access"), next("refresh"), issued)
        refreshTokens[refresh] = RefreshToken(family: family)
        accessTokens[access] = AccessToken(family: family, predecessor: nil)
        return (access, refresh)
    }

    // MARK: Sendings

    func sendings(of refreshToken: String) -> [SimulatedSending] { sendings.filter { $0.refreshToken == refreshToken } }
    func openSendings(of process: SimulatedProcess) -> [SimulatedSending] {
        sendings.filter { $0.isOpen && $0.sender === process }
    }

    func begin(_ refreshToken: String, _ sender: SimulatedProcess, boot: Int, at now: Double) -> SimulatedSending {
        let sending = SimulatedSending(sendings.count + 1, refreshToken, sender, boot: boot, at: now)
        sendings.append(sending)
        return sending
    }

    /// Whether the same again can do no harm, a sending having begun at `began`.
    func isHarmless(after began: Double, at now: Double) -> Bool {
        switch rotation {
        case .never, .untilSuccessorIsUsed: true
        case .always(let grace): now - began < grace
        }
    }

    // MARK: The work

    /// - Parameter onReuse: called when the login ends because of this request.
    func work(_ sending: SimulatedSending, at now: Double, onReuse: () -> Void) -> Result {
        guard var spent = refreshTokens[sending.refreshToken], !ended.contains(spent.family) else { return .invalidGrant }
        if let predecessor = spent.predecessor { refreshTokens[predecessor]?.isSuccessorUsed = true }
        guard case .always(let grace) = rotation else { return grant(sending, &spent, at: now, onReuse: onReuse) }
        if let replaced = spent.replaced, now - replaced >= grace { return reuse(spent, onReuse) }
        return grant(sending, &spent, at: now, onReuse: onReuse)
    }

    private func reuse(_ spent: RefreshToken, _ onReuse: () -> Void) -> Result {
        ended.insert(spent.family)
        onReuse()
        return .invalidGrant
    }

    private func grant(
        _ sending: SimulatedSending, _ spent: inout RefreshToken, at now: Double, onReuse: () -> Void
    ) -> Result {
        if spent.isSuccessorUsed, spent.replaced != nil { return reuse(spent, onReuse) }
        let access = next("access")
        accessTokens[access] = AccessToken(family: spent.family, predecessor: sending.refreshToken)
        guard rotates else { return .granted(access: access, refresh: nil) }
        let refresh = next("refresh")
        refreshTokens[refresh] = RefreshToken(family: spent.family, predecessor: sending.refreshToken)
        spent.replaced = spent.replaced ?? now
        refreshTokens[sending.refreshToken] = spent
        sending.hasReplaced = true
        return .granted(access: access, refresh: refresh)
    }

    private var rotates: Bool { if case .never = rotation { false } else { true } }

    // MARK: What the world may ask

    func hasIssued(_ access: String) -> Bool { accessTokens[access] != nil }
    func hasEndedLogin(ofAccess access: String) -> Bool { accessTokens[access].map { ended.contains($0.family) } ?? false }
    /// An API is called with it.
    func use(_ access: String) {
        if let predecessor = accessTokens[access]?.predecessor { refreshTokens[predecessor]?.isSuccessorUsed = true }
    }
    /// Whether it could be spent.
    func takes(_ refreshToken: String, at now: Double) -> Bool {
        guard let token = refreshTokens[refreshToken], !ended.contains(token.family) else { return false }
        guard let replaced = token.replaced else { return true }
        switch rotation {
        case .never: return true
        case .untilSuccessorIsUsed: return !token.isSuccessorUsed
        case .always(let grace): return now - replaced < grace
        }
    }
}

/// What becomes of one request.
enum SimulatedFate {
    case granted
    /// No connection: nothing is sent.
    case noConnection
    /// Nothing is done: 429 or 503.
    case refused(Int, retryAfter: Int?)
    /// 500, 502 or 504; and 429 or 503 of a server that has done the work nevertheless.
    case failing(Int, worked: Bool)
    case lost(worked: Bool)
    /// So much of the body arrives.
    case cut(Double)
    /// There is something wrong with the answer, beside the refresh token.
    case odd(Int)

    init(_ generator: inout SeededGenerator, losesAnswers: Bool) {
        switch generator.below(losesAnswers ? 20 : 14) {
        case 0: self = .noConnection
        case 1: self = .refused(429, retryAfter: generator.pick([nil, 1, 20, 3600]))
        case 2: self = .refused(503, retryAfter: generator.pick([nil, 2, 60]))
        case 3: self = .odd(generator.below(5))
        case 14, 15: self = .lost(worked: generator.chance(0.6))
        case 16: self = .failing(generator.pick([500, 502, 504]), worked: generator.chance(0.6))
        case 17: self = .failing(generator.pick([429, 503]), worked: true)
        case 18: self = .cut(generator.unit())
        default: self = .granted
        }
    }

    /// Whether the server does what it is asked for.
    var works: Bool {
        switch self {
        case .granted, .cut, .odd: true
        case .noConnection, .refused: false
        case .failing(_, let worked), .lost(let worked): worked
        }
    }

    /// - Returns: nil for an answer that never comes.
    func answer(_ result: SimulatedServer.Result?, lifetime: Double, refreshFirst: Bool) -> EndpointAnswer? {
        switch (self, result) {
        case (.lost, _), (.noConnection, _): return nil
        case (.refused(let status, let retryAfter), _):
            var fields = HTTPFields()
            fields[.retryAfter] = retryAfter.map(String.init)
            return EndpointAnswer(status: status, headerFields: fields, body: [])
        case (.failing(let status, _), _): return EndpointAnswer(status: status, body: [])
        case (_, .invalidGrant), (_, nil): return EndpointAnswer(status: 400, body: Array(#"{"error":"invalid_grant"}"#.utf8))
        case (_, .granted(let access, let refresh)):
            let refresh = refresh.map { #","refresh_token":"\#($0)""# } ?? ""
            let token = #","access_token":"\#(access)","expires_in":\#(Int(lifetime))"#
            return body(access, refresh, refreshFirst ? refresh + token : token + refresh)
        }
    }

    private func body(_ access: String, _ refresh: String, _ members: String) -> EndpointAnswer {
        var (status, extent) = (200, EndpointAnswer.Extent.whole)
        var text = #"{"token_type":"Bearer"\#(members)}"#
        switch self {
        case .cut(let part):
            (text, extent) = (String(text.prefix(Int(part * Double(text.count)))), .cutOff)
        case .odd(0): text = #"{"expires_in":60\#(refresh)}"#
        case .odd(1): text = #"{"access_token":"\#(access)","expires_in":-1\#(refresh)}"#
        case .odd(2): text = #"{"access_token":"\#(access)","token_type":"DPoP"\#(refresh)}"#
        case .odd(3): (status, text) = (400, #"{"error":"invalid_scope"\#(refresh)}"#)
        case .odd: (status, text) = (500, #"{"error":"server_error"\#(refresh)}"#)
        default: break
        }
        return EndpointAnswer(status: status, body: Array(text.utf8), extent: extent)
    }
}
