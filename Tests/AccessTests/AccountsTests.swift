import Dispatch
import Foundation
import Linux
import Synchronization
import Testing

@testable import Access

/// Numbers of users that were given to somebody else since a rule was made for them.
@Suite struct AccountsTests {
    /// What look-ups find, by name.
    private final class Directory: Sendable {
        private let state = Mutex((found: [String: Account.Finding](), asked: 0))
        var asked: Int { state.withLock { $0.asked } }

        func set(_ name: String, _ finding: Account.Finding) { state.withLock { $0.found[name] = finding } }

        func find(_ subject: Subject) -> Account.Finding {
            state.withLock { state in
                state.asked += 1
                return state.found[subject.name] ?? .nobody
            }
        }
    }

    private let directory = Directory()
    private let alice = Subject.user(id: 1001, name: "alice")
    private let devs = Subject.group(id: 50, name: "devs")
    private let bare = Subject.user(id: 1002, name: "1002")
    private let start = Date(timeIntervalSince1970: 1_000_000)

    private func policy(_ subjects: Subject...) -> Policy {
        Policy(rules: subjects.map { Rule(credential: "a", subject: $0) })
    }

    private func look(_ accounts: Accounts, _ subjects: [Subject], isNew: Bool, at now: Date) async {
        await withCheckedContinuation { done in
            accounts.look(for: subjects, isNew: isNew, at: now) { done.resume() }
        }
    }

    @Test func `a rule whose name is gone or has another number gives nothing`() async {
        let accounts = Accounts(find: directory.find)
        directory.set("alice", .number(1001))
        directory.set("devs", .number(50))
        let all = policy(alice, devs, bare)
        await look(accounts, all.rules.map(\.subject), isNew: true, at: start)
        #expect(all.current(by: accounts) == all && accounts.version == 0)
        directory.set("alice", .nobody)
        directory.set("devs", .number(51))
        await look(accounts, all.rules.map(\.subject), isNew: true, at: start)
        #expect(all.current(by: accounts) == policy(bare) && accounts.version == 2)
        #expect(accounts.standing(of: alice) == .gone && accounts.standing(of: devs) == .renumbered(51))
        // It comes back with the name.
        directory.set("alice", .number(1001))
        await look(accounts, [alice], isNew: true, at: start)
        #expect(all.current(by: accounts) == policy(alice, bare))
    }

    @Test func `a look-up that fails changes nothing`() async {
        let accounts = Accounts(find: directory.find)
        directory.set("alice", .unknown)
        await look(accounts, [alice], isNew: true, at: start)
        #expect(accounts.standing(of: alice) == .current)
        directory.set("alice", .nobody)
        await look(accounts, [alice], isNew: true, at: start)
        directory.set("alice", .unknown)
        await look(accounts, [alice], isNew: true, at: start)
        #expect(accounts.standing(of: alice) == .gone)
    }

    @Test func `they are looked up once a minute, and numbers never`() async {
        let accounts = Accounts(find: directory.find)
        await look(accounts, [alice, alice, bare], isNew: true, at: start)
        #expect(directory.asked == 1)
        await look(accounts, [alice], isNew: false, at: start.addingTimeInterval(59))
        #expect(directory.asked == 1)
        await look(accounts, [alice], isNew: false, at: start.addingTimeInterval(60))
        #expect(directory.asked == 2)
        // A clock that was set back does not stop it.
        await look(accounts, [alice], isNew: false, at: start.addingTimeInterval(-7200))
        #expect(directory.asked == 3)
    }

    @Test func `a directory that hangs holds nobody up`() async {
        let release = DispatchSemaphore(value: 0)
        let accounts = Accounts { _ in
            release.wait()
            return .nobody
        }
        let (done, end) = AsyncStream<Void>.makeStream()
        accounts.look(for: [alice], isNew: true, at: start) { end.finish() }
        // Neither who asks meanwhile nor who would have it looked up again waits.
        #expect(accounts.standing(of: alice) == .current)
        await look(accounts, [alice], isNew: true, at: start)
        release.signal()
        for await _ in done {}
        #expect(accounts.standing(of: alice) == .gone)
    }

    @Test func `who comes during a look-up is looked up after it, and not a minute later`() async {
        let release = DispatchSemaphore(value: 0)
        let directory = directory
        let accounts = Accounts { subject in
            if subject.name == "alice" { release.wait() }
            return directory.find(subject)
        }
        let (done, end) = AsyncStream<Void>.makeStream()
        accounts.look(for: [alice], isNew: true, at: start) { end.finish() }
        await look(accounts, [devs], isNew: true, at: start)
        #expect(directory.asked == 0)
        release.signal()
        for await _ in done {}
        await look(accounts, [devs], isNew: false, at: start)
        #expect(directory.asked == 2 && accounts.standing(of: devs) == .gone)
    }

    @Test func `between look-ups nobody goes through the rules`() async {
        let accounts = Accounts(find: directory.find)
        await look(accounts, [alice], isNew: true, at: start)
        func subjects() -> [Subject] {
            Issue.record("they were gone through")
            return []
        }
        accounts.look(for: subjects(), isNew: false, at: start.addingTimeInterval(59))
    }

    @Test func `users and groups of this machine are found by name`() {
        #expect(Account.user(named: "root") == .number(0) && Account.group(named: "root") == .number(0))
        #expect(Account.user(named: "made-up-nobody") == .nobody && Account.group(named: "made-up-nobody") == .nobody)
    }
}
