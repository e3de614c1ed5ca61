import Access
import HTTP

/// Turns what a connection proves into a caller.
enum Authenticator {
    /// - Returns: nil if the connection proves nothing.
    static func caller(of peer: ConnectionPeer) -> Caller? {
        switch peer {
        case .process(let process):
            Caller(uid: process.uid, gid: process.gid, pid: process.pid, groups: process.groups, exe: process.exe)
        // Nobody's program or groups are known of a port, and the agent listens at none.
        case .user, .unproven: nil
        }
    }
}
