import FoundationEssentials

/// Which machine this is, as far as a rotating refresh token needs to know.
public enum MachineIdentity {
    /// `/etc/machine-id` (machine-id(5)), else the host's name.
    public static let current: String = {
        for path in ["/etc/machine-id", "/etc/hostname"] {
            guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { continue }
            let id = text.filter { !$0.isWhitespace }
            if !id.isEmpty { return id }
        }
        return "unknown"
    }()
}
