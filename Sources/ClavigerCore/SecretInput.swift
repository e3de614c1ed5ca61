import AgentProtocol
import Glibc
import Sodium

/// Where secrets come from: a file, a pipe, a command. Never an argument, never a variable.
enum SecretInput {
    static let limit = 64 << 10

    /// The secret in a file, or on standard input for `-`, without the newline at its end.
    static func file(_ path: String, what: String) throws -> Secret {
        var bytes = try contents(path, limit: limit, what: what)
        defer { bytes.wipe() }
        return try secret(&bytes, what: what, from: path == "-" ? "standard input" : path)
    }

    /// The private key in a PEM file, or on standard input for `-`.
    static func privateKey(_ path: String) throws -> Secret {
        var bytes = try contents(path, limit: limit, what: "private key")
        defer { bytes.wipe() }
        return try privateKey(&bytes, from: path == "-" ? "standard input" : path)
    }

    static func privateKey(_ bytes: inout [UInt8], from place: String) throws -> Secret {
        // A certificate may stand before it, or behind it (RFC 7468).
        let kinds = ["", "RSA ", "EC "].map { Array("-----BEGIN \($0)PRIVATE KEY-----".utf8) }
        let lines = bytes.split(separator: UInt8(ascii: "\n"))
        guard lines.contains(where: { line in kinds.contains { line.starts(with: $0) } }) else {
            throw Problem.noPrivateKey(place)
        }
        return try Secret(copying: bytes.span.bytes)
    }

    /// The whole of a file, or of standard input for `-`.
    static func contents(_ path: String, limit: Int, what: String) throws -> [UInt8] {
        let place = path == "-" ? "standard input" : path
        let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Problem.cannotRead(what: what, place: place, errno: errno) }
        defer { if descriptor != STDIN_FILENO { close(descriptor) } }
        return try drain(descriptor, limit: limit, what: what, place: place)
    }

    private static func drain(_ descriptor: Int32, limit: Int, what: String, place: String) throws -> [UInt8] {
        // Room for everything from the start: growing would leave copies behind.
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        var filled = 0
        while filled <= limit {
            let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + filled, $0.count - filled) }
            if count < 0 && errno == EINTR { continue }
            if count < 0 {
                let code = errno
                bytes.wipe()
                throw Problem.cannotRead(what: what, place: place, errno: code)
            }
            if count == 0 { break }
            filled += count
        }
        guard filled <= limit else {
            bytes.wipe()
            throw Problem.tooLarge(what: what, place: place, limit: limit)
        }
        bytes.removeLast(bytes.count - filled)
        return bytes
    }

    /// Standard output of a shell command, without the newline at its end.
    static func command(_ line: String) throws -> Secret {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Problem.system("run $CLAVIGER_PASSPHRASE_COMMAND", errno) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        posix_spawn_file_actions_addclose(&actions, ends[1])
        var child = pid_t()
        let arguments: [UnsafeMutablePointer<CChar>?] = [strdup("/bin/sh"), strdup("-c"), strdup(line), nil]
        defer { arguments.forEach { free($0) } }
        let status = posix_spawn(&child, "/bin/sh", &actions, nil, arguments, environ)
        close(ends[1])
        defer { close(ends[0]) }
        guard status == 0 else { throw Problem.system("run $CLAVIGER_PASSPHRASE_COMMAND", status) }
        var bytes = try drain(ends[0], limit: limit, what: "passphrase", place: "$CLAVIGER_PASSPHRASE_COMMAND")
        defer { bytes.wipe() }
        var result: Int32 = 0
        while waitpid(child, &result, 0) == -1 && errno == EINTR {}
        guard result == 0 else { throw Problem.passphraseCommandFailed }
        return try secret(&bytes, what: "passphrase", from: "$CLAVIGER_PASSPHRASE_COMMAND")
    }

    /// Checks what was read: one line of text that is not empty.
    static func secret(_ bytes: inout [UInt8], what: String, from place: String) throws -> Secret {
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        guard !bytes.isEmpty else { throw Problem.emptySecret(what: what, place: place) }
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }), String(validating: bytes, as: UTF8.self) != nil else {
            throw Problem.notOneLine(what: what, place: place)
        }
        return try Secret(copying: bytes.span.bytes)
    }
}
