import Glibc

/// Which machine this is, as far as a login needs to know that only one may use: a rotating refresh token that two
/// machines send ends the login for both.
///
/// It is a random id in a file of the state folder, together with the machine-id that it was made on. A folder that was
/// copied to another machine has another machine's id in it, and gets a new one; a machine that was cloned with its
/// machine-id (machine-id(5)) can't be told from the first.
public struct HostIdentity: Equatable, Sendable {
    /// What a login is marked with.
    public let id: String
    /// What logins were marked with before there was a file: the machine-id, else the host's name.
    public let legacy: String

    public init(id: String, legacy: String) {
        self.id = id
        self.legacy = legacy
    }

    /// Whether a login of this owner may be used here. One that has the older mark is this machine's, and should get `id`.
    public func owns(_ owner: String) -> Bool {
        owner == id || owner == legacy
    }

    /// This machine's identity.
    /// - Parameters:
    ///   - stateFolder: where the id is kept, in the file `host`; made if it isn't there. Without one, or if it can't be
    ///     written, the id is `legacy`.
    ///   - environment: `CLAVIGER_HOST_ID`, if it isn't empty, is the id.
    public static func current(stateFolder: String?, environment: [String: String]) -> HostIdentity {
        current(stateFolder: stateFolder, environment: environment, machine: line("/etc/machine-id"), name: line("/etc/hostname"))
    }

    static func current(
        stateFolder: String?, environment: [String: String], machine: String?, name: String?
    ) -> HostIdentity {
        let legacy = machine ?? name ?? "unknown"
        if let id = environment["CLAVIGER_HOST_ID"], !id.isEmpty { return HostIdentity(id: id, legacy: legacy) }
        guard let stateFolder, let id = try? HostFile(folder: stateFolder, machine: machine).id() else {
            return HostIdentity(id: legacy, legacy: legacy)
        }
        return HostIdentity(id: id, legacy: legacy)
    }

    /// Tells one start of the machine from every other (random(4)); nil if the kernel doesn't say.
    public static var boot: String? { line("/proc/sys/kernel/random/boot_id") }

    private static func line(_ path: String) -> String? {
        guard let bytes = try? File.open(path).readToEnd(limit: 256) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
        return text.isEmpty ? nil : text
    }
}

/// The file `host`: one line, `claviger-host-1 `, 32 hexadecimal digits, a space, and the machine-id or `-`.
private struct HostFile {
    private static let mark = "claviger-host-1"
    private let folder: String
    private let machine: String

    init(folder: String, machine: String?) {
        self.folder = folder
        self.machine = machine ?? "-"
    }

    private var path: String { folder + "/host" }

    /// The id for this machine, made if there is none.
    func id() throws(FileError) -> String {
        if let id = stored() { return id }
        try Path.makeFolders(folder)
        let lock = try File.openLock(path + ".lock")
        defer { withExtendedLifetime(lock) {} }
        // Two processes that find none must end with the same one.
        guard try isLocked(lock) else { throw FileError(operation: "lock", path: path, code: EAGAIN) }
        if let id = stored() { return id }
        let id = Self.random()
        AtomicFile.removeAbandoned(beside: path)
        let new = try AtomicFile(beside: path)
        try new.write(Array("\(Self.mark) \(id) \(machine)\n".utf8))
        try new.finish()
        try new.replace()
        return id
    }

    /// Waits at most ten seconds for another process that makes an id.
    private func isLocked(_ lock: File) throws(FileError) -> Bool {
        for _ in 0..<1_000 {
            if try lock.tryLock(byte: 0) { return true }
            usleep(10_000)
        }
        return false
    }

    /// The id in the file, if it was made on this machine.
    private func stored() -> String? {
        guard let bytes = try? File.open(path).readToEnd(limit: 512) else { return nil }
        let words = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard words.count == 3, words[0] == Self.mark, words[2] == machine, words[1].count == 32,
            words[1].allSatisfy(\.isHexDigit)
        else { return nil }
        return String(words[1])
    }

    private static func random() -> String {
        (0..<2).map { _ in
            let text = String(UInt64.random(in: .min ... .max), radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
    }
}
