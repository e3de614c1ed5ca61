import Access
import AgentProtocol
import ArgumentParser
import Credentials
import Sodium
import Vault

/// Which lines of the log are shown: those that all of these are true of.
struct LogFilter: ParsableArguments {
    @Option(help: ArgumentHelp("Only what this user did, by name or number.", valueName: "user"))
    var user: String?

    @Option(help: ArgumentHelp("Only what is about this credential; may be repeated.", valueName: "name"))
    var credential: [String] = []

    @Option(help: ArgumentHelp("Only events of this kind, such as token or rotate; may be repeated.", valueName: "kind"))
    var kind: [String] = []

    @Option(
        help: ArgumentHelp(
            "Only who had the token in this file, or on standard input, which needs the vault's key.", valueName: "file|-"))
    var token: String?

    var isEmpty: Bool { user == nil && credential.isEmpty && kind.isEmpty && token == nil }

    func validate() throws {
        for word in kind where AuditEvent.Kind(rawValue: word) == nil {
            let all = AuditEvent.Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--kind takes one of \(all), not \(PlainText.quoted(word))")
        }
    }

    /// - Throws: a problem if there is no such user, or the token can't be read or not be told apart from others.
    func matcher(_ session: Session) throws -> (AuditEvent) -> Bool {
        let uid = try user.map(SubjectInput.uid)
        let kinds = Set(kind.compactMap(AuditEvent.Kind.init))
        let names = Set(credential.map { Array($0.utf8) })
        let hash = try token.map { file in
            let token = try SecretInput.file(file, what: "token")
            let vault = try session.unlock()
            return AuditLog(vault: vault, path: try session.auditLogPath()).fingerprint(token.withBytes { $0.array() })
        }
        return { event in
            if let uid, event.uid != uid { return false }
            if !kinds.isEmpty, !kinds.contains(event.event) { return false }
            if !names.isEmpty, event.credential.map({ names.contains(Array($0.utf8)) }) != true { return false }
            return hash == nil || event.token == hash
        }
    }
}
