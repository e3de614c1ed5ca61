import Foundation
import OAuth
import Testing
import TokenEngine

@testable import Access

@Suite struct AuthorizerTests {
    private let alice = Caller(uid: geteuid() + 1001, gid: 1001, pid: 1, groups: [50])
    private let mallory = Caller(uid: geteuid() + 1002, gid: 1002, pid: 2)

    private var alicesUser: Subject { .user(id: alice.uid, name: "alice") }

    private func policy(_ rules: Rule...) -> Policy {
        var policy = Policy()
        rules.forEach { policy.allow($0) }
        return policy
    }

    private func decide(_ policy: Policy, _ query: TokenQuery = TokenQuery(), of credential: String = "a", by caller: Caller)
        -> Decision
    {
        guard case .allowed(let grant) = Authorizer(caller, under: policy).decision(on: query, for: credential) else {
            return .denied
        }
        return .allowed(Grant(scopes: grant.scopes, maxTTL: grant.maxTTL))
    }

    private func query(_ scopes: String...) -> TokenQuery { TokenQuery(access: RequestedAccess(scopes: scopes)) }
    private func allowed(_ scopes: String..., maxTTL: Int? = nil) -> Decision { .allowed(Grant(scopes: scopes, maxTTL: maxTTL)) }

    @Test func `what no rule allows is denied`() {
        #expect(decide(Policy(), by: alice) == .denied)
        let other = policy(Rule(credential: "b", subject: alicesUser))
        #expect(decide(other, by: alice) == .denied)
        #expect(decide(other, of: "b", by: mallory) == .denied)
        #expect(decide(other, of: "b", by: alice) == allowed())
    }

    @Test func `no rule limits the owner, and none is read`() throws {
        struct NotRead: Error {}
        func unread() throws -> Policy { throw NotRead() }
        var query = TokenQuery(access: RequestedAccess(scopes: ["x"], audiences: ["y"]))
        query.takesOver = true
        for owner in [Caller.own, Caller(uid: 0, gid: 0, pid: 1)] {
            let authorizer = try Authorizer(owner, under: unread())
            #expect(authorizer.decision(on: query, for: "a") == allowed("x"))
            #expect(authorizer.mayShow("a") && Authorizer.mayManage(owner))
        }
        #expect(throws: NotRead.self) { try Authorizer(alice, under: unread()) }
        #expect(!Authorizer.mayManage(alice))
    }

    @Test func `a group is the first one or a further one`() {
        let further = policy(Rule(credential: "a", subject: .group(id: 50, name: "devs")))
        #expect(decide(further, by: alice) == allowed())
        #expect(decide(further, by: mallory) == .denied)
        let first = policy(Rule(credential: "a", subject: .group(id: 1002, name: "mallory")))
        #expect(decide(first, by: mallory) == allowed())
        // A number is a user's or a group's, not both.
        #expect(decide(policy(Rule(credential: "a", subject: .user(id: 50, name: "somebody"))), by: alice) == .denied)
    }

    @Test func `scopes are those of the rule`() {
        let narrow = policy(Rule(credential: "a", subject: alicesUser, scopes: ["r", "w"]))
        #expect(decide(narrow, query(), by: alice) == allowed("r", "w"))
        #expect(decide(narrow, query("r"), by: alice) == allowed("r"))
        #expect(decide(narrow, query("r", "x"), by: alice) == .denied)
        let own = policy(Rule(credential: "a", subject: alicesUser))
        #expect(decide(own, query("r"), by: alice) == .denied)
        // One rule that allows it is enough.
        var both = own
        both.allow(Rule(credential: "a", subject: .group(id: 50, name: "devs"), scopes: ["x"]))
        #expect(decide(both, query("x"), by: alice) == allowed("x"))
    }

    @Test func `of several rules the one that allows most decides`() {
        let group = Subject.group(id: 50, name: "devs")
        let shadowed = policy(
            Rule(credential: "a", subject: group, maxTTL: 60), Rule(credential: "a", subject: alicesUser))
        #expect(decide(shadowed, by: alice) == allowed())
        let generous = policy(
            Rule(credential: "a", subject: group, scopes: ["r", "w"]),
            Rule(credential: "a", subject: .group(id: 1001, name: "alice"), scopes: ["r"], maxTTL: 60))
        #expect(decide(generous, query("r"), by: alice) == allowed("r"))
        #expect(decide(generous, by: alice) == allowed("r", "w"))
        // What the caller was given is the default, also where a group may have more.
        var both = generous
        both.allow(Rule(credential: "a", subject: alicesUser, scopes: ["r"], maxTTL: 3600))
        #expect(decide(both, by: alice) == allowed("r", maxTTL: 3600))
        #expect(decide(both, query("w"), by: alice) == allowed("w"))
        let own = policy(
            Rule(credential: "a", subject: group), Rule(credential: "a", subject: .group(id: 1001, name: "x"), scopes: ["r"]))
        #expect(decide(own, by: alice) == allowed())
    }

