import Glibc

/// The users of this machine, as its name service knows them. A look-up may take long where that asks a server.
public enum Account {
    /// - Returns: the number in digits where the user has no name.
    public static func name(of uid: UInt32) -> String {
        knownName(of: uid) ?? "\(uid)"
    }

    /// - Returns: nil where the user has no name.
    public static func knownName(of uid: UInt32) -> String? {
        guard let entry = unsafe getpwuid(uid) else { return nil }
        return unsafe String(validatingCString: entry.pointee.pw_name)
    }

    /// What is known of a user or a group by its name.
    public enum Finding: Equatable, Sendable {
        case number(UInt32)
        /// There is none of this name.
        case nobody
        /// It could not be looked up, as where a directory server is away. That says nothing.
        case unknown
    }

    public static func user(named name: String) -> Finding {
        var entry = unsafe passwd()
        return unsafe look { buffer in
            var found: UnsafeMutablePointer<passwd>?
            let code = unsafe getpwnam_r(name, &entry, buffer.baseAddress!, buffer.count, &found)
            return unsafe (code, found.map { unsafe $0.pointee.pw_uid })
        }
    }

    public static func group(named name: String) -> Finding {
        var entry = unsafe Glibc.group()
        return unsafe look { buffer in
            var found: UnsafeMutablePointer<Glibc.group>?
            let code = unsafe getgrnam_r(name, &entry, buffer.baseAddress!, buffer.count, &found)
            return unsafe (code, found.map { unsafe $0.pointee.gr_gid })
        }
    }

    /// Only "no error, and no entry" says that there is none (getpwnam_r(3)).
    private static func look(_ body: (UnsafeMutableBufferPointer<CChar>) -> (Int32, UInt32?)) -> Finding {
        var size = 1 << 12
        while size <= 1 << 22 {
            let buffer = UnsafeMutableBufferPointer<CChar>.allocate(capacity: size)
            defer { unsafe buffer.deallocate() }
            let (code, number) = unsafe body(buffer)
            if code == ERANGE {
                size *= 4
                continue
            }
            if let number { return .number(number) }
            return code == 0 ? .nobody : .unknown
        }
        return .unknown
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
