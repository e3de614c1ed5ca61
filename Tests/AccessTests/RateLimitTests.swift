import Foundation
import Testing

@testable import Access

@Suite struct RateLimitTests {
    private let stranger = Caller(uid: geteuid() + 1001, gid: 1, pid: 1)
    private let start = Date(timeIntervalSince1970: 1_000_000)

    @Test func `a flood is refused, and said once`() {
        let limit = RateLimit()
        for _ in 0..<Int(RateLimit.burst) { #expect(limit.charge(stranger, at: start) == .allowed) }
        #expect(limit.charge(stranger, at: start) == .firstRefusal)
        #expect(limit.charge(stranger, at: start) == .refused)
        // A trickle is no end of the flood; a second of silence and more is.
        #expect(limit.charge(stranger, at: start + 0.015) == .allowed)
        #expect(limit.charge(stranger, at: start + 0.015) == .refused)
        for _ in 0..<Int(2 * RateLimit.rate) { #expect(limit.charge(stranger, at: start + 2.015) == .allowed) }
        #expect(limit.charge(stranger, at: start + 2.015) == .firstRefusal)
    }

    @Test func `a limit is one user's, and not the owner's`() {
        let limit = RateLimit()
        for _ in 0...Int(RateLimit.burst) { _ = limit.charge(stranger, at: start) }
        #expect(limit.charge(Caller(uid: stranger.uid, gid: 2, pid: 3), at: start) == .refused)
        #expect(limit.charge(Caller(uid: stranger.uid + 1, gid: 1, pid: 1), at: start) == .allowed)
        for _ in 0...Int(RateLimit.burst) { #expect(limit.charge(.own, at: start) == .allowed) }
    }

    @Test func `a clock that was set back gives nothing and takes nothing`() {
        let limit = RateLimit()
        for _ in 0..<Int(RateLimit.burst) { _ = limit.charge(stranger, at: start) }
        #expect(limit.charge(stranger, at: start - 3600) == .firstRefusal)
        #expect(limit.charge(stranger, at: start - 3599) == .allowed)
    }
}
