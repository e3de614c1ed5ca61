import Foundation
import OAuth
import Sodium
import Testing
import TokenEngine

@Suite struct TokenStateTests {
    private let start = Date(timeIntervalSince1970: 1_700_000_000)

    private func token(_ index: Int, bytes: Int) throws -> CachedToken {
        CachedToken(
            access: RequestedAccess(scopes: ["s\(index)"]),
            token: try Secret(utf8: "\(index)" + String(repeating: "x", count: bytes)),
            type: "Bearer", scopes: nil, sent: start, expires: start.addingTimeInterval(3600), extras: nil)
    }

    @Test func `the oldest tokens go when there are too many`() throws {
        var state = TokenState()
        for index in 0..<TokenState.maximumTokens + 2 { state.keep(try token(index, bytes: 10), now: start) }
        #expect(state.tokens.count == TokenState.maximumTokens)
        #expect(state.tokens.first?.access.scopes == ["s2"])
    }

    /// A record has its limit, and a refresh token that finds no room is lost.
    @Test func `the oldest tokens go when they are too large, the replaced ones first`() throws {
        var state = TokenState()
        for index in 0..<4 { state.keep(try token(index, bytes: 50 << 10), now: start) }
        var another = try token(3, bytes: 50 << 10)
        another.token = try Secret(utf8: String(repeating: "y", count: 50 << 10))
        state.keep(another, now: start)
        #expect(state.tokens.count == 4 && state.replaced.count == 1)
        state.keep(try token(4, bytes: 50 << 10), now: start)
        #expect(state.tokens.count == 5 && state.replaced.isEmpty)
        state.keep(try token(5, bytes: 120 << 10), now: start)
        #expect(state.tokens.map(\.access.scopes) == [["s3"], ["s4"], ["s5"]])
    }
}
