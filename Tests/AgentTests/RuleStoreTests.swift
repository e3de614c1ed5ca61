import Access
import TestSupport
import Testing
import Vault

@testable import Agent
@testable import Credentials

@Suite struct RuleStoreTests {
    @Test func `rules lie in the vault and replace each other`() async throws {
        let fixture = try await AgentFixture()
        let stored = RuleStore(vault: fixture.vault, log: .scratch(fixture.vault))
        #expect(try stored.read() == Policy())
        let subject = Subject.user(id: 1001, name: "alice")
        try stored.update(credential: "a") { $0.allow(.init(credential: "a", subject: subject)) }
        try stored.update(credential: "a") {
            $0.allow(.init(credential: "a", subject: .user(id: 1001, name: "renamed"), scopes: ["r"]))
        }
        let again = try LockedVault(path: fixture.folder.file("vault"), memory: nil).unlock(with: .keyFile(fixture.key))
        #expect(try RuleStore(vault: again, log: .scratch(again)).read().rules.map(\.scopes) == [["r"]])
        #expect(throws: VaultError.self) {
            try stored.update(credential: "nobody") { $0.allow(.init(credential: "nobody", subject: subject)) }
        }
        #expect(try stored.update { $0.deny("a", subject) })
        #expect(try !stored.update { $0.deny("a", subject) })
        // It is no credential.
        #expect(fixture.vault.names() == ["a", "b"])
    }
}
