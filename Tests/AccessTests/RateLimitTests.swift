import Foundation
import Testing

@testable import Access

@Suite struct RateLimitTests {
    private let reader = Caller(uid: geteuid() + 1001, gid: 1, pid: 1)
    private let start = Date(timeIntervalSince1970: 1_000_000)

    /// Asks with lines of a length until a request is refused.
    private func flood(
        _ limit: RateLimit, _ caller: Caller, isNamed: Bool = true, line: Int = 1024, at now: Date
    ) -> (bytes: Int, end: RateLimit.Verdict) {
        var bytes = 0
        while true {
            let verdict = limit.admit(caller, isNamed: isNamed, at: now)
            guard verdict == .allowed else {
                // The first refusal is a line, too.
                if verdict == .firstRefusal { limit.charge(caller, isNamed: isNamed, bytes: line, at: now) }
                return (bytes, verdict)
            }
            limit.charge(caller, isNamed: isNamed, bytes: line, at: now)
            bytes += line
        }
    }

    @Test func `a flood is refused, and said once`() {
        let limit = RateLimit()
        #expect(flood(limit, reader, at: start) == (RateLimit.user.burst, .firstRefusal))
        #expect(limit.admit(reader, isNamed: true, at: start) == .refused)
        // A trickle is no end of the flood; a second of silence is. The line of the first refusal was charged, too.
        #expect(flood(limit, reader, at: start + 0.25) == (RateLimit.user.rate / 4 - 1024, .refused))
        #expect(flood(limit, reader, at: start + 2.25) == (RateLimit.user.rate * 2, .firstRefusal))
    }

    @Test func `a long line costs as much as many short ones`() {
        let limit = RateLimit()
        #expect(flood(limit, reader, line: 8192, at: start).bytes == RateLimit.user.burst)
        #expect(flood(RateLimit(), reader, line: 256, at: start).bytes == RateLimit.user.burst)
    }

    @Test func `a limit is one user's, and not the owner's`() {
        let limit = RateLimit()
        _ = flood(limit, reader, at: start)
        #expect(limit.admit(Caller(uid: reader.uid, gid: 2, pid: 3), isNamed: true, at: start) == .refused)
        #expect(limit.admit(Caller(uid: reader.uid + 1, gid: 1, pid: 1), isNamed: true, at: start) == .allowed)
        for _ in 0...10_000 { limit.charge(.own, isNamed: false, bytes: 8192, at: start) }
        #expect(limit.admit(.own, isNamed: false, at: start) == .allowed)
    }

    @Test func `users without a rule share one small allowance, however many they are`() {
        let limit = RateLimit()
        var bytes = 0
        for uid in 0..<1000 as Range<UInt32> {
            bytes += flood(limit, Caller(uid: geteuid() + 100_000 + uid, gid: 1, pid: 1), isNamed: false, at: start).bytes
        }
        #expect(bytes == RateLimit.strangers.burst)
        #expect(limit.admit(reader, isNamed: true, at: start) == .allowed)
    }

    @Test func `all others together leave the owner's lines of an hour in the log`() {
        let limit = RateLimit()
        var bytes = 0
        for second in 0..<3600 {
            for uid in 0..<20 as Range<UInt32> {
                let caller = Caller(uid: geteuid() + 2000 + uid, gid: 1, pid: 1)
                bytes += flood(limit, caller, line: 4096, at: start + Double(second)).bytes
            }
        }
        #expect(bytes > 64 << 20)
        #expect(bytes < AuditLog.keptFiles * AuditLog.rotationSize - 16 << 20)
    }

    /// The others have used up what all have together: it is said to each once, and not for each request.
    @Test func `a flood of others' is said once, too`() {
        let limit = RateLimit()
        for uid in 0..<9 as Range<UInt32> {
            _ = flood(limit, Caller(uid: geteuid() + 2000 + uid, gid: 1, pid: 1), at: start)
        }
        let verdicts = (0..<5).map { _ in limit.admit(reader, isNamed: true, at: start) }
        #expect(verdicts == [.firstRefusal, .refused, .refused, .refused, .refused])
        #expect(limit.admit(reader, isNamed: true, at: start + 2) == .allowed)
    }

    @Test func `a clock that was set back gives nothing and takes nothing`() {
        let limit = RateLimit()
        _ = flood(limit, reader, at: start)
        #expect(limit.admit(reader, isNamed: true, at: start - 3600) == .refused)
        #expect(limit.admit(reader, isNamed: true, at: start - 3599) == .allowed)
    }
}
