import FoundationEssentials

/// How long a granted token lives, in all the ways in which servers say so.
enum TokenLifetime {
    private static let tenYears = 315_360_000

    /// - Parameter now: our time, where the answer is not dated.
    /// - Returns: seconds; nil where the server does not say, or says 0, which means the same.
    /// - Throws: `unusable` for a value that is no lifetime.
    static func seconds(_ answer: ServerAnswer, now: Date) throws(TokenRefusal) -> Int? {
        let (body, format) = (answer.body, answer.format)
        if let value = body.value(format.expiresIn, else: "expires_in") {
            guard let seconds = lifetime(value) else {
                throw .unusable(reason: "a lifetime (expires_in) that is no number of seconds")
            }
            return seconds == 0 ? nil : seconds
        }
        let reference = answer.date ?? now
        if let pointer = format.expiresAt {
            guard let value = body[pointer] else { return nil }
            guard let end = moment(value) else { throw .unusable(reason: "a time of expiry that is no time") }
            return until(end, from: reference)
        }
        // Where nobody has said what they mean, only what can mean nothing else is taken.
        let values = ["expires_at", "expires_on", "expires"].compactMap { body[$0] }
        if let end = values.lazy.compactMap(moment).first { return until(end, from: reference) }
        return body["expires"].flatMap(lifetime).flatMap { $0 > 0 && $0 < 1_000_000_000 ? $0 : nil }
    }

    /// How a value says it, by the member of an `AnswerFormat`; nil for what says nothing of a lifetime.
    static func kind(of value: JSONValue) -> String? {
        if moment(value) != nil { return "expires_at" }
        return lifetime(value) != nil ? "expires_in" : nil
    }

    /// A token that has ended before it came lives for no time at all.
    private static func until(_ end: Date, from start: Date) -> Int {
        Int(min(max(end.timeIntervalSince(start), 0), Double(tenYears)))
    }

    /// Seconds, also as a string (IoT-X, older Azure) and with a decimal point, whose fraction is dropped. "3600abc" is
    /// refused: half a number is no number.
    static func lifetime(_ value: JSONValue) -> Int? {
        let seconds: Int?
        switch value {
        case .integer(let number): seconds = number
        case .number(let number): seconds = number >= 0 ? Int(min(number, Double(tenYears))) : nil
        case .string(let text): seconds = wholeSeconds(text)
        default: seconds = nil
        }
        guard let seconds, seconds >= 0 else { return nil }
        return min(seconds, tenYears)
    }

    /// Digits, or digits with a point and more digits.
    private static func wholeSeconds(_ text: String) -> Int? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let areDigits = parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }
        return areDigits ? Int(parts[0]) : nil
    }

    /// A time: seconds since 1970, milliseconds since then where that would be after the year 5000, or RFC 3339.
    /// - Returns: nil for a number below 10^9, which is no time of our days.
    private static func moment(_ value: JSONValue) -> Date? {
        let number: Double?
        switch value {
        case .integer(let seconds): number = Double(seconds)
        case .number(let seconds): number = seconds
        case .string(let text):
            if let date = RFC3339.parse(text) { return date }
            number = wholeSeconds(text).map(Double.init)
        default: number = nil
        }
        guard let number, number >= 1e9, number < 1e15 else { return nil }
        return Date(timeIntervalSince1970: number > 1e11 ? number / 1000 : number)
    }
}

/// A time with its offset from UTC (RFC 3339 section 5.6); its fraction of a second is dropped.
enum RFC3339 {
    static func parse(_ text: String) -> Date? {
        var bytes = Array(text.uppercased().utf8)
        guard bytes.count >= 20, bytes.count <= 64 else { return nil }
        if bytes[10] == UInt8(ascii: " ") { bytes[10] = UInt8(ascii: "T") }
        if bytes[19] == UInt8(ascii: ".") {
            let end = bytes[20...].firstIndex { !(48...57).contains($0) } ?? bytes.endIndex
            bytes.removeSubrange(19..<end)
        }
        return try? Date(String(decoding: bytes, as: UTF8.self), strategy: .iso8601)
    }
}
