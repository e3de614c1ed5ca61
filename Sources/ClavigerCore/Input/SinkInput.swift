import Agent
import Credentials
import AgentProtocol
import FoundationEssentials
import Glibc
import TokenEngine

extension RenewalOptions {
    /// - Throws: a problem for an owner that there is not.
    func settings() throws -> RefreshSettings {
        var settings = RefreshSettings()
        settings.keepsAllFresh = keepFresh
        settings.sinks = try sink.map { try $0.sink() }
        let paths = settings.sinks.map(\.path)
        guard Set(paths).count == paths.count else { throw Problem("one file can't be the sink of two credentials", .usage) }
        for sink in settings.sinks {
            guard let obstacle = sink.obstacle else { continue }
            throw Problem(
                "the sink \(Problem.quoted(sink.path)) would take the place of a \(obstacle)", hint: "name a file", .usage)
        }
        return settings
    }
}

extension SinkOption {
    /// - Throws: a problem for an owner that there is not.
    fileprivate func sink() throws -> TokenSink {
        let (format, name) = (format, name)
        return TokenSink(credential: name, path: path, owner: try owner.map(Self.account)) { token in
            Array(try format.text(token, of: name, at: .now).utf8)
        }
    }

    /// A user, with a group of that user's or another.
    private static func account(_ text: String) throws -> (uid: UInt32, gid: UInt32) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let user = unsafe getpwnam(parts[0]) else { throw Problem("there is no user \(Problem.quoted(parts[0]))", .usage) }
        var account = unsafe (uid: user.pointee.pw_uid, gid: user.pointee.pw_gid)
        if parts.count == 2 {
            guard let group = unsafe getgrnam(parts[1]) else {
                throw Problem("there is no group \(Problem.quoted(parts[1]))", .usage)
            }
            account.gid = unsafe group.pointee.gr_gid
        }
        return account
    }
}
