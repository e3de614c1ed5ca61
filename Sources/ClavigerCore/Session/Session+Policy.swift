import Access
import Credentials
import AgentProtocol

extension Session {
    /// Changes the policy, with a line in the log.
    func withPolicy(_ kind: AuditEvent.Kind, _ name: String, _ body: (RuleStore) throws -> Void) throws {
        let vault = try unlock()
        try AuditLog(vault: vault, path: auditLogPath()).record(kind, of: name, caller: .own) {
            try body(RuleStore(vault: vault))
        }
    }
}
