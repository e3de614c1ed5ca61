import Access
import Credentials
import Vault
import AgentProtocol

extension Session {
    /// Changes the policy, with its lines in the log.
    func withPolicy(_ kind: AuditEvent.Kind, _ name: String, _ body: (RuleStore) throws -> Void) throws {
        let vault = try unlock()
        let log = AuditLog(vault: vault, path: try auditLogPath())
        try log.recordChange(kind, of: name, caller: .own) { try body(RuleStore(vault: vault, log: log)) }
    }

    /// The policy as it is in the vault.
    func policy() throws -> Policy { try policy(of: unlock()) }

    func policy(of vault: UnlockedVault) throws -> Policy {
        try RuleStore(vault: vault, log: AuditLog(vault: vault, path: auditLogPath())).read()
    }
}
