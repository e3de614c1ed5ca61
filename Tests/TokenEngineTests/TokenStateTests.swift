import Foundation
import OAuth
import Sodium
import Testing

@testable import TokenEngine

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

    /// Whoever asks for ever new scopes takes the token for the credential's own request from nobody.
    @Test func `the token for the credential's own request goes last`() throws {
        var state = TokenState()
        var own = try token(0, bytes: 10)
        own.access = RequestedAccess()
        state.keep(own, now: start)
        for index in 1..<TokenState.maximumTokens + 5 { state.keep(try token(index, bytes: 10), now: start) }
        #expect(state.tokens.count == TokenState.maximumTokens)
        #expect(state.tokens.contains { $0.isSame(as: own) })
    }
}

/// What is kept of tokens that others take the place of, and what a change of the configuration means.
@Suite struct TokenStateChangeTests {
    private let start = Date(timeIntervalSince1970: 1_000_000)
    private var later: Date { start + 10 }

    private func login(_ text: String = "first") throws -> Login {
        Login(refreshToken: try Secret(utf8: text), since: start, renewed: start, rotation: .rotates, owner: "here")
    }

    private func settings(_ grant: GrantType = .authorizationCode) throws -> ClientSettings {
        ClientSettings(grant: grant, tokenURL: try EndpointURL("https://example.com/token"))
    }

    private func words(_ tokens: [CachedToken]) -> [String] { tokens.map { $0.token.revealed() } }

    @Test func `tokens that a server may have ended are kept for a revocation`() throws {
        var state = TokenState(login: try login(), tokens: [try someToken("old")])
        let scoped = try someToken("scoped", access: RequestedAccess(scopes: ["b"]))
        var acquired = AcquiredTokens(token: scoped, refreshToken: nil, received: later, owner: "here")
        acquired.endsOlderTokens = true
        #expect(state.store(acquired, spent: try Secret(utf8: "first")))
        #expect(words(state.tokens) == ["scoped"] && words(state.replaced) == ["old"])
    }

    @Test func `tokens of an earlier login are kept for a revocation`() throws {
        var state = TokenState(login: try login(), tokens: [try someToken("old")])
        state.begin(try login("second"), with: try someToken("new"))
        #expect(words(state.tokens) == ["new"] && words(state.replaced) == ["old"])
    }

    @Test func `an answer is stored if the refresh token that was spent is the stored one`() throws {
        var state = TokenState(login: try login(), tokens: [])
        let acquired = AcquiredTokens(
            token: try someToken("late"), refreshToken: try Secret(utf8: "third"), received: later, owner: "here")
        #expect(!state.store(acquired, spent: try Secret(utf8: "another")))
        #expect(state.login?.refreshToken.revealed() == "first" && state.tokens.isEmpty)
    }

    @Test func `changed settings forget what can be acquired again, and nothing else`() throws {
        var renewable = TokenState(login: try login(), tokens: [try someToken()])
        renewable.replaced = [try someToken("older")]
        var only = TokenState(tokens: [try someToken()])
        for settings in [try settings(), try settings(.deviceCode)] {
            renewable.apply([.forgetRenewable], of: settings, now: later)
            only.apply([.forgetRenewable], of: settings, now: later)
        }
        #expect(renewable.tokens.isEmpty && renewable.replaced.isEmpty)
        #expect(words(only.tokens) == ["stored"])
    }

    @Test func `changed settings may be asked with at once, and the refusal is remembered`() throws {
        var state = TokenState()
        state.noteRefusal(.client, at: start)
        #expect(state.refusal.map { $0.nextAsk > start } == true)
        state.apply([.forgetRenewable], of: try settings(), now: later)
        #expect(state.refusal?.nextAsk == start && state.refusal?.since == start)
    }

    @Test func `a new client has been refused nothing and has had no tokens`() throws {
        var state = TokenState()
        state.noteRefusal(.client, at: start)
        state.forcedRenewals = [start]
        state.apply([.newClient], of: try settings(), now: later)
        #expect(state.refusal == nil && state.forcedRenewals.isEmpty)
    }

    @Test func `an ended login ended when it did, and the client that comes back has it again`() throws {
        var state = TokenState(login: try login())
        state.apply([.endLogin], of: try settings(), now: start)
        state.apply([.endLogin], of: try settings(), now: later)
        #expect(state.login?.ended == start)
        state.apply([.reviveLogin], of: try settings(), now: later)
        #expect(state.login != nil && state.login?.ended == nil)
    }

    @Test func `what is said of a refresh token touches no other`() throws {
        var state = TokenState(login: try login())
        let sending = Login.Sending(began: start, boot: nil)
        state.login?.sending = sending
        state.settle(try Secret(utf8: "another"), earlier: nil)
        state.endLogin(keptBy: try Secret(utf8: "another"), at: later)
        #expect(state.login?.sending == sending && state.login?.ended == nil)
        state.settle(try Secret(utf8: "first"), earlier: nil)
        #expect(state.login?.sending == nil)
        state.endLogin(keptBy: try Secret(utf8: "first"), at: later)
        #expect(state.login?.ended == later)
    }

    @Test func `a refusal is counted from the first, and another cause begins anew`() throws {
        var state = TokenState()
        for second in 0..<10 { state.noteRefusal(.client, at: start + Double(second)) }
        #expect(state.refusal == .init(cause: .client, since: start, asked: start + 9, times: 10))
        #expect(state.refusal?.nextAsk == start + 9 + 900)
        state.noteRefusal(.refresh(status: 403), at: later)
        #expect(state.refusal == .init(cause: .refresh(status: 403), since: later, asked: later, times: 1))
    }

    @Test func `a rejected token was rejected when it was for the first time`() throws {
        var state = TokenState(tokens: [try someToken()])
        let token = state.tokens[0]
        state.markRejected(token, at: start)
        state.markRejected(token, at: later)
        #expect(state.tokens[0].rejected == start)
    }

    @Test func `a refresh says whose the login is, whether it lives, and whether it rotates`() throws {
        var ended = try login()
        (ended.ended, ended.sending) = (start, Login.Sending(began: start, boot: nil))
        let next = ended.renewed(by: try Secret(utf8: "second"), at: later, owner: "there")
        #expect(next.ended == nil && next.sending == nil && next.owner == "there" && next.renewed == later)
        #expect(next.rotation == .rotates && next.since == start)
        var unknown = try login()
        unknown.rotation = .unknown
        #expect(unknown.renewed(by: nil, at: later, owner: "here").rotation == .keeps)
        #expect(unknown.mayRotate(by: try settings()))
        // What was seen counts more than what a catalogue says.
        var keeps = try settings()
        keeps.refreshTokenRotates = false
        #expect(next.mayRotate(by: keeps) && !unknown.mayRotate(by: keeps))
        #expect(Host(id: "here", former: ["older"]).owns(unknown))
        unknown.owner = "older"
        #expect(Host(id: "here", former: ["older"]).owns(unknown) && !Host(id: "here").owns(unknown))
    }
}
