import Access
import Credentials
import FoundationEssentials
import Vault
import AgentProtocol

extension Session {
    /// Changes the policy, with its lines in the log: also one for each credential, where the change is for all.
    /// - Parameters:
    ///   - name: nil for all credentials.
    ///   - reason: whom the rule is for.
    ///   - body: gives the rules that it has changed.
    @discardableResult
    func withPolicy(
        _ kind: AuditEvent.Kind, _ name: String?, reason: String, _ body: (RuleStore) throws -> [Rule]
    ) throws -> [Rule] {
        let vault = try unlock()
        let log = AuditLog(vault: vault, path: try auditLogPath())
        let changed = try log.recordChange(kind, of: name, caller: .own, reason: reason) {
            try body(RuleStore(vault: vault, log: log))
        }
        guard name == nil else { return changed }
        try log.append(
            Set(changed.map(\.credential)).sorted().map { name in
                var event = AuditEvent(kind, of: name, by: .own, at: Date())
                event.reason = reason
                return event
            })
        return changed
    }

    /// The policy as it is in the vault.
    func policy() throws -> Policy { try policy(of: unlock()) }

    func policy(of vault: UnlockedVault) throws -> Policy {
        try RuleStore(vault: vault, log: AuditLog(vault: vault, path: auditLogPath())).read()
    }
}
