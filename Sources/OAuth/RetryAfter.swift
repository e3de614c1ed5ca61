public import FoundationEssentials

/// `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.
public enum RetryAfter {
    /// Reads the header's value.
    /// - Parameter now: the server's time. A date is reckoned from it, so that a clock that is wrong on either side does no harm.
    /// - Returns: seconds, never negative and at most a day; nil if the value is neither a number nor a date.
    public static func seconds(_ value: String, now: Date) -> Int? {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        let text = value.drop(while: isBlank)
        let number = text.lastIndex { !isBlank($0) }.flatMap { Int(text[...$0]) }
        let seconds = number ?? HTTPDate.parse(value).map { Int($0.timeIntervalSince(now).rounded(.up)) }
        return seconds.map { min(max($0, 0), 86_400) }
    }
}
