import Foundation
import OAuth
import Testing

@Suite struct HTTPDateTests {
    /// RFC 9110 section 5.6.7.
    @Test(arguments: ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
    func `reads the three forms`(_ text: String) {
        #expect(HTTPDate.parse(text) == Date(timeIntervalSince1970: 784_111_777))
    }

    @Test func `takes two digits of a year for the nearest century`() {
        #expect(HTTPDate.parse("Wednesday, 25-Nov-26 00:00:00 GMT") == Date(timeIntervalSince1970: 1_795_564_800))
        #expect(HTTPDate.parse("Thursday, 01-Jan-70 00:00:00 GMT") == Date(timeIntervalSince1970: 0))
    }

    @Test func `reads the last day of February in leap years`() {
        #expect(HTTPDate.parse("Thu, 29 Feb 2024 23:59:60 GMT") == HTTPDate.parse("Fri, 01 Mar 2024 00:00:00 GMT"))
    }

    @Test(arguments: [
        "", "soon", "Sun, 06 Nov 1994", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT", "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 994 08:49:37 GMT", "Sunday, 06-Nov 08:49:37 GMT", "Sun Nov 6 08:49:37 94x", "1994-11-06T08:49:37Z",
    ])
    func `ignores the rest`(_ text: String) {
        #expect(HTTPDate.parse(text) == nil)
    }
}

@Suite struct RetryAfterTests {
    private let now = Date(timeIntervalSince1970: 784_111_770)

    @Test(arguments: [
        ("120", 120), (" 120\t", 120), ("0", 0), ("-5", 0), ("999999999", 86_400),
        // RFC 9110 section 5.6.7: 784111777.
        ("Sun, 06 Nov 1994 08:49:37 GMT", 7), ("Sun, 06 Nov 1994 08:49:00 GMT", 0), ("Mon, 07 Nov 2094 08:49:37 GMT", 86_400),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 7), ("Sun Nov  6 08:49:37 1994", 7),
    ])
    func `reads seconds and dates`(_ value: String, _ expected: Int) {
        #expect(RetryAfter.seconds(value, now: now) == expected)
    }

    @Test(arguments: ["", " ", "soon", "1.5", "1 2", "5, 10", "Sun, 06 Nov 1994"])
    func `ignores the rest`(_ value: String) {
        #expect(RetryAfter.seconds(value, now: now) == nil)
    }
}
