import CLinux

/// `claviger token NAME [--min-ttl S]`, and nothing more: what fifty jobs ask for at once. Whatever else is said is the
/// core's, and so is what to do where no agent answers, or one that is locked or serves another vault.
struct HotRequest {
    private let target: String

    /// For a token of this credential, whatever it is like.
    init(credential: String) { target = "/v1/tokens/" + AgentSocket.encode(credential) }

    init?(_ words: Words) {
        guard words.isAt(1, "token"), let name = words[2], !name.isEmpty, name.utf8.first != UInt8(ascii: "-") else { return nil }
        self.init(credential: name)
        if words.count == 3 { return }
        guard words.count == 5, words.isAt(3, "--min-ttl"), let seconds = words[4].flatMap({ UInt32($0) }) else { return nil }
        self.init(target: target + "?min_ttl=" + seconds.description)
    }

    private init(target: String) { self.target = target }

    enum Answer {
        case token([UInt8])
        case refusal(Int32, String)
    }

    func answer() -> Answer? {
        // Which vault is meant is for the core to compare.
        guard getenv("CLAVIGER_VAULT") == nil, let socket = AgentSocket.toAsk() else { return nil }
        let answer = try? socket.exchange("GET", target, headers: ["Accept: text/plain"])
        guard let answer, !answer.body.isEmpty else { return nil }
        switch answer.status {
        case 200: return .token(answer.body)
        case 421, 423: return nil
        default: return Self.refusal(answer.body)
        }
    }

    /// Exit code, what went wrong, and what to do, in a line each.
    private static func refusal(_ body: [UInt8]) -> Answer? {
        let lines = body.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        guard lines.count == 3, let code = Int32(lines[0]), code > 0 else { return nil }
        let hint = lines[2].isEmpty ? "" : "claviger: hint: " + lines[2] + "\n"
        return .refusal(code, "claviger: error: " + lines[1] + "\n" + hint)
    }
}
