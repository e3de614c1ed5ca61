import Testing

@testable import HTTP

/// Every state with every event, against the table in the documentation of `ConnectionState`.
@Suite struct ConnectionStateTests {
    typealias State = ConnectionState<String>
    typealias Actions = State.Actions

    /// The states of the table, `answering` with what note 3 tells apart.
    enum Phase: CaseIterable {
        case reading, readingUnread, answering, queued, delayed, delayedUnread, last, draining, drainingHalfClosed, closed
    }

    enum Event: CaseIterable {
        case received, receivedLast, refused, inputClosed, delayed, working, answered, flushed, readRequested, writable,
            notWritable, ended
    }

    /// How a connection comes into a state.
    private func state(_ phase: Phase) -> State {
        var state = State()
        func handle(_ events: State.Event...) { events.forEach { _ = state.handle($0) } }
        switch phase {
        case .reading: break
        case .readingUnread: handle(.writable(false), .readRequested)
        case .answering: handle(.received(.request("1"), isLast: false))
        case .queued: handle(.received(.request("1"), isLast: false), .received(.request("2"), isLast: false), .readRequested)
        case .delayed: handle(.received(.request("1"), isLast: false), .delayed, .readRequested)
        case .delayedUnread:
            handle(.received(.request("1"), isLast: false), .delayed, .writable(false), .readRequested)
        case .last: handle(.received(.request("1"), isLast: true), .readRequested)
        case .draining: handle(.received(.request("1"), isLast: true), .answered, .readRequested)
        case .drainingHalfClosed: handle(.inputClosed)
        case .closed: handle(.ended)
        }
        return state
    }

    private func event(_ event: Event) -> State.Event {
        switch event {
        case .received: .received(.request("new"), isLast: false)
        case .receivedLast: .received(.request("new"), isLast: true)
        case .refused: .received(.refused(.malformed), isLast: true)
        case .inputClosed: .inputClosed
        case .delayed: .delayed
        case .working: .working
        case .answered: .answered
        case .flushed: .flushed
        case .readRequested: .readRequested
        case .writable: .writable(true)
        case .notWritable: .writable(false)
        case .ended: .ended
        }
    }

    /// The table. What is not named here does nothing.
    private func expected(_ phase: Phase, _ event: Event) -> Actions {
        switch (phase, event) {
        case (.reading, .received), (.reading, .receivedLast), (.readingUnread, .received), (.readingUnread, .receivedLast):
            Actions(begin: .request("new"))
        case (.reading, .refused), (.readingUnread, .refused): Actions(begin: .refused(.malformed))
        case (.reading, .inputClosed), (.readingUnread, .inputClosed): Actions(awaitFlush: true)
        case (.reading, .readRequested), (.answering, .readRequested): Actions(read: true)
        case (.readingUnread, .writable): Actions(read: true)
        case (.answering, .delayed), (.queued, .delayed), (.delayed, .delayed), (.delayedUnread, .delayed), (.last, .delayed):
            Actions(deadline: .suspended)
        case (.delayed, .working): Actions(write: .interim)
        case (.delayedUnread, .answered): Actions(deadline: .idle, write: .reply)
        case (.answering, .answered): Actions(deadline: .idle, write: .reply)
        case (.queued, .answered): Actions(deadline: .idle, write: .reply, begin: .request("2"), read: true)
        case (.delayed, .answered): Actions(deadline: .idle, write: .reply, read: true)
        case (.last, .answered): Actions(deadline: .idle, write: .lastReply, awaitFlush: true)
        case (.draining, .flushed): Actions(deadline: .closeTimeout, close: .output)
        case (.drainingHalfClosed, .flushed): Actions(close: .all)
        default: Actions()
        }
    }

    @Test(arguments: Phase.allCases, Event.allCases)
    func `every state takes every event as the table says`(_ phase: Phase, _ event: Event) {
        var state = state(phase)
        #expect(state.handle(self.event(event)) == expected(phase, event))
    }

    /// Which states listen to what comes, before and after each event.
    @Test(arguments: Phase.allCases, Event.allCases)
    func `every event leads to the state of the table`(_ phase: Phase, _ event: Event) {
        var state = state(phase)
        _ = state.handle(self.event(event))
        let isListening: Bool
        let isClosed: Bool
        switch (phase, event) {
        case (.closed, _), (_, .ended): (isListening, isClosed) = (false, true)
        case (.last, _), (.draining, _), (.drainingHalfClosed, _): (isListening, isClosed) = (false, false)
        case (_, .receivedLast), (_, .refused), (_, .inputClosed): (isListening, isClosed) = (false, false)
        default: (isListening, isClosed) = (true, false)
        }
        #expect(state.isListening == isListening)
        #expect(state.isClosed == isClosed)
    }

    @Test func `answers come in the order of the requests, and nothing behind the last`() {
        var state = State()
        var begun: [State.Incoming] = []
        func handle(_ event: State.Event) -> Actions {
            let actions = state.handle(event)
            if let begin = actions.begin { begun.append(begin) }
            return actions
        }
        for number in 1...3 { _ = handle(.received(.request("\(number)"), isLast: false)) }
        _ = handle(.received(.refused(.tooLong), isLast: true))
        _ = handle(.received(.request("never"), isLast: false))
        for _ in 1...3 { #expect(handle(.answered).write == .reply) }
        #expect(handle(.answered).write == .lastReply)
        #expect(begun == [.request("1"), .request("2"), .request("3"), .refused(.tooLong)])
        #expect(handle(.answered) == Actions())
    }

    @Test func `a client that half-closes gets its answer, and then the whole connection is closed`() {
        var state = self.state(.answering)
        #expect(state.handle(.inputClosed) == Actions())
        #expect(state.handle(.answered) == Actions(deadline: .idle, write: .lastReply, awaitFlush: true))
        #expect(state.handle(.flushed) == Actions(close: .all))
        // Also where it half-closes between the answer and its flush.
        state = self.state(.draining)
        _ = state.handle(.inputClosed)
        #expect(state.handle(.flushed) == Actions(close: .all))
    }

    @Test(arguments: [Phase.queued, .delayed, .delayedUnread, .last, .draining, .drainingHalfClosed, .closed, .readingUnread])
    func `a read is held while its requests would only fill the memory`(_ phase: Phase) {
        var state = state(phase)
        #expect(!state.handle(.readRequested).read)
    }

    @Test func `a client that does not read its answers is not read either`() {
        var state = State()
        _ = state.handle(.received(.request("1"), isLast: false))
        _ = state.handle(.writable(false))
        #expect(!state.handle(.readRequested).read)
        #expect(!state.handle(.answered).read)
        #expect(state.handle(.writable(true)).read)
        // Once, for one wish.
        #expect(!state.handle(.writable(true)).read)
    }
}
