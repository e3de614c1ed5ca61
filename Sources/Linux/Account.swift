import Glibc

/// The users of this machine, as its name service knows them. A look-up may take long where that asks a server.
public enum Account {
    /// - Returns: the number in digits where the user has no name.
    public static func name(of uid: UInt32) -> String {
        guard let entry = unsafe getpwuid(uid), let name = unsafe String(validatingCString: entry.pointee.pw_name) else {
            return "\(uid)"
        }
        return name
    }

    /// Makes this process another user's, with that user's groups, for good.
    /// - Throws: where this process may not.
    public static func become(_ uid: UInt32) throws(FileError) {
        func check(_ status: Int32) throws(FileError) {
            guard status == 0 else { throw FileError("become the user", name(of: uid)) }
        }
        if let entry = unsafe getpwuid(uid) {
            let group = unsafe entry.pointee.pw_gid
            try check(unsafe initgroups(entry.pointee.pw_name, group))
            try check(setgid(group))
        } else {
            try check(unsafe setgroups(0, nil))
            try check(setgid(uid))
        }
        try check(setuid(uid))
    }
}
