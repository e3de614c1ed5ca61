import CLinux

/// Where claviger's files are by default, for the thin front and for the core. A relative path in one of the XDG variables is
/// invalid and ignored (XDG Base Directory Specification 0.8).
public enum Locations {
    /// The vault of this user: the one that was named, else `$CLAVIGER_VAULT`, else below `$XDG_DATA_HOME`.
    /// - Returns: nil where there is no home to look in.
    public static func vault(named path: String? = nil) -> String? {
        path ?? variable("CLAVIGER_VAULT") ?? folder("XDG_DATA_HOME", ".local/share").map { $0 + "/claviger/vault" }
    }

    /// Whether the environment says which vault is meant.
    public static var namesVault: Bool { variable("CLAVIGER_VAULT") != nil }

    /// Where users keep their own provider files.
    public static var providers: String? { folder("XDG_CONFIG_HOME", ".config").map { $0 + "/claviger/providers" } }

    /// Where this machine remembers what it has seen of each vault.
    public static var state: String? { folder("XDG_STATE_HOME", ".local/state").map { $0 + "/claviger" } }

    /// Where the agent of this user listens: `$CLAVIGER_SOCKET`, else the first place where one does, else the first place
    /// where one could. Whoever works on the vault of the machine has its agent.
    public static var socket: String? {
        if let path = variable("CLAVIGER_SOCKET") { return path }
        if namesSystemVault { return systemSocket }
        let places = places
        for path in places where unsafe access(path, F_OK) == 0 { return path }
        return places.first
    }

    /// Where the agent of this user may be, whoever made the environment: cron and services are given no runtime folder, su and
    /// sudo hand on another user's.
    private static var places: [String] {
        var places: [String] = []
        if let folder = variable("XDG_RUNTIME_DIR"), isAbsolute(folder), isOurs(folder) {
            places.append(folder + "/claviger/agent.sock")
        }
        let folder = "/run/user/\(geteuid())"
        if isOurs(folder) { places.append(folder + "/claviger/agent.sock") }
        if let home { places.append(home + "/.local/state/claviger/agent.sock") }
        return places
    }

    /// Where the agent of a whole machine listens, in a folder that root makes for it.
    public static let systemFolder = "/run/claviger"
    public static let systemSocket = "/run/claviger/agent.sock"

    /// The vault of a whole machine, and what its user keeps besides.
    public static let systemHome = "/var/lib/claviger"
    public static let systemVault = "/var/lib/claviger/vault"

    /// Whether the environment names the vault of the machine.
    public static var namesSystemVault: Bool {
        variable("CLAVIGER_VAULT").map { $0.utf8.elementsEqual(systemVault.utf8) } ?? false
    }

    /// Whether this machine has a vault and an agent for all its users; they may be out of order.
    public static var isShared: Bool { owner(of: systemFolder) != nil || owner(of: systemHome) != nil }

    /// The user who keeps the vault of the machine; nil where there is none.
    public static var systemKeeper: UInt32? { owner(of: systemHome) ?? owner(of: systemFolder) }

    /// The vault's path as every process would name it: absolute, and with no symbolic link in it if the file is there.
    /// - Returns: a path that is not absolute where the current folder's name is no UTF-8.
    public static func absolute(_ path: String) -> String {
        if let real = unsafe realpath(path, nil) {
            defer { unsafe free(real) }
            // One that can't be written down is named by its link.
            if let text = unsafe String(validatingCString: real) { return text }
        }
        guard !isAbsolute(path), let folder = unsafe getcwd(nil, 0) else { return path }
        defer { unsafe free(folder) }
        return unsafe String(validatingCString: folder).map { $0 + "/" + path } ?? path
    }

    public static func isAbsolute(_ path: String) -> Bool { path.utf8.first == UInt8(ascii: "/") }

    /// A variable of the environment; an empty one counts as not set, and so does one that is no UTF-8.
    public static func variable(_ name: String) -> String? {
        guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
        return unsafe String(validatingCString: value)
    }

    /// The first variable that says where files are, and can't be read because it is no UTF-8. Nothing is done then: what is left
    /// out of such a path, or put in its place, would be another one.
    public static var unreadableVariable: String? {
        for name in [
            "HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "CLAVIGER_VAULT", "CLAVIGER_SOCKET",
            "CLAVIGER_KEY_FILE", "CLAVIGER_PASSPHRASE_FILE", "CLAVIGER_PASSPHRASE_COMMAND",
        ] {
            if let value = unsafe getenv(name), unsafe String(validatingCString: value) == nil { return name }
        }
        return nil
    }

    // MARK: Whose they are

    /// The home folder; nil for root where it is another user's, as `sudo -E` hands it on.
    private static var home: String? { variable("HOME").flatMap { isForUs($0) ? $0 : nil } }

    /// Whether root is shown the home of another user, in which it makes nothing.
    public static var homeIsAnothers: Bool { variable("HOME") != nil && home == nil }

    private static func folder(_ name: String, _ fallback: String) -> String? {
        if let folder = variable(name), isAbsolute(folder), isForUs(folder) { return folder }
        return home.map { $0 + "/" + fallback }
    }

    /// Whether files may be made there: by root only in its own folders. Others are kept off by the kernel.
    private static func isForUs(_ folder: String) -> Bool {
        guard geteuid() == 0 else { return true }
        var bytes = Array(folder.utf8)
        while true {
            if let owner = owner(of: String(decoding: bytes, as: UTF8.self)) { return owner == 0 }
            guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return true }
            bytes.removeLast(bytes.count - max(slash, 1))
            if bytes.count == 1 { return true }
        }
    }

    /// Whether only this user can make files in a runtime folder, and in the one of claviger's below it.
    private static func isOurs(_ folder: String) -> Bool {
        (isOursAlone(folder) ?? false) && (isOursAlone(folder + "/claviger") ?? true)
    }

    /// Nil where there is nothing.
    private static func isOursAlone(_ folder: String) -> Bool? {
        var status = stat()
        guard unsafe stat(folder, &status) == 0 else { return nil }
        return status.st_uid == geteuid() && status.st_mode & 0o022 == 0
    }

    /// Nil where there is nothing.
    private static func owner(of path: String) -> UInt32? {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? status.st_uid : nil
    }
}
