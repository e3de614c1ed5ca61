import FoundationEssentials
import HTTPTypes

/// An answer of a token or revocation endpoint, taken apart but not yet judged.
struct ServerAnswer {
    let status: Int
    let body: AnswerBody
    /// When the server says that it answered (RFC 9110 section 6.6.1).
    let date: Date?
    /// Seconds; a date is reckoned from the answer's own, for the server's clock may be wrong.
    let retryAfter: Int?
    private let asksForBasic: Bool

    /// - Parameter now: our time, for an answer that is not dated.
    init(status: Int, headers: HTTPFields, body: [UInt8], now: Date) {
        self.status = status
        self.body = AnswerBody(body)
        let date = headers[.date].flatMap(HTTPDate.parse)
        self.date = date
        retryAfter = headers[.retryAfter].flatMap { RetryAfter.seconds($0, now: date ?? now) }
        asksForBasic = headers[values: .wwwAuthenticate].contains { challenges in
            challenges.lowercased().split(separator: ",").contains { $0.drop { $0 == " " }.prefix { $0 != " " } == "basic" }
        }
    }

    var isSuccess: Bool { (200..<300).contains(status) }

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

    /// The member `error`: a word, or an object with the word in it. `false` says that there is no error.
    private var errorValues: [JSONValue?] {
        switch body["error"] {
        case nil, .bool(false): []
        case .object(let members): [members["code"], members["error"], members["type"], members["status"]]
        case let value: [value]
        }
    }

    /// What a 4xx means. Only `error`, or a challenge for Basic, blames the client: a bare 401 comes from gateways, too.
    var refusedCode: OAuthErrorCode {
        let code = namedError ?? .unregistered(status: status)
        if status == 401, asksForBasic, case .unregistered = code { return .invalidClient }
        return code
    }
}
