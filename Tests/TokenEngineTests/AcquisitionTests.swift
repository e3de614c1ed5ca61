import Foundation
import Sodium
import TestSupport
import Testing

@testable import OAuth
@testable import TokenEngine

private let now = Date(timeIntervalSince1970: 1_000_000)

/// The table in the documentation of `Acquisition`, walked with every event that a driver can report in each state.
@Suite struct AcquisitionTests {
    /// Which event answers an action. A driver that performs the action can report nothing else.
    private static let answers: [String: Set<String>] = [
        "begin": ["begun"], "send": ["answered"], "wait": ["waited"], "store": ["stored", "storedByAnother", "notStored"],
        "note": ["written"], "reread": ["credential"],
    ]

    private func label(_ value: Any) -> String { String(String(describing: value).prefix { $0 != "(" }) }

    private func credential(_ token: CachedToken? = nil, change: (inout Login) -> Void = { _ in }) throws -> Credential {
        var login = Login(refreshToken: try Secret(utf8: "first"), since: now, renewed: now, rotation: .rotates, owner: "here")
        change(&login)
        return try someCredential {
            $0.configuration.settings.grant = .authorizationCode
            $0.state.tokens = [token].compactMap { $0 }
            $0.state.login = login
        }
    }

    private func credentials() throws -> [Credential] {
        let dying = try someToken("dying", sent: 996_430)
        var loggedOut = try credential()
        loggedOut.state.login = nil
        return [
            try someCredential(), try someCredential(someToken()), try credential(), try credential(dying),
            try credential { $0.refreshToken = try! Secret(utf8: "second") }, try credential { $0.ended = now },
            try credential { $0.owner = "there" }, loggedOut,
            try credential(dying) { $0.sending = Login.Sending(began: now.addingTimeInterval(-10), boot: nil) },
            try credential { $0.sending = Login.Sending(began: now.addingTimeInterval(-1000), boot: nil) },
        ]
    }

    private func replies() throws -> [Acquisition.Reply] {
        let granted = TokenSet(
            accessToken: try Secret(utf8: "new"), tokenType: "Bearer", expiresIn: 3600, refreshToken: try Secret(utf8: "third"))
        func refusal(_ refusal: TokenRefusal, status: Int, refresh: String? = nil) throws -> Acquisition.Reply {
            .answer(
                TokenAnswer(refreshToken: try refresh.map { try Secret(utf8: $0) }, result: .failure(refusal)), status: status,
                isWhole: true)
        }
        return [
            .answer(TokenAnswer(refreshToken: granted.refreshToken, result: .success(granted)), status: 200, isWhole: true),
            try refusal(.oauth(.invalidClient), status: 401), try refusal(.oauth(.invalidGrant), status: 400),
            try refusal(.transient(status: 503, retryAfter: nil), status: 503),
            try refusal(.transient(status: 502, retryAfter: nil), status: 502),
            try refusal(.unusable(reason: ""), status: 200, refresh: "third"), .failed(aFailure), .failed(aLostAnswer),
            .misdated(.oauth(.invalidClient)), .unsendable(.badKey),
        ]
    }

    /// What a walk has seen, so that it can be held against the table.
    private final class Walk {
        var rows: Set<String> = []
        var steps = 0
    }

