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
}
