import Dispatch
public import FoundationEssentials
public import Linux
import Synchronization

/// Whether the users and groups that rules were made for are still the same: a number that was given to somebody else since must
/// not bring that person the rules of the one before.
///
/// They are looked up once a minute, behind the back of those who ask. A look-up that fails, as where a directory server is away,
/// changes nothing.
public final class Accounts: Sendable {
    /// What has become of whom a rule is for.
    public enum Standing: Equatable, Sendable {
        case current
        /// Nobody has the name that the rule was made for.
        case gone
        /// The name has another number now.
        case renumbered(UInt32)

        init?(_ finding: Account.Finding, number: UInt32) {
            switch finding {
            case .number(number): self = .current
            case .number(let other): self = .renumbered(other)
            case .nobody: self = .gone
            case .unknown: return nil
            }
        }
    }

    private struct State {
        var standings: [Subject: Standing] = [:]
        /// Rises when a standing is another than before.
        var version = 0
        var looked: Date?
        var isLooking = false
    }

    /// Seconds.
    private static let interval = 60.0

    private let find: @Sendable (Subject) -> Account.Finding
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "accounts")

    /// Those of this machine.
    public convenience init() { self.init { $0.look() } }

    /// - Parameter find: says what is known of a subject's name.
    public init(find: @escaping @Sendable (Subject) -> Account.Finding) { self.find = find }

    public var version: Int { state.withLock { $0.version } }

    /// What is known of a subject; one that nothing is known of is taken for current.
    public func standing(of subject: Subject) -> Standing {
        subject.isBareNumber ? .current : state.withLock { $0.standings[subject] } ?? .current
    }

    /// Looks some up in the background, if that is due: only then are the subjects gone through.
    /// - Parameters:
    ///   - isNew: whether there may be some that were never looked up. During a look-up, the next call begins another one.
    ///   - then: called when it is done, or was not begun.
    public func look(
        for subjects: @autoclosure () -> [Subject], isNew: Bool, at now: Date, then: @escaping @Sendable () -> Void = {}
    ) {
        let begins = state.withLock { state in
            if state.isLooking {
                if isNew { state.looked = nil }
                return false
            }
            guard isNew || abs(now.timeIntervalSince(state.looked ?? .distantPast)) >= Self.interval else { return false }
            (state.isLooking, state.looked) = (true, now)
            return true
        }
        guard begins else { return then() }
        let subjects = Set(subjects().filter { !$0.isBareNumber })
        queue.async {
            for subject in subjects { self.look(subject) }
            self.state.withLock { $0.isLooking = false }
            then()
        }
    }

    /// The same for a command, which waits for it.
    public func lookNow(for subjects: [Subject]) {
        for subject in Set(subjects) where !subject.isBareNumber { look(subject) }
    }

    private func look(_ subject: Subject) {
        guard let standing = Standing(find(subject), number: subject.number) else { return }
        state.withLock { state in
            if state.standings[subject] ?? .current != standing { state.version += 1 }
            state.standings[subject] = standing
        }
    }
}

extension Policy {
    /// The rules whose user or group is still the one that they were made for.
    public func current(by accounts: Accounts) -> Policy {
        var policy = self
        policy.rules.removeAll { accounts.standing(of: $0.subject) != .current }
        return policy
    }
}

extension Subject {
    /// Whether it was named by its number, and is whoever has that.
    public var isBareNumber: Bool { name == "\(number)" }

    fileprivate func look() -> Account.Finding { isUser ? Account.user(named: name) : Account.group(named: name) }
}