    @Test func `audiences, resending and other machines' logins are the owner's to ask for`() {
        let rule = policy(Rule(credential: "a", subject: alicesUser, maxTTL: 60))
        #expect(decide(rule, TokenQuery(access: RequestedAccess(audiences: ["x"])), by: alice) == .denied)
        var takesOver = TokenQuery()
        takesOver.takesOver = true
        #expect(decide(rule, takesOver, by: alice) == .denied)
        var resends = TokenQuery()
        resends.resends = true
        #expect(decide(rule, resends, by: alice) == .denied)
        #expect(decide(rule, TokenQuery(mode: .rejected), by: alice) == allowed(maxTTL: 60))
    }

    @Test func `a token leaves only if it lives no longer than the grant says`() {
        let limited = Grant(scopes: [], maxTTL: 60)
        #expect(limited.covers(lifetime: 60) && !limited.covers(lifetime: 61) && !limited.covers(lifetime: nil))
        #expect(Grant(scopes: [], maxTTL: nil).covers(lifetime: nil))
    }

    @Test func `a token leaves only if it is good for no more than the rule says`() throws {
        let rules = policy(Rule(credential: "a", subject: alicesUser, scopes: ["r", "w", "email"]))
        guard case .allowed(let grant) = Authorizer(alice, under: rules).decision(on: query("r"), for: "a") else {
            Issue.record("denied")
            return
        }
        #expect(grant.excess(of: ["r", "admin"]) == ["admin"])
        #expect(grant.excess(of: ["r", "w"]).isEmpty && grant.excess(of: nil).isEmpty && grant.excess(of: []).isEmpty)
        // Google renames this one, and adds another.
        #expect(grant.excess(of: ["openid", "https://www.googleapis.com/auth/userinfo.email"]).isEmpty)
        #expect(grant.excess(of: ["https://www.googleapis.com/auth/userinfo.profile"]).count == 1)
        #expect(Grant(scopes: [], maxTTL: nil).excess(of: ["all"]).isEmpty)
        #expect(Grant(scopes: ["r"], maxTTL: nil, limit: ["r"]).excess(of: ["openid"]) == ["openid"])
    }

    @Test func `a caller sees the credentials of which it may have tokens`() {
        let rules = policy(
            Rule(credential: "a", subject: alicesUser), Rule(credential: "b", subject: .group(id: 1002, name: "mallory")))
        #expect(["a", "b", "c"].filter(Authorizer(alice, under: rules).mayShow) == ["a"])
        #expect(["a", "b", "c"].filter(Authorizer(mallory, under: rules).mayShow) == ["b"])
    }

    /// They are stored in vaults that older programs read.
    @Test func `the policy's words stay as they are`() throws {
        let rules = policy(
            Rule(credential: "a", subject: .user(id: 1, name: "u"), scopes: ["r"], maxTTL: 60),
            Rule(credential: "b", subject: .group(id: 2, name: "g")))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let text =
            #"{"rules":[{"credential":"a","longestLife":60,"scopes":["r"],"subject":{"user":{"id":1,"name":"u"}}},"#
            + #"{"credential":"b","subject":{"group":{"id":2,"name":"g"}}}]}"#
        #expect(String(decoding: try encoder.encode(rules), as: UTF8.self) == text)
        #expect(try JSONDecoder().decode(Policy.self, from: Data(text.utf8)) == rules)
    }

    @Test func `a rule takes the place of the one for the same credential and subject`() {
        var rules = policy(Rule(credential: "a", subject: alicesUser))
        rules.allow(Rule(credential: "a", subject: .user(id: alice.uid, name: "renamed"), scopes: ["r"]))
        #expect(rules.rules.map(\.scopes) == [["r"]])
        let found = [rules.deny("a", alicesUser), rules.deny("a", alicesUser)]
        #expect(found == [true, false] && rules == Policy())
    }
}
