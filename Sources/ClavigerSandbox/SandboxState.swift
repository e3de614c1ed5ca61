/// The providers that the practice server imitates.
enum Imitation: String {
    case torq, qa
    /// A server with logins, whose refresh tokens rotate and whose reuse ends the login.
    case logins

    var lifetime: Int {
        switch self {
        case .torq: 3600
        case .qa: 36_000
        case .logins: 3600
        }
    }

    func newToken() -> String {
        switch self {
        case .torq, .logins: SandboxState.uuid()
        case .qa: SandboxState.random(30)
        }
    }
}

/// What the next token request is answered with instead of, or besides, a token.
struct Fault: Decodable {
    /// Answer with this status and no work done.
    var status: Int?
    /// Wait this many milliseconds first.
    var delay: Int?
    /// Close the connection before any work is done.
    var drop: Bool?
    /// Do the work, then close the connection instead of answering.
    var loseAnswer: Bool?
    /// Answer 200 with this text.
    var body: String?
    /// Answer 200 with this many bytes of JSON.
    var hugeBody: Int?
    var headers: [String: String]?
    /// Do the work, but say that the token lives this long.
    var expiresIn: Int?

    enum CodingKeys: String, CodingKey {
        case status, delay, drop, body, headers
        case loseAnswer = "lose_answer"
        case hugeBody = "huge_body"
        case expiresIn = "expires_in"
    }
}

/// Keys, tokens and faults, in memory.
actor SandboxState {
    struct Pair {
        var id: String
        var secret: String
    }

    private struct Grant {
        var imitation: Imitation
        var expires: ContinuousClock.Instant
    }

    private var pairs: [Imitation: [Pair]] = [:]
    private var tokens: [String: Grant] = [:]
    private var faults: [Fault] = []
    private var families: [RefreshFamily] = []
    private var codes: [String: String] = [:]
    private var deviceCodes: [String: DeviceGrant] = [:]
    /// How long the refresh token before the newest is still taken, in milliseconds.
    private var grace = 0
    private(set) var reuses = 0
    private(set) var requests = 0
    private(set) var granted = 0

    func newPair(_ imitation: Imitation) -> Pair {
        let pair = Pair(id: Self.random(40), secret: Self.random(imitation == .qa ? 128 : 64))
        if imitation == .qa {
            // A new pair kills the old one at once; its tokens live on.
            pairs[imitation] = [pair]
        } else {
            pairs[imitation, default: []].append(pair)
        }
        return pair
    }

    func accepts(_ imitation: Imitation, id: String, secret: String) -> Bool {
        pairs[imitation, default: []].contains { $0.id == id && $0.secret == secret }
    }

    func grant(_ imitation: Imitation, lifetime: Int) -> String {
        granted += 1
        let token = imitation.newToken()
        tokens[token] = Grant(imitation: imitation, expires: .now + .seconds(lifetime))
        return token
    }

    func isActive(_ token: String) -> Bool {
        tokens[token].map { $0.expires > .now } ?? false
    }

    func revoke(_ token: String) {
        tokens[token] = nil
        if let index = families.firstIndex(where: { $0.current == token }) { families[index].isEnded = true }
    }

    // MARK: Logins

    /// One login: the refresh token that is good now, and the one before.
    private struct RefreshFamily {
        var current: String
        var previous: String?
        var rotated = ContinuousClock.now
        var used: Set<String> = []
        var isEnded = false
    }

    struct DeviceGrant {
        var userCode: String
        var isApproved = false
        var isDenied = false
        var lastAsked: ContinuousClock.Instant?
    }

    /// Every refresh token that was ever handed out.
    var refreshTokens: [String] { families.flatMap { $0.used.sorted() + [$0.current] } }

    func setGrace(milliseconds: Int) { grace = milliseconds }

    func newLogin() -> String {
        let token = Self.random(32)
        families.append(RefreshFamily(current: token))
        return token
    }

    /// The refresh token that follows, or nil where this one is refused. One that was used before ends its login
    /// (RFC 9700 section 4.14.2), unless it is the last one and within the grace period.
    func rotate(_ token: String) -> String? {
        guard let index = families.firstIndex(where: { $0.current == token || $0.used.contains(token) }), !families[index].isEnded
        else { return nil }
        if families[index].current == token {
            families[index].used.insert(token)
            families[index].previous = token
            families[index].current = Self.random(32)
            families[index].rotated = .now
            return families[index].current
        }
        if families[index].previous == token, .now - families[index].rotated < .milliseconds(grace) {
            return families[index].current
        }
        reuses += 1
        families[index].isEnded = true
        return nil
    }

    func newCode(challenge: String) -> String {
        let code = Self.random(24)
        codes[code] = challenge
        return code
    }

    /// The challenge that a code was made for; a code is spent by it.
    func spend(code: String) -> String? { codes.removeValue(forKey: code) }

    func newDeviceCode() -> (device: String, user: String) {
        let pair = (device: Self.random(32), user: Self.random(4).uppercased() + "-" + Self.random(4).uppercased())
        deviceCodes[pair.device] = DeviceGrant(userCode: pair.user)
        return pair
    }

    func decide(userCode: String, approve: Bool) {
        for (code, grant) in deviceCodes where grant.userCode == userCode {
            deviceCodes[code]?.isApproved = approve
            deviceCodes[code]?.isDenied = !approve
        }
    }

    /// Nil where the code is granted, else the error code.
    func ask(deviceCode: String) -> String? {
        guard let grant = deviceCodes[deviceCode] else { return "expired_token" }
        if grant.isDenied { return "access_denied" }
        if grant.isApproved {
            deviceCodes[deviceCode] = nil
            return nil
        }
        let tooSoon = grant.lastAsked.map { .now - $0 < .milliseconds(900) } ?? false
        deviceCodes[deviceCode]?.lastAsked = .now
        return tooSoon ? "slow_down" : "authorization_pending"
    }

    func expireAll() {
        tokens = [:]
    }

    func add(_ more: [Fault]) {
        faults += more
    }

    /// Counts a token request; the fault that is its turn, if any.
    func nextFault() -> Fault? {
        requests += 1
        return faults.isEmpty ? nil : faults.removeFirst()
    }

    static func random(_ count: Int) -> String {
        let alphabet = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
        return String((0..<count).map { _ in alphabet.randomElement()! })
    }

    static func uuid() -> String {
        let digits = (0..<32).map { _ in Array("0123456789abcdef").randomElement()! }
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }.joined(separator: "-")
    }
}
