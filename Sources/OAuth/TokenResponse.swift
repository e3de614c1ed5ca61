public import FoundationEssentials
public import HTTPTypes
public import Sodium

/// What a token endpoint granted (RFC 6749 section 5.1).
public struct TokenSet: Sendable {
    public var accessToken: Secret
    /// As the server wrote it; `Bearer` where it wrote nothing.
    public var tokenType: String
    /// Seconds from the moment the request was sent; nil where the server does not say.
    public var expiresIn: Int?
    public var scopes: [String]?
    public var refreshToken: Secret?
    /// All other members as JSON, or nil: they may hold further tokens, so they are kept like one.
    public var extras: Secret?
}

/// What a token endpoint's answer holds. The refresh token stands beside the result: where a server replaces refresh tokens,
/// it is all that keeps the login alive, whatever is wrong with the rest of the answer.
public struct TokenAnswer: Sendable {
    public var refreshToken: Secret?
    public var result: Result<TokenSet, TokenRefusal>
    /// When the server says that it answered (RFC 9110 section 6.6.1).
    public var date: Date?
    /// How long the login goes on.
    public var life = LoginLife()
}

/// Reads the answer of a token endpoint: strict where a mistake would cost, lenient where servers are known to be loose.
public enum TokenResponse {
    /// Bytes of an access token, and of all that comes beside it. No server takes a request with so much in its head.
    static let longestToken = 128 << 10

    /// Reads an answer, its refresh token before anything else.
    /// - Parameters:
    ///   - format: where things stand in it.
    ///   - isWhole: false if the connection ended before the body did.
    ///   - now: our time, for a `Retry-After` that is a date where the answer is not dated itself.
    ///   - isPolling: whether it answers a question of the device flow, in which `slow_down` is one of the expected errors
    ///     (RFC 8628 section 3.5). Everywhere else it means: try again later.
    ///   - isBound: whether the token must be bound to a key of ours (RFC 9449 section 5). If not, it must not be.
    public static func read(
        status: Int, headers: HTTPFields, body: [UInt8], format: AnswerFormat = AnswerFormat(), isWhole: Bool = true, now: Date,
        isPolling: Bool = false, isBound: Bool = false
    ) -> TokenAnswer {
        let answer = ServerAnswer(status: status, headers: headers, body: body, format: format, now: now)
        var refreshToken: Secret?
        do throws(TokenRefusal) {
            refreshToken = try self.refreshToken(answer, isWhole: isWhole)
            if let refusal = refusal(answer, isWhole: isWhole, isPolling: isPolling) { throw refusal }
            let tokens = try tokenSet(answer, refreshToken: refreshToken, now: now, isBound: isBound)
            return TokenAnswer(
                refreshToken: refreshToken, result: .success(tokens), date: answer.date, life: LoginLife(answer.body))
        } catch {
            return TokenAnswer(refreshToken: refreshToken, result: .failure(error), date: answer.date)
        }
    }

    /// Why there is no token in this answer; nil if there should be one.
    private static func refusal(_ answer: ServerAnswer, isWhole: Bool, isPolling: Bool) -> TokenRefusal? {
        if let refusal = answer.refusalByWord ?? answer.refusalByStatus { return refusal }
        // JSON says where it ends: of an object that can be read, nothing is missing.
        if !isWhole, answer.body.json == nil || answer.body.isForm { return .unusable(reason: "an answer that was cut off") }
        // Some servers refuse with the status 200. Where there is a token, an error beside it is none.
        if answer.isSuccess, answer.namedError == nil || answer.accessToken != nil { return nil }
        let code = answer.refusedCode
        // A server that says when to come back, and not what is wrong, limits the rate.
        if answer.retryAfter != nil, case .unregistered = code {
            return .transient(status: answer.status, retryAfter: answer.retryAfter)
        }
        guard code.isTransient, !(isPolling && code == .slowDown) else { return .oauth(code) }
        return .transient(status: answer.status, retryAfter: answer.retryAfter)
    }

    /// The refresh token of any answer that has one.
    /// - Throws: `memory`.
    private static func refreshToken(_ answer: ServerAnswer, isWhole: Bool) throws(TokenRefusal) -> Secret? {
        let pointer = answer.format.refreshToken ?? JSONPointer(member: "refresh_token")
        let found: String?
        if answer.body.json == nil || answer.body.isForm, !(isWhole && answer.body.isForm) {
            found = RefreshTokenScanner.find(pointer.member ?? "", in: answer.body.text, isWhole: isWhole)
        } else {
            switch answer.body.value(pointer, else: "refresh_token") {
            case .string(let text): found = text
            case .integer(let number): found = String(number)
            default: found = nil
            }
        }
        // Where a character was lost, the token is not known.
        guard let token = found.map(trimmed), !token.isEmpty, !token.unicodeScalars.contains("\u{FFFD}"),
            answer.isSuccess || !isMasked(token)
        else { return nil }
        return try secret(token)
    }

