import FoundationEssentials
import HTTPTypes

/// An answer of a token or revocation endpoint, taken apart but not yet judged.
struct ServerAnswer {
    let status: Int
    let body: AnswerBody
    let format: AnswerFormat
    /// When the server says that it answered (RFC 9110 section 6.6.1).
    let date: Date?
    /// Seconds; a date is reckoned from the answer's own, for the server's clock may be wrong.
    let retryAfter: Int?
    private let asksForBasic: Bool

    /// - Parameter now: our time, for an answer that is not dated.
    init(status: Int, headers: HTTPFields, body: [UInt8], format: AnswerFormat = AnswerFormat(), now: Date) {
        self.status = status
        self.format = format
        self.body = AnswerBody(body)
        let date = headers[.date].flatMap(HTTPDate.parse)
        self.date = date
        retryAfter = headers[.retryAfter].flatMap { RetryAfter.seconds($0, now: date ?? now) }
        asksForBasic = headers[values: .wwwAuthenticate].contains { challenges in
            challenges.lowercased().split(separator: ",").contains { $0.drop { $0 == " " }.prefix { $0 != " " } == "basic" }
        }
    }

    /// Whether the status says so, and the body what it must say then.
    var isSuccess: Bool {
        guard (200..<300).contains(status) else { return false }
        guard let condition = format.success else { return true }
        return body.json.map(condition.holds) ?? false
    }

    /// What the format's own words say. They are asked before the status: a server may end a login with any.
    var refusalByWord: TokenRefusal? {
        guard !isSuccess, !(300..<400).contains(status) else { return nil }
        let words = words
        func says(_ list: [RefusalWord]?) -> Bool { list?.contains { $0.matches(status: status, words: words) } ?? false }
        if says(format.loginEnded) { return .oauth(.invalidGrant) }
        if says(format.clientRefused) { return .oauth(.invalidClient) }
        return says(format.tryAgain) ? .transient(status: status, retryAfter: retryAfter) : nil
    }

    /// Everything that can say what is wrong, in lower case.
    private var words: Set<String> {
        let places = [
            "/error", "/error/code", "/error/message", "/error/type", "/error_description", "/error_code", "/error_message",
            "/code", "/status", "/message", "/msg", "/reason", "/errcode", "/errmsg", "/errors/0", "/errors/0/code",
            "/errors/0/message",
        ].compactMap(JSONPointer.init(rawValue:))
        let values = (places + [format.error].compactMap { $0 }).compactMap { body[$0]?.plainText }
        let text = body.json == nil ? [String(decoding: body.text.prefix(256), as: UTF8.self)] : []
        return Set((values + text).map { $0.trimmed.lowercased() })
    }

    /// What the status alone says: a redirect, a failure for the moment, or something that is no answer.
    /// - Returns: nil if the body decides: 2xx, and 4xx but for 408 and 429.
    var refusalByStatus: TokenRefusal? {
        switch status {
        case 200..<300: nil
        case 300..<400: .redirected(status: status)
        case 408, 429, 500..<600: .transient(status: status, retryAfter: retryAfter)
        case 400..<500: nil
        default: .unusable(reason: "the status \(status)")
        }
    }

    /// What the body says is wrong (RFC 6749 section 5.2).
    /// - Returns: nil if it names no error. A 2xx names one only by `error`: all else there may mean something harmless.
    var namedError: OAuthErrorCode? {
        let beside = isSuccess ? [] : [body["error_code"], body["code"], body["status"]]
        let texts = (errorValues + beside).compactMap { $0?.string }
        if let code = texts.lazy.compactMap(OAuthErrorCode.init(word:)).first { return code }
        return errorValues.isEmpty ? nil : .unregistered(status: status)
    }

    /// The error: a word, or an object with the word in it. `false` says that there is no error.
    private var errorValues: [JSONValue?] {
        switch body.value(format.error, else: "error") {
        case nil, .bool(false): []
        case .object(let members): [members["code"], members["error"], members["type"], members["status"]]
        case let value: [value]
        }
    }

    /// What a 4xx means. A 401 blames the client (RFC 6749 section 5.2) if it says so, asks for Basic, or says nothing; one
    /// with a page of its own comes from a gateway.
    var refusedCode: OAuthErrorCode {
        let code = namedError ?? .unregistered(status: status)
        if status == 401, asksForBasic || body.isEmpty, case .unregistered = code { return .invalidClient }
        return code
    }

    var accessToken: String? { body.value(format.accessToken, else: "access_token")?.string }
}