    /// Follows every path that a driver can take, to a depth that reaches every row, and looks at each step.
    private func walk(
        _ machine: Acquisition, _ action: Acquisition.Action, _ events: [Acquisition.Event], _ walk: Walk, _ depth: Int
    ) {
        let expected = Self.answers[label(action)] ?? []
        guard depth > 0 else { return }
        for event in events where expected.contains(label(event)) {
            var next = machine
            let before = label(machine.state)
            let action = next.handle(event, now: now, jitter: 0)
            walk.steps += 1
            walk.rows.insert("\(before) | \(label(event)) | \(label(next.state)): \(label(action))")
            // What is handed out ends it, and what ends it is handed out or said.
            #expect((label(next.state) == "finished") == ["serve", "fail"].contains(label(action)))
            // A refresh token goes out only after the journal was written.
            if label(action) == "send", case .sending = next.state, before == "claimed" { #expect(!machine.spends(event)) }
            self.walk(next, action, events, walk, depth - 1)
        }
    }

    /// A server that fails every time: too deep for the walk.
    private func walkToTheLastRetry(_ seen: Walk) throws {
        let ask = TokenQuery()
        let dying = try credentials()[3]
        let failing = try #require(try replies().first { if case .answer(_, 503, _) = $0 { true } else { false } })
        var machine = Acquisition(
            .serve(CacheDecision(ask: ask, seen: dying.state.tokens.first)), ask: ask, host: Host(id: "here"))
        var action = Acquisition.Action.reread
        while !["serve", "fail"].contains(label(action)) {
            let event: Acquisition.Event =
                switch action {
                case .begin: .begun
                case .send: .answered(failing, sent: now)
                case .wait: .waited
                case .note: .written
                default: .credential(dying)
                }
            let before = label(machine.state)
            action = machine.handle(event, now: now, jitter: 0)
            seen.rows.insert("\(before) | \(label(event)) | \(label(machine.state)): \(label(action))")
        }
    }

    private static let table: Set<String> = [
        "claimed | credential | finished: serve", "claimed | credential | finished: fail", "claimed | credential | noting: note",
        "claimed | credential | beginning: begin", "claimed | credential | sending: send", "beginning | begun | sending: send",
        "sending | answered | sending: send", "sending | answered | sending: wait", "sending | answered | storing: store",
        "sending | answered | checking: reread", "sending | answered | noting: note", "sending | answered | beginning: begin",
        "sending | answered | finished: serve", "sending | answered | finished: fail", "sending | waited | sending: send",
        "sending | waited | beginning: begin", "checking | credential | noting: note", "checking | credential | beginning: begin",
        "checking | credential | finished: serve", "checking | credential | finished: fail",
        "checking | credential | sending: send", "noting | written | finished: serve", "noting | written | finished: fail",
        "noting | written | claimed: reread", "storing | stored | finished: serve", "storing | stored | finished: fail",
        "storing | storedByAnother | checking: reread", "storing | notStored | storing: wait",
        "storing | waited | storing: store",
    ]

    @Test func `every step is a row of the table, and every row is reached`() throws {
        let events: [Acquisition.Event] =
            try credentials().map { .credential($0) } + replies().map { .answered($0, sent: now) }
            + [.begun, .waited, .written, .stored, .storedByAnother, .notStored]
        let seen = Walk()
        for mode in [TokenQuery.Mode.cached, .rejected] {
            let ask = TokenQuery(mode: mode)
            let decision = CacheDecision(ask: ask, seen: try someToken())
            let machine = Acquisition(.serve(decision), ask: ask, host: Host(id: "here"))
            walk(machine, .reread, events, seen, 6)
        }
        try walkToTheLastRetry(seen)
        #expect(seen.rows.subtracting(Self.table) == [])
        #expect(Self.table.subtracting(seen.rows) == [])
        #expect(seen.steps > 1000)
    }

    /// A state that takes an event which can't come would hide a mistake of the driver. It happens in a process of its own, which
    /// this one waits for by its number: a wait for whichever child ends next is lost among those of other tests.
    @Test(arguments: ["stored", "begun"]) func `an event that can't come traps`(_ event: String) async {
        let result = await Program.run(
            Program.folder + "/clavigerPackageTests.xctest",
            ["--testing-library", "swift-testing", "--filter", "ImpossibleEventTests"],
            environment: [ImpossibleEvent.variable: event, "SWIFT_BACKTRACE": "enable=no"])
        #expect(result.status > 128, "\(result)")
    }
}

private enum ImpossibleEvent {
    static let variable = "CLAVIGER_TEST_IMPOSSIBLE_EVENT"
    static let wanted = ProcessInfo.processInfo.environment[variable]
}

/// Only for the test above.
@Suite(.enabled(if: ImpossibleEvent.wanted != nil)) struct ImpossibleEventTests {
    @Test func happens() {
        var machine = Acquisition(.prove, ask: TokenQuery(), host: Host(id: "here"))
        let event: Acquisition.Event = ImpossibleEvent.wanted == "stored" ? .stored : .begun
        _ = machine.handle(event, now: Date(timeIntervalSince1970: 0), jitter: 0)
    }
}

extension Acquisition {
    /// Whether the credential of this event has a refresh token to spend.
    fileprivate func spends(_ event: Event) -> Bool {
        guard case .credential(let credential) = event else { return false }
        return credential.configuration.settings.grant.needsLogin
    }
}