    /// Without white space and control characters at its ends: no token begins or ends with them (RFC 6749 appendix A.17).
    private static func trimmed(_ text: String) -> String {
        let isStray = { (scalar: Unicode.Scalar) in scalar.value <= 0x20 || (0x7F...0xA0).contains(scalar.value) }
        let scalars = text.unicodeScalars.drop(while: isStray)
        guard let last = scalars.lastIndex(where: { !isStray($0) }) else { return "" }
        return String(scalars[...last])
    }

    /// Whether an error shows the token that we sent, made unreadable. To take it for a new one would end the login.
    private static func isMasked(_ token: String) -> Bool {
        let scalars = token.unicodeScalars
        return ["***", "...", "xxxx", "XXXX"].contains { token.contains($0) }
            || scalars.contains { !(0x21...0x7E).contains($0.value) }
            || scalars.first.map { ["[", "<", "{", "("].contains($0) } ?? false
    }

    private static func tokenSet(
        _ answer: ServerAnswer, refreshToken: Secret?, now: Date, isBound: Bool
    ) throws(TokenRefusal) -> TokenSet {
        let (body, format) = (answer.body, answer.format)
        guard !body.isEmpty else { throw .unusable(reason: "an empty answer") }
        guard let json = body.json, json.object != nil else { throw .unusable(reason: "something that is no JSON object") }
        guard let access = answer.accessToken else { throw .unusable(reason: "no access token") }
        guard access.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            // RFC 6749 appendix A.12, less the space: anything else could break out of a header.
            throw .unusable(reason: "an access token with characters that no token may have")
        }
        guard access.utf8.count <= longestToken else {
            throw .unusable(reason: "an access token that is too long for any request")
        }
        let extras = extras(json, format)
        return TokenSet(
            accessToken: try secret(access),
            tokenType: try tokenType(body.value(format.tokenType, else: "token_type"), isBound: isBound),
            expiresIn: try TokenLifetime.seconds(answer, now: now),
            scopes: scopes(body.value(format.scope, else: "scope")),
            refreshToken: refreshToken,
            extras: (1...longestToken).contains(extras.utf8.count) ? try secret(extras) : nil)
    }

    /// Everything but what is kept elsewhere; empty for nothing.
    private static func extras(_ json: JSONValue, _ format: AnswerFormat) -> String {
        let kept =
            ["access_token", "token_type", "expires_in", "scope", "refresh_token"].map(JSONPointer.init(member:))
            + [format.accessToken, format.refreshToken].compactMap { $0 }
        let others = kept.reduce(json) { $0.removing($1) }
        return others.object?.isEmpty == false ? others.encoded() : ""
    }

    private static func secret(_ text: String) throws(TokenRefusal) -> Secret {
        do throws(SodiumError) {
            return try Secret(utf8: text)
        } catch {
            throw .memory
        }
    }

    /// Servers write the type in any case, or a word of their own; all of these are sent as `Bearer`. Those that need a
    /// proof with each request would be refused by the API, so they are refused here, unless they are bound to a key of ours.
    /// Who wants tokens to be bound is not given one that anybody can use.
    private static func tokenType(_ value: JSONValue?, isBound: Bool) throws(TokenRefusal) -> String {
        if isBound {
            guard value?.string.map(trimmed)?.lowercased() == TokenPresentation.dpopType.lowercased() else {
                throw .unusable(reason: "a token that is not bound to the credential's key, which --dpop wants")
            }
            return TokenPresentation.dpopType
        }
        guard let type = value?.string.map(trimmed), !type.isEmpty else { return "Bearer" }
        if ["dpop", "mac", "pop"].contains(type.lowercased()) {
            let hint = type.lowercased() == "dpop" ? "; --dpop makes them" : ""
            throw .unusable(reason: "a token that needs a proof with every request (\(type.lowercased()))\(hint)")
        }
        guard type.utf8.count <= 64, type.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .unusable(reason: "a token type that is no word")
        }
        return type
    }

    private static func scopes(_ value: JSONValue?) -> [String]? {
        switch value {
        case .string(let text): text.split(separator: " ").map(String.init)
        case .array(let values): values.compactMap(\.string)
        default: nil
        }
    }
}
