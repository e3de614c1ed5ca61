import Access
import Credentials
import AgentProtocol
import Glibc

extension SubjectOptions {
    /// - Throws: a problem if there is no such user or group.
    func subject() throws -> Subject {
        if let user {
            if let number = UInt32(user) { return .user(id: number, name: user) }
            guard let entry = unsafe getpwnam(user) else {
                throw Problem("there is no user \(Problem.quoted(user))", .noSuchFile)
            }
            return unsafe .user(id: entry.pointee.pw_uid, name: user)
        }
        let group = group ?? ""
        if let number = UInt32(group) { return .group(id: number, name: group) }
        guard let entry = unsafe getgrnam(group) else { throw Problem("there is no group \(Problem.quoted(group))", .noSuchFile) }
        return unsafe .group(id: entry.pointee.gr_gid, name: group)
    }
}
