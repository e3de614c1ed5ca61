import Access
import OAuth
import TestSupport
import Testing
import TokenEngine
import Vault

@testable import Agent

@Suite struct PolicyTests {
    private let alice = Caller(uid: 1001, gid: 1001, pid: 1, groups: [50])
    private let mallory = Caller(uid: 1002, gid: 1002, pid: 2)

    private func policy(_ rules: Policy.Rule...) -> Policy {
        var policy = Policy()
        rules.forEach { policy.allow($0) }
        return policy
    }

    private func ask(_ scopes: String...) -> TokenAsk { TokenAsk(access: RequestedAccess(scopes: scopes)) }

    @Test func nothingIsAllowedByDefault() {
        #expect(Policy().permitted(TokenAsk(), of: "a", to: alice) == nil)
        let other = policy(.init(credential: "b", subject: .user(id: 1001, name: "alice")))
        #expect(other.permitted(TokenAsk(), of: "a", to: alice) == nil)
        #expect(other.permitted(TokenAsk(), of: "b", to: mallory) == nil)
        #expect(other.permitted(TokenAsk(), of: "b", to: alice)?.ask == TokenAsk())
    }

    @Test func aGroupIsTheFirstOneOrAFurtherOne() {
        let further = policy(.init(credential: "a", subject: .group(id: 50, name: "devs")))
        #expect(further.permitted(TokenAsk(), of: "a", to: alice) != nil)
        #expect(further.permitted(TokenAsk(), of: "a", to: mallory) == nil)
        let first = policy(.init(credential: "a", subject: .group(id: 1002, name: "mallory")))
        #expect(first.permitted(TokenAsk(), of: "a", to: mallory) != nil)
        // A number is a user's or a group's, not both.
        let user = policy(.init(credential: "a", subject: .user(id: 50, name: "somebody")))
        #expect(user.permitted(TokenAsk(), of: "a", to: alice) == nil)
    }

    @Test func scopesAreThoseOfTheRule() {
        let narrow = policy(.init(credential: "a", subject: .user(id: 1001, name: "alice"), scopes: ["r", "w"]))
        #expect(narrow.permitted(ask(), of: "a", to: alice)?.ask.access.scopes == ["r", "w"])
        #expect(narrow.permitted(ask("r"), of: "a", to: alice)?.ask.access.scopes == ["r"])
        #expect(narrow.permitted(ask("r", "x"), of: "a", to: alice) == nil)
        let own = policy(.init(credential: "a", subject: .user(id: 1001, name: "alice")))
        #expect(own.permitted(ask("r"), of: "a", to: alice) == nil)
        // One rule that allows it is enough.
        var both = own
        both.allow(.init(credential: "a", subject: .group(id: 50, name: "devs"), scopes: ["x"]))
        #expect(both.permitted(ask("x"), of: "a", to: alice) != nil)
    }

    @Test func audiencesAndOtherMachinesLoginsAreNobodys() {
        let rule = policy(.init(credential: "a", subject: .user(id: 1001, name: "alice"), longestLife: 60))
        #expect(rule.permitted(TokenAsk(access: RequestedAccess(audiences: ["x"])), of: "a", to: alice) == nil)
        var takesOver = TokenAsk()
        takesOver.takesOver = true
        #expect(rule.permitted(takesOver, of: "a", to: alice) == nil)
        #expect(rule.permitted(TokenAsk(mode: .rejected), of: "a", to: alice)?.longestLife == 60)
    }

    @Test func rulesLieInTheVaultAndReplaceEachOther() async throws {
        let fixture = try await AgentFixture()
        let stored = VaultPolicy(vault: fixture.vault)
        #expect(try stored.read() == Policy())
        let subject = Policy.Rule.Subject.user(id: 1001, name: "alice")
        try stored.update(credential: "a") { $0.allow(.init(credential: "a", subject: subject)) }
        try stored.update(credential: "a") {
            $0.allow(.init(credential: "a", subject: .user(id: 1001, name: "renamed"), scopes: ["r"]))
        }
        let again = try LockedVault(path: fixture.folder.file("vault"), memory: nil).unlock(with: .keyFile(fixture.key))
        #expect(try VaultPolicy(vault: again).read().rules.map(\.scopes) == [["r"]])
        #expect(throws: VaultError.self) {
            try stored.update(credential: "nobody") { $0.allow(.init(credential: "nobody", subject: subject)) }
        }
        #expect(try stored.update { $0.deny("a", subject) })
        #expect(try !stored.update { $0.deny("a", subject) })
        // It is no credential.
        #expect(fixture.vault.names() == ["a", "b"])
    }
}
