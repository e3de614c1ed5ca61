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

    /// Where the agent of this user listens: `$CLAVIGER_SOCKET`, else below `$XDG_RUNTIME_DIR`, else below the home.
    public static var socket: String? {
        if let path = variable("CLAVIGER_SOCKET") { return path }
        if let folder = variable("XDG_RUNTIME_DIR"), isAbsolute(folder) { return folder + "/claviger/agent.sock" }
        return variable("HOME").map { $0 + "/.local/state/claviger/agent.sock" }
    }

    /// Where the agent of a whole machine listens, in a folder that root makes for it.
    public static let systemFolder = "/run/claviger"
    public static let systemSocket = "/run/claviger/agent.sock"

    /// The vault's path as every process would name it: absolute, and with no symbolic link in it if the file is there.
    public static func absolute(_ path: String) -> String {
        if let real = unsafe realpath(path, nil) {
            defer { unsafe free(real) }
            return unsafe String(cString: real)
        }
        guard !isAbsolute(path), let folder = unsafe getcwd(nil, 0) else { return path }
        defer { unsafe free(folder) }
        return unsafe String(cString: folder) + "/" + path
    }

    public static func isAbsolute(_ path: String) -> Bool { path.utf8.first == UInt8(ascii: "/") }

    /// A variable of the environment; an empty one counts as not set.
    public static func variable(_ name: String) -> String? {
        guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
        return unsafe String(cString: value)
    }

    private static func folder(_ name: String, _ fallback: String) -> String? {
        if let folder = variable(name), isAbsolute(folder) { return folder }
        return variable("HOME").map { $0 + "/" + fallback }
    }
}
