import NIOCore

/// The state of one connection of short requests: events in, actions out. It reads no clock and touches no channel;
/// `ConnectionHandler` does what it says.
///
/// The requests of a connection are answered one after the other, in their order. After the last one (the client said
/// `Connection: close`, closed its writing side, or sent what is refused unread) the connection ends.
///
/// | event           | `reading`                   | `answering`                          | `draining`              | `closed` |
/// |-----------------|-----------------------------|--------------------------------------|-------------------------|----------|
/// | `received`      | begin; → `answering`        | queue, unless the last one has come  | ignore                  | ignore   |
/// | `inputClosed`   | await flush; → `draining`   | note that the last one has come      | note                    | ignore   |
/// | `delayed`       | ignore                      | suspend the idle deadline            | ignore                  | ignore   |
/// | `working`       | ignore                      | write an interim reply, if (4)       | ignore                  | ignore   |
/// | `answered`      | ignore                      | write, restart the deadline, then (1)| ignore                  | ignore   |
/// | `flushed`       | ignore                      | ignore                               | close (2)               | ignore   |
/// | `readRequested` | read if writable, else hold | the same, if (3)                     | hold                    | hold     |
/// | `writable(b)`   | read if held and b          | the same, if (3)                     | note                    | ignore   |
/// | `ended`         | → `closed`                  | → `closed`                           | → `closed`              | ignore   |
///
/// 1. Begin the next of the queue and stay; else, if that was the last one, await the flush and → `draining`; else, read if
///    a read is held and → `reading`.
/// 2. If the client can still write, only our own side, with the close timeout as the new deadline: the client learns that
///    nothing more comes and closes first, which costs it no wait for this thread. Else all of it.
/// 3. Nothing is read while a reply is delayed, requests wait in the queue, or the last one has come: a client must not
///    be able to fill the server's memory with requests.
/// 4. The reply is delayed, and the client reads what it is sent.
struct ConnectionState<Request> {
    /// What has come whole.
    enum Incoming {
        case request(Request)
        /// It is answered with the refusal, and nothing behind it is read.
        case refused(Refusal)
    }

    enum Refusal { case malformed, tooLong, forbidden }

    enum Event {
        /// - Parameter isLast: whether nothing behind it is answered.
        case received(Incoming, isLast: Bool)
        /// The client has closed its writing side. HTTP/1.1 clients that half-close are rare, and this one may be gone; what
        /// it asked before is answered.
        case inputClosed
        /// The reply to the present request takes its time.
        case delayed
        /// The client is to be told that its reply is being worked on.
        case working
        /// The reply to the present request is there.
        case answered
        /// All that was written has gone to the kernel.
        case flushed
        /// The channel would read more.
        case readRequested
        /// Whether the client reads what it is sent: false while too much waits in our memory.
        case writable(Bool)
        /// The channel is closed.
        case ended
    }

    /// What to do, in this order. A fixed set of members, not an array: this is made several times for each request.
    struct Actions {
        var deadline: Deadline?
        /// Write an interim reply, or the reply that is there.
        var write: Write?
        /// Have this request answered.
        var begin: Incoming?
        var read = false
        /// Report `flushed` as soon as it is true.
        var awaitFlush = false
        var close: Close?
    }

    enum Deadline: Equatable { case idle, suspended, closeTimeout }
    /// The last reply of a connection says `Connection: close`. An interim one (RFC 9110 section 15.2) says nothing but that
    /// another comes.
    enum Write: Equatable { case interim, reply, lastReply }
    enum Close: Equatable { case output, all }

    private enum Phase {
        case reading
        /// - Parameter isLast: whether nothing is answered behind this request and those in the queue.
        case answering(isDelayed: Bool, isLast: Bool)
        case draining
        case closed
    }

    private var phase = Phase.reading
    /// Requests that have come while another is answered; empty in every other phase.
    private var queue = CircularBuffer<Incoming>(initialCapacity: 0)
    /// Whether the client's writing side is open.
    private var isInputOpen = true
    private var isWritable = true
    /// Whether the channel's wish to read waits.
    private var isReadHeld = false

    mutating func handle(_ event: Event) -> Actions {
        switch event {
        case .received(let incoming, let isLast): received(incoming, isLast)
        case .inputClosed: inputClosed()
        case .delayed: delayed()
        case .working: working()
        case .answered: answered()
        case .flushed: flushed()
        case .readRequested: readRequested()
        case .writable(let isWritable): writable(isWritable)
        case .ended: ended()
        }
    }

    /// Whether what comes now would be answered.
    var isListening: Bool {
        switch phase {
        case .reading: true
        case .answering(_, let isLast): !isLast
        case .draining, .closed: false
        }
    }

    var isClosed: Bool { if case .closed = phase { true } else { false } }

    private mutating func received(_ incoming: Incoming, _ isLast: Bool) -> Actions {
        switch phase {
        case .reading:
            phase = .answering(isDelayed: false, isLast: isLast)
            return Actions(begin: incoming)
        case .answering(let isDelayed, isLast: false):
            queue.append(incoming)
            phase = .answering(isDelayed: isDelayed, isLast: isLast)
        case .answering, .draining, .closed: break
        }
        return Actions()
    }

    private mutating func inputClosed() -> Actions {
        isInputOpen = false
        switch phase {
        case .reading:
            phase = .draining
            return Actions(awaitFlush: true)
        case .answering(let isDelayed, _): phase = .answering(isDelayed: isDelayed, isLast: true)
        case .draining, .closed: break
        }
        return Actions()
    }

    private mutating func delayed() -> Actions {
        guard case .answering(_, let isLast) = phase else { return Actions() }
        phase = .answering(isDelayed: true, isLast: isLast)
        return Actions(deadline: .suspended)
    }

    private func working() -> Actions {
        guard case .answering(isDelayed: true, _) = phase, isWritable else { return Actions() }
        return Actions(write: .interim)
    }

    private mutating func answered() -> Actions {
        guard case .answering(_, let isLast) = phase else { return Actions() }
        if let next = queue.popFirst() {
            phase = .answering(isDelayed: false, isLast: isLast)
            return Actions(deadline: .idle, write: .reply, begin: next, read: isReadHeld && mayReadNow())
        }
        guard isLast else {
            phase = .reading
            return Actions(deadline: .idle, write: .reply, read: isReadHeld && mayReadNow())
        }
        phase = .draining
        return Actions(deadline: .idle, write: .lastReply, awaitFlush: true)
    }

    private mutating func flushed() -> Actions {
        guard case .draining = phase else { return Actions() }
        return isInputOpen ? Actions(deadline: .closeTimeout, close: .output) : Actions(close: .all)
    }

    private mutating func readRequested() -> Actions { Actions(read: mayReadNow()) }

    private mutating func writable(_ isWritable: Bool) -> Actions {
        self.isWritable = isWritable
        return Actions(read: isReadHeld && mayReadNow())
    }

    /// Whether a read that is wanted may be made; if not, it is held.
    private mutating func mayReadNow() -> Bool {
        let mayRead =
            switch phase {
            case .reading: isWritable
            case .answering(let isDelayed, let isLast): isWritable && !isDelayed && !isLast && queue.isEmpty
            case .draining, .closed: false
            }
        isReadHeld = !mayRead
        return mayRead
    }

    private mutating func ended() -> Actions {
        phase = .closed
        queue.removeAll()
        return Actions()
    }
}

extension ConnectionState.Incoming: Equatable where Request: Equatable {}
extension ConnectionState.Actions: Equatable where Request: Equatable {}
