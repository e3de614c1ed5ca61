/// The providers that the practice server imitates.
enum Imitation: String {
    case torq, qa

    var lifetime: Int {
        switch self {
        case .torq: 3600
        case .qa: 36_000
        }
    }

    func newToken() -> String {
        switch self {
        case .torq: SandboxState.uuid()
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
