import CLinux

/// A time as RFC 3339 writes it in UTC, in whole seconds: `2026-11-21T10:00:00Z`.
public enum UTCTime {
    /// - Parameter seconds: since 1970.
    public static func text(_ seconds: Int) -> String {
        var time = time_t(seconds)
        var parts = unsafe tm()
        unsafe gmtime_r(&time, &parts)
        let date = unsafe digits(parts.tm_year + 1900, 4) + "-" + digits(parts.tm_mon + 1, 2) + "-" + digits(parts.tm_mday, 2)
        return unsafe date + "T" + digits(parts.tm_hour, 2) + ":" + digits(parts.tm_min, 2) + ":" + digits(parts.tm_sec, 2) + "Z"
    }

    private static func digits(_ number: Int32, _ width: Int) -> String {
        var text = "\(number)"
        while text.utf8.count < width { text = "0" + text }
        return text
    }
}
