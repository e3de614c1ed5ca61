import Access
import Credentials
import AgentProtocol
import Glibc
import Linux

extension SubjectOptions {
    /// As a line of the log has it.
    var words: String { user.map { "user \($0)" } ?? "group \(group ?? "")" }

    /// Which subjects of rules are meant: those that have the name or the number, or had the name when the rule was made. They need
    /// not be there any more.
    func matcher() -> (Subject) -> Bool {
        let isUser = user != nil
        let text = user ?? group ?? ""
        let number = UInt32(text)
        let today: UInt32? =
            switch isUser ? Account.user(named: text) : Account.group(named: text) {
            case .number(let number): number
            case .nobody, .unknown: nil
            }
        return { subject in
            guard subject.isUser == isUser else { return false }
            if let number { return subject.number == number }
            return subject.name == text || subject.number == today
        }
    }

    /// - Throws: a problem if there is no such user or group.
    func subject() throws -> Subject {
        if let user {
            return try .user(id: SubjectInput.uid(user), name: user)
        }
        let group = group ?? ""
        if let number = UInt32(group) { return .group(id: number, name: group) }
        guard let entry = unsafe getgrnam(group) else { throw Problem("there is no group \(Problem.quoted(group))", .noSuchFile) }
        return unsafe .group(id: entry.pointee.gr_gid, name: group)
    }
}

/// Users of this machine, as the agent would see them.
enum SubjectInput {
    /// - Parameter user: a name or a number, which need not have a name here.
    /// - Throws: a problem if there is no user of this name.
    static func uid(_ user: String) throws -> UInt32 {
        if let number = UInt32(user) { return number }
        guard let entry = unsafe getpwnam(user) else {
            throw Problem("there is no user \(Problem.quoted(user))", .noSuchFile)
        }
        return unsafe entry.pointee.pw_uid
    }

    static func uids(_ users: [String]) throws -> Set<UInt32> { try Set(users.map(uid)) }

    /// - Parameter user: a name, or the number of a user who may have no name here.
    /// - Throws: a problem if there is no such user.
    static func caller(_ user: String) throws -> Caller {
        let entry = unsafe UInt32(user).map { unsafe getpwuid($0) } ?? getpwnam(user)
        guard let entry = unsafe entry else {
            guard let uid = UInt32(user) else { throw Problem("there is no user \(Problem.quoted(user))", .noSuchFile) }
            return Caller(uid: uid, gid: .max, pid: 0)
        }
        let (uid, gid) = unsafe (entry.pointee.pw_uid, entry.pointee.pw_gid)
        var count = Int32(1 << 16)
        var groups = [gid_t](repeating: 0, count: Int(count))
        guard unsafe getgrouplist(entry.pointee.pw_name, gid, &groups, &count) >= 0 else {
            return Caller(uid: uid, gid: gid, pid: 0)
        }
        return Caller(uid: uid, gid: gid, pid: 0, groups: Set(groups.prefix(Int(count))).subtracting([0]))
    }
}
